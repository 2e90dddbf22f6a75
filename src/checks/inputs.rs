//! What a check is made with, in one word. What was found counts for as long as that word is the same
//! and no longer: the rule for every kind of check. Pure.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::crd::{ProviderType, endpoint::Header, federation::Federation, model::ModelType};

/// Bytes of the hash that are kept.
const BYTES: usize = 16;

/// What calls to an endpoint are made with.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EndpointCall<'a> {
    /// Its provider's type, which says how it is called.
    pub provider_type: ProviderType,
    /// The URL in force.
    pub base_url: &'a str,
    /// `spec.region`.
    pub region: Option<&'a str>,
    /// `spec.apiVersion`.
    pub api_version: Option<&'a str>,
    /// `spec.headers`.
    pub headers: &'a [Header],
    /// `spec.caBundle`.
    pub ca_bundle: Option<&'a str>,
}

impl EndpointCall<'_> {
    /// Of what is asked at the endpoint: its model list, keys.
    pub fn digest(&self) -> String {
        digest(self)
    }
}

/// Of an endpoint's probes: what calls are made with, and the credential that they use.
pub fn of_probe(endpoint: &str, credential: Option<&str>) -> String {
    match credential {
        Some(credential) => digest(&(endpoint, credential)),
        None => endpoint.to_owned(),
    }
}

/// Of a model's test: the endpoint's inputs, and what is asked there.
pub fn of_test(endpoint: &str, model_id: &str, type_: Option<ModelType>) -> String {
    digest(&(endpoint, model_id, type_))
}

/// Of a model in a list: the endpoint's inputs, and the id that is looked for there.
pub fn of_listing(endpoint: &str, model_id: &str) -> String {
    digest(&(endpoint, "list", model_id))
}

/// Of the exchange of a ServiceAccount's token: how long that lives makes no difference.
pub fn of_exchange(provider_type: ProviderType, federation: &Federation) -> String {
    let mut federation = federation.clone();
    federation.expiration_seconds = 0;
    digest(&(provider_type, federation))
}

/// Of what is asked with a key, by its fingerprint, or without one.
pub fn with_key(inputs: &str, key: Option<&str>) -> String {
    digest(&(inputs, key))
}

/// Of a model class: what it asks for.
pub fn of_class(asked: &impl Serialize) -> String {
    digest(&("class", asked))
}

/// Of a class, as [`of_class`] has it, and a model that it may mean: of this provider, itself, and of this id.
pub fn of_meaning(class: &str, (provider, model, id): (Uuid, Uuid, &str)) -> String {
    digest(&(class, provider, model, id))
}

fn digest(inputs: &impl Serialize) -> String {
    let inputs = serde_json::to_vec(inputs).unwrap_or_default();
    hex::encode(&Sha256::digest(inputs)[..BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_input_makes_a_difference_and_nothing_else_does() {
        let headers = [Header {
            name: "X-Team".into(),
            value: "a".into(),
        }];
        let call = EndpointCall {
            provider_type: ProviderType::OpenAI,
            base_url: "https://a.example/v1",
            region: None,
            api_version: None,
            headers: &[],
            ca_bundle: None,
        };
        let others = [
            EndpointCall {
                provider_type: ProviderType::Anthropic,
                ..call
            },
            EndpointCall {
                base_url: "https://b.example/v1",
                ..call
            },
            EndpointCall {
                region: Some("eu"),
                ..call
            },
            EndpointCall {
                api_version: Some("eu"),
                ..call
            },
            EndpointCall {
                headers: &headers,
                ..call
            },
            EndpointCall {
                ca_bundle: Some("eu"),
                ..call
            },
        ];
        let mut all: Vec<String> = others.iter().map(EndpointCall::digest).collect();
        all.push(call.digest());
        let endpoint = call.digest();
        all.extend([
            of_probe(&endpoint, Some("c")),
            of_test(&endpoint, "m", None),
            of_test(&endpoint, "m", Some(ModelType::Chat)),
            of_test(&endpoint, "n", None),
            of_listing(&endpoint, "m"),
            of_listing(&endpoint, "n"),
            with_key(&endpoint, None),
            with_key(&endpoint, Some("f")),
        ]);
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(call.digest(), call.clone().digest());
        assert_eq!(of_probe(&endpoint, None), endpoint);
    }
}
