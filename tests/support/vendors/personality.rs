//! What a personality is, and what all of them know of their customers.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    fixture::{Answer, Fixture},
    request::Recorded,
};

/// One vendor's way to answer.
pub(super) trait Personality: Send + Sync {
    /// The folder of its fixtures.
    fn vendor(&self) -> &'static str;

    /// What stands behind the host in an endpoint's URL.
    fn base_path(&self) -> &'static str;

    /// What it answers.
    fn answer(&self, shop: &Shop, request: &Recorded) -> Answer;

    /// An entry of its list for a model that only a test knows.
    fn entry(&self, sample: &Value, id: &str) -> Value {
        let mut entry = sample.clone();
        for name in ["id", "model", "name", "modelId", "display_name"] {
            if entry.get(name).is_some() {
                entry[name] = id.into();
            }
        }
        entry
    }
}

/// A vendor's customers and models.
pub struct Shop {
    pub(super) vendor: &'static str,
    /// API keys, each with the answer that it gets in place of the right one.
    pub keys: BTreeMap<String, Option<Answer>>,
    /// Bearer tokens that are no API keys.
    pub tokens: Vec<String>,
    /// Secret keys by access key, where requests are signed.
    pub pairs: BTreeMap<String, Pair>,
    /// Whether calls need a key at all.
    pub wants_key: bool,
    /// The list's entries.
    pub models: Vec<Value>,
    /// Most entries on a page, whatever is asked for.
    pub page_limit: usize,
    /// Every page promises another.
    pub endless: bool,
    /// Whether the optional list of deployments is there.
    pub lists_deployments: bool,
    /// The region that signatures have to be for.
    pub region: &'static str,
    /// How far its clock is from the caller's.
    pub clock: SignedDuration,
}

/// The other half of an access key.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    pub secret: String,
    pub session: Option<String>,
}

impl Shop {
    pub(super) fn new(vendor: &'static str) -> Self {
        Self {
            vendor,
            keys: BTreeMap::new(),
            tokens: Vec::new(),
            pairs: BTreeMap::new(),
            wants_key: true,
            models: Fixture::read(vendor, "models").entries,
            page_limit: usize::MAX,
            endless: false,
            lists_deployments: true,
            region: "us-east-1",
            clock: SignedDuration::ZERO,
        }
    }

    /// A documented answer of this vendor's.
    pub(super) fn says(&self, name: &str) -> Answer {
        Fixture::read(self.vendor, name).answer()
    }

    /// The vendor's time.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now() + self.clock
    }

    /// What a key gets that is not simply good; `None` lets it in.
    pub(super) fn refusal(&self, key: Option<&str>) -> Option<Answer> {
        match key.and_then(|key| self.keys.get(key)) {
            Some(standing) => standing.clone(),
            None if !self.wants_key => None,
            None => Some(echoing(self.says("bad_key"), key.unwrap_or_default())),
        }
    }

    /// Ids of the models under this name of the field.
    pub(super) fn find(&self, field: &str, id: &str) -> Option<&Value> {
        self.models.iter().find(|entry| entry[field] == id)
    }
}

/// Puts the key into the message as the vendor does: whole, or its head and tail.
fn echoing(answer: Answer, key: &str) -> Answer {
    let chars: Vec<char> = key.chars().collect();
    let masked = match chars.len() {
        0..=12 => key.to_owned(),
        n => {
            let (head, tail) = (&chars[..8], &chars[n - 4..]);
            format!(
                "{}****{}",
                head.iter().collect::<String>(),
                tail.iter().collect::<String>()
            )
        }
    };
    answer.filled("key", key).filled("masked", &masked)
}

/// A number of the query.
pub(super) fn number(request: &Recorded, name: &str) -> Option<usize> {
    request.param(name)?.parse().ok()
}
