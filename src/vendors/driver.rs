//! A driver: one vendor's protocol, and what is asked of it and answered by it.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::{
    crd::model::{Modalities, ModelCapability, ModelType, Pricing},
    encryption::SecretFields,
    keys::BoundKey,
};

use super::{CheckResult, HttpClient, answers::result};

/// What one call to a vendor is made with.
pub struct Call<'a> {
    /// The endpoint's URL, without a trailing slash.
    pub base_url: &'a Url,
    /// The vendor's name of the region.
    pub region: Option<&'a str>,
    /// The vendor's API version.
    pub api_version: Option<&'a str>,
    /// The endpoint's own headers, none of them secret.
    pub headers: &'a [(String, String)],
    /// The key, where the call is to carry one, bound to where it may go.
    pub key: Option<&'a BoundKey>,
    /// The client for this endpoint's namespace and certificates.
    pub client: &'a HttpClient,
    /// When the check's time is up; retries included.
    pub deadline: Instant,
}

/// A model in a vendor's list. What the vendor does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ListedModel {
    /// The vendor's id, as its API takes it.
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Tokens of prompt and answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<i64>,
    /// Tokens of prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<i64>,
    /// Tokens of answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ModelType>,
    /// `None`: the vendor says nothing of capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<ModelCapability>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// The vendor's id of the model behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    /// Numbers in a vector that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dimensions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Modalities>,
    /// Since when the vendor advises against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<Timestamp>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<Timestamp>,
    /// The vendor's id of the model to use in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// Where the vendor says it is in its life, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<VendorPhase>,
}

/// Where a vendor says that a model is in its life. Where it says so, that decides, and not the time: one that
/// is deprecated may answer after the day of its end, and one that is retired may still be listed (facts, 18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VendorPhase {
    /// It may be used.
    Active,
    /// It may be used, and the vendor advises against it.
    Deprecated,
    /// It does not answer any more.
    Retired,
}

/// A model that is to be tested.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestedModel<'a> {
    /// The vendor's id of it.
    pub id: &'a str,
    /// What kind of model it is, where that is known: it decides which call it answers.
    pub type_: Option<ModelType>,
    /// How long ago a test of this very declaration first said what the last one did; zero where
    /// there was none.
    pub tested_for: Duration,
}

/// What a test of a model asks, and so what it can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestedBy {
    /// The model itself, or what the vendor says of it alone. Where that wants a key, it proves the key.
    Model,
    /// The vendor's list, so that it proves nothing that reading the list does not.
    List,
}

/// A vendor's whole list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelList {
    /// The models, by id, each once.
    pub models: Vec<ListedModel>,
    /// Entries that were passed over: no id, one over 256 characters, or control characters in it.
    pub skipped: usize,
}

impl ModelList {
    /// Whether this model is in it.
    pub(crate) fn find(&self, driver: &dyn Driver, id: &str) -> Listed<'_, ListedModel> {
        let spellings = driver.spellings(id);
        let named = |id: &str| spellings.iter().any(|spelling| spelling == id);
        if let Some(model) = self.models.iter().find(|model| named(&model.id)) {
            return Listed::Yes(model);
        }
        let mut ids = self.models.iter().map(|model| model.id.as_str());
        ids.find(|pattern| covers(pattern, id))
            .map_or(Listed::No, Listed::Perhaps)
    }
}

/// Whether a list holds a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed<'a, M> {
    /// It does, and this is what it says.
    Yes(&'a M),
    /// It does not.
    No,
    /// It has a pattern that covers the id, which proves neither (LiteLLM's wildcards: `acme/*`).
    Perhaps(&'a str),
}

/// Whether a list by ids holds a model.
pub fn find<'a, M>(driver: &dyn Driver, list: &'a BTreeMap<String, M>, id: &str) -> Listed<'a, M> {
    let spellings = driver.spellings(id);
    match spellings
        .iter()
        .find_map(|spelling| list.get(spelling.as_ref()))
    {
        Some(model) => Listed::Yes(model),
        None => {
            let mut ids = list.keys().map(String::as_str);
            ids.find(|pattern| covers(pattern, id))
                .map_or(Listed::No, Listed::Perhaps)
        }
    }
}

/// Whether a list's entry is a pattern over ids, and no id.
pub fn is_pattern(id: &str) -> bool {
    id.contains('*')
}

/// Whether a pattern covers an id.
fn covers(pattern: &str, id: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return false;
    };
    let Some(mut left) = id.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        match parts.peek() {
            None => return left.ends_with(part),
            Some(_) => match left.split_once(part) {
                Some((_, after)) => left = after,
                None => return false,
            },
        }
    }
    true
}

/// Which fields of a key a vendor takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFields {
    /// `apiKey` and nothing else.
    ApiKey,
    /// `apiKey`, or `accessToken`.
    ApiKeyOrAccessToken,
    /// `apiKey` with `secretKey` (and `accessToken` for a session), or `apiKey` alone.
    AccessKeyPairOrApiKey,
}

/// Which entry of `secretRef.keys` a vendor's key has to have, or may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongFields {
    /// It is missing.
    #[error("secretRef.keys names no entry for {0}, and a key of this type has one")]
    Missing(&'static str),
    /// Nothing is done with it.
    #[error("secretRef.keys names an entry for {0}, and a key of this type has {1}; take it out")]
    Superfluous(&'static str, &'static str),
}

impl KeyFields {
    /// Whether a key has what a vendor takes, and nothing that would be left out.
    ///
    /// # Errors
    /// What is missing, or one too many.
    pub fn check(self, key: &SecretFields) -> Result<(), WrongFields> {
        let (api, secret) = (key.api_key.is_some(), key.secret_key.is_some());
        let token = key.access_token.is_some();
        match self {
            Self::ApiKey if !api => Err(WrongFields::Missing("apiKey")),
            Self::ApiKey if secret => Err(WrongFields::Superfluous("secretKey", "apiKey alone")),
            Self::ApiKey if token => Err(WrongFields::Superfluous("accessToken", "apiKey alone")),
            Self::ApiKeyOrAccessToken if !api && !token => {
                Err(WrongFields::Missing("apiKey or accessToken"))
            }
            Self::ApiKeyOrAccessToken if secret => Err(WrongFields::Superfluous(
                "secretKey",
                "apiKey or accessToken",
            )),
            Self::ApiKeyOrAccessToken if api && token => Err(WrongFields::Superfluous(
                "accessToken",
                "either that or apiKey",
            )),
            Self::AccessKeyPairOrApiKey if !api => Err(WrongFields::Missing("apiKey")),
            Self::AccessKeyPairOrApiKey if token && !secret => {
                Err(WrongFields::Missing("secretKey"))
            }
            Self::ApiKey | Self::ApiKeyOrAccessToken | Self::AccessKeyPairOrApiKey => Ok(()),
        }
    }
}

/// What a LangChain client is made with.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConfig {
    /// For `init_chat_model(model_provider=...)`.
    pub model_provider: &'static str,
    /// For `init_chat_model(model=...)`.
    pub model: String,
    /// Keyword arguments that are not secret.
    pub kwargs: BTreeMap<String, Value>,
    /// Keyword argument by the field of the key that goes into it. A name with dots is a path into
    /// nested arguments; one that ends in `Authorization` takes the key as a bearer token.
    pub secret_kwargs: BTreeMap<&'static str, KeyField>,
    /// Arguments that take a function in place of a token, which the client calls for each request.
    pub callable_kwargs: &'static [&'static str],
}

/// One field of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyField {
    ApiKey,
    SecretKey,
    AccessToken,
}

impl KeyField {
    /// What it is called where a key is given out.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::SecretKey => "secret_key",
            Self::AccessToken => "access_token",
        }
    }
}

/// What a client's configuration is made from.
#[derive(Clone, Copy, Debug)]
pub struct ClientInput<'a> {
    pub model_id: &'a str,
    pub base_url: &'a Url,
    pub region: Option<&'a str>,
    pub api_version: Option<&'a str>,
    pub headers: &'a [(String, String)],
    /// How long the client should wait for an answer.
    pub timeout: Duration,
    /// Further attempts after the first.
    pub retries: u32,
    /// Which fields the key has; `None` where there is no credential.
    pub key: Option<&'a SecretFields>,
}

/// One vendor's protocol.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The URL in force where an endpoint names none; `None` where there is no default.
    fn default_base_url(&self, region: Option<&str>) -> Option<String>;

    /// What to write where there is no default for this region.
    fn no_default(&self, region: Option<&str>) -> String {
        match region {
            Some(region) => {
                format!("spec.baseUrl is required: there is no default for the region {region}")
            }
            None => "spec.baseUrl is required: there is no default without a region".to_owned(),
        }
    }

    /// Whether calls can be made at this URL for this region at all.
    ///
    /// # Errors
    /// What to change in the endpoint's spec.
    fn check_endpoint(&self, base_url: &Url, region: Option<&str>) -> Result<(), String> {
        let _ = (base_url, region);
        Ok(())
    }

    /// The vendor's own fixed hosts, exact: a Secret of this type may be sent there by https
    /// without being asked. Hosts that belong to a tenant are not among them.
    fn trusted_hosts(&self) -> &'static [&'static str];

    /// Which fields a key of this vendor has.
    fn key_fields(&self) -> KeyFields;

    /// Whether this could be a key of this vendor at all, by its shape.
    ///
    /// # Errors
    /// What is wrong with it, without any part of it.
    fn check_key(&self, key: &SecretFields) -> Result<(), String> {
        result::not_a_placeholder(key)
    }

    /// Whether the endpoint answers. It sends a key only where the call has one, and costs no
    /// tokens.
    async fn probe(&self, call: &Call<'_>) -> CheckResult;

    /// Whether the vendor takes the key, by the cheapest call that proves it.
    async fn validate(&self, call: &Call<'_>) -> CheckResult;

    /// What a call of the vendor's that is for keys alone says of the key: asked for where the vendor
    /// answers [`Self::validate`] without a key too. `None` where it has no such call.
    async fn prove_key(&self, call: &Call<'_>) -> Option<CheckResult> {
        let _ = call;
        None
    }

    /// The vendor's whole list of models, or why there is none: `Unverifiable` where it never has one.
    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult>;

    /// The ids by which the vendor's list may name this model, the usual one first; none where lists
    /// name no ids of this form, and so say nothing of it.
    fn spellings<'a>(&self, model_id: &'a str) -> Vec<Cow<'a, str>> {
        vec![Cow::Borrowed(model_id)]
    }

    /// What ids of one model have in common, however they are written: two models of one provider
    /// are the same where this is.
    fn same_id<'a>(&self, model_id: &'a str) -> Cow<'a, str> {
        let mut spellings = self.spellings(model_id).into_iter();
        spellings.next().unwrap_or(Cow::Borrowed(model_id))
    }

    /// What [`Self::test_model`] asks of a model of this type.
    fn tested_by(&self, type_: Option<ModelType>) -> TestedBy {
        let _ = type_;
        TestedBy::Model
    }

    /// Whether one model answers, by the cheapest honest proof: `Unverifiable` where there is nothing to
    /// ask.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult;

    /// What a LangChain client needs.
    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig;
}

/// What ids that any driver takes for one have in common; others may have it in common too. For
/// where the provider's type is not known.
pub fn like_id(model_id: &str) -> &str {
    let id = model_id.strip_prefix("models/").unwrap_or(model_id);
    id.strip_suffix(":latest").unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crd::ProviderType, vendors::driver};

    #[test]
    fn a_pattern_proves_neither_presence_nor_absence() {
        for (pattern, id, covered) in [
            ("acme/*", "acme/large", true),
            ("acme/*", "other/large", false),
            ("*", "anything", true),
            ("*/large", "acme/large", true),
            ("acme/*-v2", "acme/large-v2", true),
            ("acme/*-v2", "acme/large", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("acme/large", "acme/large", false),
        ] {
            assert_eq!(covers(pattern, id), covered, "{pattern} {id}");
        }
        let gateway = driver(ProviderType::OpenAICompatible);
        let list = BTreeMap::from([("acme/*".to_owned(), 1), ("acme/one".to_owned(), 2)]);
        assert_eq!(find(gateway, &list, "acme/one"), Listed::Yes(&2));
        assert_eq!(find(gateway, &list, "acme/two"), Listed::Perhaps("acme/*"));
        assert_eq!(find(gateway, &list, "two"), Listed::No);
    }

    #[test]
    fn spellings_of_one_model_are_the_same() {
        let gateway = driver(ProviderType::OpenAICompatible);
        for (listed, declared) in [
            ("models/gem", "gem"),
            ("gem", "models/gem"),
            ("llama3:latest", "llama3"),
            ("llama3", "llama3:latest"),
        ] {
            let list = BTreeMap::from([(listed.to_owned(), ())]);
            assert_eq!(
                find(gateway, &list, declared),
                Listed::Yes(&()),
                "{declared}"
            );
            assert_eq!(gateway.same_id(listed), gateway.same_id(declared));
            assert_eq!(like_id(listed), like_id(declared));
        }
        for (a, b) in [("llama3:8b", "llama3"), ("x/gem", "gem"), ("GEM", "gem")] {
            assert_ne!(gateway.same_id(a), gateway.same_id(b));
        }
    }

    #[test]
    fn a_key_has_what_its_vendor_takes_and_nothing_else() {
        use KeyFields::*;
        use WrongFields::{Missing, Superfluous};
        let key = |api, secret, token| {
            let some = |has: bool| has.then(|| "k".to_owned().into());
            SecretFields {
                api_key: some(api),
                secret_key: some(secret),
                access_token: some(token),
            }
        };
        let one_too_many = |name| move |said| matches!(said, Err(Superfluous(n, _)) if n == name);
        let said = |takes: KeyFields, has: [bool; 3]| takes.check(&key(has[0], has[1], has[2]));
        for takes in [ApiKey, ApiKeyOrAccessToken, AccessKeyPairOrApiKey] {
            assert_eq!(said(takes, [true, false, false]), Ok(()));
        }
        assert_eq!(said(ApiKey, [false, true, false]), Err(Missing("apiKey")));
        assert_eq!(said(ApiKey, [false, false, true]), Err(Missing("apiKey")));
        assert!(one_too_many("secretKey")(said(ApiKey, [true, true, false])));
        assert!(one_too_many("accessToken")(said(
            ApiKey,
            [true, false, true]
        )));
        assert_eq!(said(ApiKeyOrAccessToken, [false, false, true]), Ok(()));
        let none = said(ApiKeyOrAccessToken, [false, true, false]);
        assert_eq!(none, Err(Missing("apiKey or accessToken")));
        let both = said(ApiKeyOrAccessToken, [true, false, true]);
        assert!(one_too_many("accessToken")(both));
        for has in [[true, true, false], [true, true, true]] {
            assert_eq!(said(AccessKeyPairOrApiKey, has), Ok(()));
        }
        let token = said(AccessKeyPairOrApiKey, [true, false, true]);
        assert_eq!(token, Err(Missing("secretKey")));
        let secret = said(AccessKeyPairOrApiKey, [false, true, false]);
        assert_eq!(secret, Err(Missing("apiKey")));
    }
}
