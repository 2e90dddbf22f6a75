//! Answers in the network's place, for tests and fuzz targets: drivers run whole, and nothing is
//! sent. No other build has this.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use url::Url;

use super::{
    client::{HttpClient, HttpError, Response},
    error::HostAndPort,
};

/// Answers in their order, and where they were asked for.
#[derive(Debug, Default)]
pub struct Script {
    answers: Mutex<VecDeque<Response>>,
    asked: Mutex<Vec<Url>>,
}

impl Script {
    /// A script of these answers; after the last one there is none in time.
    pub fn new(answers: impl IntoIterator<Item = Response>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    /// The URLs that were asked, in order.
    pub fn asked(&self) -> Vec<Url> {
        let asked = self.asked.lock();
        asked.clone()
    }

    /// The next answer.
    pub(in crate::vendors) fn answer(&self, url: &Url) -> Result<Response, HttpError> {
        let mut asked = self.asked.lock();
        asked.push(url.clone());
        let mut answers = self.answers.lock();
        let late = || HttpError::Timeout(HostAndPort::of(url));
        answers.pop_front().ok_or_else(late)
    }
}

impl HttpClient {
    /// The same client with a script in the network's place.
    pub fn scripted(&self, script: &Arc<Script>) -> Self {
        let mut scripted = self.clone();
        scripted.script = Some(Arc::clone(script));
        scripted
    }
}

#[cfg(test)]
pub(in crate::vendors) mod testing {
    use std::{sync::LazyLock, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::{
        crd::ProviderType,
        encryption::SecretFields,
        keys::BoundKey,
        vendors::{Call, HttpClients, TestedModel, http::address_guard::AddressGuard, vendor},
    };

    /// A key whose beginning does not tell that it is one.
    pub const KEY: &str = "zQ7Xv9Kw2Lm4Np6Rt8YbHd3Gs5";

    static CLIENTS: LazyLock<HttpClients> = LazyLock::new(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        HttpClients::new(AddressGuard::default(), None)
    });

    /// A call over a script, with [`KEY`] as its key, that has no time to try again.
    pub async fn with_call<T>(script: &Arc<Script>, work: impl AsyncFnOnce(&Call<'_>) -> T) -> T {
        let base_url = Url::parse("https://gateway.example.com/v1").expect("a URL");
        let client = CLIENTS.client("n", &base_url, None).expect("a client");
        let key = SecretFields {
            api_key: Some(KEY.to_owned().into()),
            ..SecretFields::default()
        };
        let own = [base_url.origin().ascii_serialization()];
        let type_ = ProviderType::OpenAI;
        let key = BoundKey::bind(key, type_.as_str(), &own, vendor(type_), &base_url);
        let key = key.expect("a key for this URL");
        work(&Call {
            base_url: &base_url,
            region: Some("us-east-1"),
            api_version: None,
            headers: &[],
            key: Some(&key),
            client: &client.scripted(script).hiding(Some(&key)),
            deadline: Instant::now() + Duration::from_millis(100),
        })
        .await
    }

    /// This model, of which nothing else is known.
    pub fn of(id: &str) -> TestedModel<'_> {
        TestedModel {
            id,
            ..TestedModel::default()
        }
    }

    /// The paths that were asked, in order.
    pub fn asked(script: &Script) -> Vec<String> {
        let asked = script.asked();
        asked.iter().map(|url| url.path().to_owned()).collect()
    }
}
