//! Calling drivers as the checks do, without the checks.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use llmplane::{
    crd::{ProviderType, model::ModelType, reasons::Reason},
    encryption::SecretFields,
    keys::BoundKey,
    vendors::{
        Call, CheckResult, HttpClients, ModelList, TestedModel, driver,
        http::address_guard::AddressGuard, vendor,
    },
};
use tokio::time::Instant;
use url::Url;

use crate::support::vendors::{Fake, certificates::Certificate};

/// The key that the fakes here take.
pub const KEY: &str = "tk-4fK2mQ8zR1vXw7Lb0nTc";
/// All provider types.
pub const TYPES: [ProviderType; 10] = [
    ProviderType::OpenAI,
    ProviderType::Anthropic,
    ProviderType::Bedrock,
    ProviderType::AzureOpenAI,
    ProviderType::DashScope,
    ProviderType::Qianfan,
    ProviderType::Gemini,
    ProviderType::Ollama,
    ProviderType::VLLM,
    ProviderType::OpenAICompatible,
];

/// What a driver is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Probe,
    Validate,
    List,
    Test,
}

impl Ask {
    pub const ALL: [Self; 4] = [Self::Probe, Self::Validate, Self::List, Self::Test];

    /// The reason of a check that proved nothing.
    pub fn failed(self) -> Reason {
        match self {
            Self::Probe => Reason::ProbeFailed,
            Self::List => Reason::SyncFailed,
            Self::Validate | Self::Test => Reason::CheckInconclusive,
        }
    }
}

/// A model that the fake of this type has.
pub fn model_of(provider: ProviderType) -> &'static str {
    match provider {
        ProviderType::OpenAI | ProviderType::OpenAICompatible => "ft:gpt-4o-mini:acme::A1b2",
        // The catalog knows of no end of it.
        ProviderType::Anthropic => "claude-haiku-4-5-20251001",
        ProviderType::Bedrock => "amazon.nova-lite-v1:0",
        ProviderType::AzureOpenAI => "chat",
        ProviderType::DashScope => "qwen3-max",
        ProviderType::Qianfan => "ernie-5.0",
        ProviderType::Gemini => "gemini-2.5-flash",
        ProviderType::Ollama => "llama3.2:3b",
        ProviderType::VLLM => "meta-llama/Llama-3.1-8B-Instruct",
    }
}

/// The region of the fakes, where the type has any.
pub fn region_of(provider: ProviderType) -> Option<&'static str> {
    (provider == ProviderType::Bedrock).then_some("us-east-1")
}

/// A fake that takes [`KEY`].
pub async fn fake(provider: ProviderType) -> Fake {
    let fake = Fake::of(provider).await;
    fake.accept(KEY);
    fake
}

/// The same by TLS.
pub async fn tls_fake(provider: ProviderType, certificate: Certificate) -> Fake {
    let fake = Fake::tls(provider, certificate).await;
    fake.accept(KEY);
    fake
}

/// A caller of one driver at one URL.
#[derive(Clone)]
pub struct Caller {
    pub provider: ProviderType,
    pub url: Url,
    pub key: Option<SecretFields>,
    pub ca_bundle: Option<String>,
    pub api_version: Option<String>,
    pub region: Option<String>,
    /// What kind of model is tested.
    pub type_: Option<ModelType>,
    /// For how long it has been tested.
    pub tested_for: Duration,
    pub timeout: Duration,
    pub allowed: String,
    /// Made once: it reads the system's certificates.
    pub clients: Arc<OnceLock<HttpClients>>,
}

impl Caller {
    /// With [`KEY`] and three seconds.
    pub fn new(provider: ProviderType, url: &str) -> Self {
        Self {
            provider,
            url: Url::parse(url.trim_end_matches('/')).unwrap(),
            key: Some(api_key(KEY)),
            ca_bundle: None,
            api_version: None,
            region: region_of(provider).map(str::to_owned),
            type_: None,
            tested_for: Duration::from_secs(3600),
            timeout: Duration::from_secs(3),
            allowed: "127.0.0.0/8".to_owned(),
            clients: Arc::default(),
        }
    }

    pub fn of(fake: &Fake, provider: ProviderType) -> Self {
        Self::new(provider, &fake.url())
    }

    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub fn with_key(self, key: &str) -> Self {
        Self {
            key: Some(api_key(key)),
            ..self
        }
    }

    pub fn trusting(self, pem: &str) -> Self {
        Self {
            ca_bundle: Some(pem.to_owned()),
            ..self
        }
    }

    /// What the driver says.
    pub async fn ask(&self, ask: Ask) -> CheckResult {
        self.ask_about(ask, model_of(self.provider)).await
    }

    /// The same of another model.
    pub async fn ask_about(&self, ask: Ask, model: &str) -> CheckResult {
        match ask {
            Ask::List => match self.list().await {
                Ok(_) => CheckResult::new(Reason::SyncSucceeded, ""),
                Err(outcome) => outcome,
            },
            _ => {
                let driver = driver(self.provider);
                let (clients, call_at) = self.means();
                let client = clients
                    .client("test", &self.url, self.ca_bundle.as_deref())
                    .unwrap();
                let key = self.bound_key();
                let call = self.call(&client, key.as_ref(), call_at);
                match ask {
                    Ask::Probe => driver.probe(&Call { key: None, ..call }).await,
                    Ask::Validate => driver.validate(&call).await,
                    _ => {
                        let model = TestedModel {
                            id: model,
                            type_: self.type_,
                            tested_for: self.tested_for,
                        };
                        driver.test_model(&call, &model).await
                    }
                }
            }
        }
    }

    /// The list, or why there is none.
    pub async fn list(&self) -> Result<ModelList, CheckResult> {
        let driver = driver(self.provider);
        let (clients, call_at) = self.means();
        let client = clients
            .client("test", &self.url, self.ca_bundle.as_deref())
            .unwrap();
        let key = self.bound_key();
        driver
            .list_models(&self.call(&client, key.as_ref(), call_at))
            .await
    }

    /// The key, whose owner lets it go to the URL and nowhere else.
    fn bound_key(&self) -> Option<BoundKey> {
        let here = [self.url.origin().ascii_serialization()];
        let type_ = self.provider;
        let bind = |key| BoundKey::bind(key, type_.as_str(), &here, vendor(type_), &self.url);
        self.key.clone().map(|key| bind(key).unwrap())
    }

    fn means(&self) -> (&HttpClients, Instant) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clients = self.clients.get_or_init(|| {
            let rules = self.allowed.split(',').filter(|rule| !rule.is_empty());
            let rules = rules.map(|rule| rule.parse().unwrap()).collect();
            HttpClients::new(AddressGuard::new(rules, []), None)
        });
        (clients, Instant::now() + self.timeout)
    }

    fn call<'a>(
        &'a self,
        client: &'a llmplane::vendors::HttpClient,
        key: Option<&'a BoundKey>,
        deadline: Instant,
    ) -> Call<'a> {
        Call {
            base_url: &self.url,
            region: self.region.as_deref(),
            api_version: self.api_version.as_deref(),
            headers: &[],
            key,
            client,
            deadline,
        }
    }
}

/// A key of one field.
pub fn api_key(key: &str) -> SecretFields {
    SecretFields {
        api_key: Some(key.into()),
        ..SecretFields::default()
    }
}
