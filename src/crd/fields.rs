//! What a field of a resource's spec is called in the API's rows and bodies: one line a field.
//!
//! What bodies may say, their schemas, the names of fields in a refusal and those of a row's origins
//! all come from here.

use serde_json::{Map, Value};

use super::Kind;

/// A field that rows show and bodies set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in rows and bodies.
    pub name: &'static str,
    /// Its place in the spec, with a dot between levels.
    pub place: &'static str,
    /// How a row's value becomes the spec's.
    pub form: Form,
}

/// How a row's value becomes the spec's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Same,
    /// As it is; a replacement that does not say it leaves it as it was.
    Kept,
    /// One of these words, which rows have in lower case.
    Word(&'static [&'static str]),
    /// Endpoints of the same provider: ids in rows, references by name in the spec.
    Endpoints,
}

const fn field(name: &'static str, place: &'static str, form: Form) -> Field {
    Field { name, place, form }
}

const PROVIDER: &[Field] = &[
    field("type", "type", Form::Same),
    field("display_name", "displayName", Form::Same),
    field("description", "description", Form::Same),
    field("is_active", "enabled", Form::Kept),
];

const ENDPOINT: &[Field] = &[
    field("display_name", "displayName", Form::Same),
    field("base_url", "baseUrl", Form::Same),
    field("api_version", "apiVersion", Form::Same),
    field("region", "region", Form::Same),
    field("timeout_connect", "connectTimeoutSeconds", Form::Same),
    field("timeout_read", "readTimeoutSeconds", Form::Same),
    field("retry_count", "retry.count", Form::Same),
    field(
        "retry_interval_ms",
        "retry.intervalMilliseconds",
        Form::Same,
    ),
    field("priority", "priority", Form::Same),
    field("is_active", "enabled", Form::Kept),
];

const CREDENTIAL: &[Field] = &[
    field("endpoint_ids", "endpointRefs", Form::Endpoints),
    field("alias", "alias", Form::Same),
    field("description", "description", Form::Same),
    field("expires_at", "expiresAt", Form::Same),
    field("quota_limit", "quota.limit", Form::Same),
    field("quota_unit", "quota.unit", Form::Same),
    field("quota_period", "quota.period", Form::Same),
    field("priority", "priority", Form::Same),
    field("is_active", "enabled", Form::Kept),
    field("secret_name", "secretRef.name", Form::Kept),
    field("api_key_entry", "secretRef.keys.apiKey", Form::Kept),
    field("secret_key_entry", "secretRef.keys.secretKey", Form::Kept),
    field(
        "access_token_entry",
        "secretRef.keys.accessToken",
        Form::Kept,
    ),
];

const LIFECYCLE: &[&str] = &["Available", "Maintenance", "Deprecated"];

const MODEL: &[Field] = &[
    field("endpoint_ids", "endpointRefs", Form::Endpoints),
    field("model_id", "modelId", Form::Same),
    field("display_name", "displayName", Form::Same),
    field("version", "version", Form::Same),
    field("type", "type", Form::Same),
    field("context_window", "contextWindow", Form::Same),
    field("max_input_tokens", "maxInputTokens", Form::Same),
    field("max_output_tokens", "maxOutputTokens", Form::Same),
    field("currency", "pricing.currency", Form::Same),
    field("input_price", "pricing.inputPer1kTokens", Form::Same),
    field("output_price", "pricing.outputPer1kTokens", Form::Same),
    field("capabilities", "capabilities", Form::Same),
    field("recommended_for", "recommendedFor", Form::Same),
    field("default_parameters", "defaultParameters", Form::Same),
    field("status", "lifecycle", Form::Word(LIFECYCLE)),
    field("is_active", "enabled", Form::Kept),
];

/// The fields of a kind that bodies may set.
pub const fn of(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Provider => PROVIDER,
        Kind::Endpoint => ENDPOINT,
        Kind::Credential => CREDENTIAL,
        Kind::Model => MODEL,
    }
}

/// The fields whose values are in this part of the spec.
pub fn within<'p>(kind: Kind, part: &'p str) -> impl Iterator<Item = &'static Field> + use<'p> {
    of(kind).iter().filter(move |field| {
        let rest = field.place.strip_prefix(part);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// A place in an object, such as `spec.retry.count` or `spec.capabilities[0].score`, in the words of
/// a body: `retry_count`, `capabilities[0].score`.
pub fn told(kind: Kind, place: &str) -> String {
    let place = place.strip_prefix("metadata.").unwrap_or(place);
    let place = place.strip_prefix("spec.").unwrap_or(place);
    let begins = |field: &&Field| {
        let rest = place.strip_prefix(field.place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let found = of(kind).iter().find(begins);
    let (name, rest) = match found {
        Some(field) => (field.name, &place[field.place.len()..]),
        None => ("", place),
    };
    format!("{name}{}", snake_case(rest))
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

impl Field {
    /// Its value in a spec.
    pub fn read<'s>(&self, spec: &'s Map<String, Value>) -> Option<&'s Value> {
        let mut parts = self.place.split('.');
        let first = spec.get(parts.next()?)?;
        parts.try_fold(first, |at, part| at.get(part))
    }

    /// Puts its value into a spec; `None` takes it out, and what holds nothing then.
    pub fn write(&self, spec: &mut Map<String, Value>, value: Option<Value>) {
        let parts: Vec<&str> = self.place.split('.').collect();
        put(spec, &parts, value);
    }

    /// Its value in a row, from that in the spec.
    pub fn shown(&self, spec: &Map<String, Value>) -> Option<Value> {
        let value = self.read(spec)?;
        Some(match (self.form, value) {
            (Form::Word(_), Value::String(word)) => word.to_lowercase().into(),
            (Form::Endpoints, Value::Array(references)) => references
                .iter()
                .filter_map(|reference| reference.get("name").cloned())
                .collect(),
            _ => value.clone(),
        })
    }
}

fn put(object: &mut Map<String, Value>, parts: &[&str], value: Option<Value>) {
    match (parts, value) {
        ([], _) => {}
        ([last], Some(value)) => drop(object.insert((*last).to_owned(), value)),
        ([last], None) => drop(object.remove(*last)),
        ([first, rest @ ..], value) => {
            let inner = object
                .entry(*first)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
            if inner.as_object().is_some_and(Map::is_empty) {
                object.remove(*first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_is_in_the_schema() {
        for (kind, crd) in Kind::ALL.into_iter().zip(crate::crd::crds()) {
            assert_eq!(crd.spec.names.kind, kind.kubernetes());
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
            for field in of(kind) {
                let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
                let at = field
                    .place
                    .split('.')
                    .fold(spec, |at, part| &at["properties"][part]);
                assert!(at.is_object(), "{kind}: {}", field.place);
            }
        }
    }

    #[test]
    fn the_words_of_a_life_are_all_of_them() {
        assert_eq!(
            LIFECYCLE,
            crate::crd::model::Lifecycle::ALL.map(|one| one.as_str())
        );
    }

    #[test]
    fn what_holds_nothing_is_taken_out_with_its_last_value() {
        let mut spec = Map::new();
        let [_, _, _, _, _, _, count, interval, ..] = ENDPOINT else {
            panic!("the order of the fields");
        };
        count.write(&mut spec, Some(json!(3)));
        interval.write(&mut spec, Some(json!(7)));
        assert_eq!(
            Value::Object(spec.clone()),
            json!({ "retry": { "count": 3, "intervalMilliseconds": 7 } })
        );
        count.write(&mut spec, None);
        assert_eq!(
            json!(spec),
            json!({ "retry": { "intervalMilliseconds": 7 } })
        );
        interval.write(&mut spec, None);
        assert_eq!(json!(spec), json!({}));
        interval.write(&mut spec, None);
        assert_eq!(json!(spec), json!({}));
    }

    #[test]
    fn a_place_is_told_in_the_words_of_a_body() {
        for (kind, place, words) in [
            (Kind::Endpoint, "spec.retry.count", "retry_count"),
            (
                Kind::Endpoint,
                "spec.connectTimeoutSeconds",
                "timeout_connect",
            ),
            (Kind::Endpoint, "metadata.name", "name"),
            (
                Kind::Model,
                "spec.capabilities[0].score",
                "capabilities[0].score",
            ),
            (Kind::Model, "spec.lifecycle", "status"),
            (Kind::Model, "spec.pricing.inputPer1kTokens", "input_price"),
            (Kind::Model, "spec.pricing", "pricing"),
            (
                Kind::Credential,
                "spec.endpointRefs[1].name",
                "endpoint_ids[1].name",
            ),
            (
                Kind::Credential,
                "spec.secretRef.keys.apiKey",
                "api_key_entry",
            ),
            (
                Kind::Provider,
                "spec.modelSync.periodSeconds",
                "model_sync.period_seconds",
            ),
        ] {
            assert_eq!(told(kind, place), words);
        }
    }
}
