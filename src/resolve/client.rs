//! What a LangChain client is made with.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::Target;
use crate::encryption::SecretFields;
use crate::snapshot::ModelView;
use crate::vendors::{ClientConfig, ClientInput, driver};

/// Parts of names of arguments by which a client is sent elsewhere, given another key or made another
/// client. Whoever may edit a model need not be able to move its endpoint, nor to see where its key
/// goes, so that `defaultParameters` have none of these.
const OF_THE_CONNECTION: [&str; 27] = [
    "api_base",
    "api_key",
    "api_type",
    "api_version",
    "aws",
    "azure",
    "base_url",
    "callback",
    "cert",
    "client",
    "credential",
    "deployment",
    "endpoint",
    "header",
    "host",
    "organization",
    "profile",
    "provider",
    "proxy",
    "proxies",
    "query",
    "region",
    "secret",
    "socket",
    "ssl",
    "transport",
    "url",
];

/// The same of whole names, and those that the client gets by itself.
const RESERVED: [&str; 7] = [
    "config",
    "config_prefix",
    "configurable_fields",
    "model",
    "model_id",
    "model_name",
    "verify",
];

/// What a client of this model at this target is made with: the declared parameters, and over them
/// what the connection takes. `key` is the key that goes with it, where it is at hand; without it the
/// configuration is that of a client whose key comes from elsewhere, if there is one.
pub fn client_config(
    model: &ModelView,
    target: &Target,
    key: Option<&SecretFields>,
) -> ClientConfig {
    let endpoint = &target.endpoint.view;
    let headers: Vec<_> = endpoint
        .headers
        .iter()
        .map(|header| (header.name.clone(), header.value.clone()))
        .collect();
    let elsewhere = SecretFields {
        api_key: Some(SecretString::default()),
        ..SecretFields::default()
    };
    let has_one = !target.credentials.is_empty() || target.exchange.is_some();
    let key = key.or_else(|| has_one.then_some(&elsewhere));
    let mut config = driver(target.provider.view.type_).client_config(&ClientInput {
        model_id: &model.model_id,
        base_url: &target.base_url,
        region: endpoint.region.as_deref(),
        api_version: endpoint.api_version.as_deref(),
        headers: &headers,
        timeout: Duration::from_secs(u64::try_from(endpoint.timeout_read).unwrap_or_default()),
        retries: u32::try_from(endpoint.retry_count).unwrap_or_default(),
        key,
    });
    for (name, value) in model.default_parameters.iter().flat_map(parameters) {
        config.kwargs.entry(name).or_insert(value);
    }
    config
}

/// What of these are parameters of calls. Arguments within an argument (`model_kwargs`) are handed on to the
/// same calls, so that the same holds for their names: by a header `Host` among them a key would reach
/// whomever else a shared gateway serves.
fn parameters(declared: &Map<String, Value>) -> Map<String, Value> {
    let kept = declared.iter().filter(|(name, _)| is_parameter(name));
    let kept = kept.map(|(name, value)| {
        let value = match value {
            Value::Object(within) if name.to_lowercase().ends_with("kwargs") => {
                parameters(within).into()
            }
            value => value.clone(),
        };
        (name.clone(), value)
    });
    kept.collect()
}

/// Whether this is a parameter of calls, and not of the connection.
fn is_parameter(name: &str) -> bool {
    let name = name.to_lowercase();
    !RESERVED.contains(&name.as_str()) && !OF_THE_CONNECTION.iter().any(|part| name.contains(part))
}
