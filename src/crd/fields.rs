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
    /// Tiers of prices, whose fields are named in rows as the prices beside them are.
    Tiers,
    /// A part of the spec as a whole, whose fields have their own names in snake case; a replacement that does
    /// not say it leaves it as it was.
    Part,
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
    field("federation", "federation", Form::Part),
];

const LIFECYCLE: &[&str] = &["Available", "Maintenance", "Deprecated"];

const MODEL: &[Field] = &[
    field("endpoint_ids", "endpointRefs", Form::Endpoints),
    field("model_id", "modelId", Form::Same),
    field("base_model", "baseModel", Form::Same),
    field("display_name", "displayName", Form::Same),
    field("version", "version", Form::Same),
    field("type", "type", Form::Same),
    field("context_window", "contextWindow", Form::Same),
    field("max_input_tokens", "maxInputTokens", Form::Same),
    field("max_output_tokens", "maxOutputTokens", Form::Same),
    field("embedding_dimensions", "embeddingDimensions", Form::Same),
    field("input_modalities", "modalities.input", Form::Same),
    field("output_modalities", "modalities.output", Form::Same),
    field("currency", "pricing.currency", Form::Same),
    field("input_price", "pricing.inputPer1kTokens", Form::Same),
    field("output_price", "pricing.outputPer1kTokens", Form::Same),
    field(
        "cache_read_price",
        "pricing.cacheReadPer1kTokens",
        Form::Same,
    ),
    field(
        "cache_write_price",
        "pricing.cacheWritePer1kTokens",
        Form::Same,
    ),
    field(
        "reasoning_price",
        "pricing.reasoningPer1kTokens",
        Form::Same,
    ),
    field(
        "audio_input_price",
        "pricing.audioInputPer1kTokens",
        Form::Same,
    ),
    field(
        "audio_output_price",
        "pricing.audioOutputPer1kTokens",
        Form::Same,
    ),
    field(
        "batch_input_price",
        "pricing.batchInputPer1kTokens",
        Form::Same,
    ),
    field(
        "batch_output_price",
        "pricing.batchOutputPer1kTokens",
        Form::Same,
    ),
    field("image_price", "pricing.perImage", Form::Same),
    field("request_price", "pricing.perRequest", Form::Same),
    field("price_tiers", "pricing.tiers", Form::Tiers),
    field("limits", "limits", Form::Same),
    field("capabilities", "capabilities", Form::Same),
    field("recommended_for", "recommendedFor", Form::Same),
    field("default_parameters", "defaultParameters", Form::Same),
    field("status", "lifecycle", Form::Word(LIFECYCLE)),
    field("deprecated_at", "deprecatedAt", Form::Same),
    field("retires_at", "retiresAt", Form::Same),
    field("replacement_model_id", "replacement.modelId", Form::Same),
    field("is_active", "enabled", Form::Kept),
];

/// What a model must be: in a body of `POST /resolve`, in a class's row, and in its `spec.need`.
pub const NEED: &[Field] = &[
    field("capabilities", "capabilities", Form::Same),
    field("min_score", "minScore", Form::Same),
    field("min_context_window", "minContextWindow", Form::Same),
    field("min_output_tokens", "minOutputTokens", Form::Same),
    field("max_input_price", "maxInputPricePer1kTokens", Form::Same),
    field("max_output_price", "maxOutputPricePer1kTokens", Form::Same),
    field("currency", "currency", Form::Same),
    field("provider_types", "providerTypes", Form::Same),
    field("regions", "regions", Form::Same),
    field("selector", "selector.matchLabels", Form::Same),
    field("exclude", "exclude", Form::Same),
    field("input_modalities", "modalities.input", Form::Same),
    field("output_modalities", "modalities.output", Form::Same),
    field("embedding_dimensions", "embeddingDimensions", Form::Same),
    field("recommended_for", "recommendedFor", Form::Same),
    field("prompt_tokens", "promptTokens", Form::Same),
    field("cached_tokens", "cachedTokens", Form::Same),
    field("output_tokens", "outputTokens", Form::Same),
];

/// The names of a tier's fields, in rows and in the spec: those of the prices beside tiers, and where it
/// begins.
fn tier_fields() -> impl Iterator<Item = (&'static str, &'static str)> {
    let priced = MODEL.iter().filter_map(|field| {
        let place = field.place.strip_prefix("pricing.")?;
        place
            .ends_with("Per1kTokens")
            .then_some((field.name, place))
    });
    priced.chain([("from_input_tokens", "fromInputTokens")])
}

/// What a tier's field of the spec is called in rows; another name as it is.
pub fn tier_shown(place: &str) -> &str {
    let found = tier_fields().find(|(_, known)| *known == place);
    found.map_or(place, |(name, _)| name)
}

/// What a tier's field of a row is called in the spec; another name as it is.
pub fn tier_declared(name: &str) -> &str {
    let found = tier_fields().find(|(known, _)| *known == name);
    found.map_or(name, |(_, place)| place)
}

/// Tiers with their fields renamed.
pub fn renamed_tiers(tiers: &Value, rename: fn(&str) -> &str) -> Value {
    let renamed = |tier: &Value| match tier {
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (rename(name).to_owned(), value.clone()));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    };
    match tiers {
        Value::Array(tiers) => tiers.iter().map(renamed).collect(),
        other => other.clone(),
    }
}

/// The fields of a kind that bodies may set.
pub const fn of(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Provider => PROVIDER,
        Kind::Endpoint => ENDPOINT,
        Kind::Credential => CREDENTIAL,
        Kind::Model => MODEL,
        // Classes are declared by manifests alone.
        Kind::ModelClass => &[],
    }
}

/// Parts of a kind's spec of which there is one at a time: whoever declares one takes the others out.
pub const fn alternatives(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Credential => &["secretRef", "federation"],
        Kind::Provider | Kind::Endpoint | Kind::Model | Kind::ModelClass => &[],
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
    match found {
        Some(field) => {
            let rest = &place[field.place.len()..];
            match (field.form, rest.rsplit_once('.')) {
                (Form::Tiers, Some((tier, part))) => {
                    format!("{}{tier}.{}", field.name, tier_shown(part))
                }
                _ => format!("{}{}", field.name, snake_case(rest)),
            }
        }
        None => snake_case(place),
    }
}

/// A name of the spec's in snake case; capitals side by side are one word.
pub fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    let mut before = None;
    for c in camel.chars() {
        let begins =
            c.is_ascii_uppercase() && before.is_some_and(|c: char| !c.is_ascii_uppercase());
        if begins {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        before = Some(c);
    }
    snake
}

/// A part of a spec as rows show it: its fields, and theirs, in snake case.
pub fn part_shown(part: &Value) -> Value {
    match part {
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (snake_case(name), part_shown(value)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(part_shown).collect(),
        other => other.clone(),
    }
}

/// A field of a body that the part of the spec it is in does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// Its place in the part, with a dot between levels.
    pub place: String,
    /// The names that are known there.
    pub known: Vec<String>,
}

/// A part of a body as the spec has it, by that part's schema: null is as if it were not there, and what is
/// not there gets its default.
///
/// # Errors
///
/// The first field that the schema does not know.
pub fn part_declared(schema: &Value, given: &Value) -> Result<Value, UnknownField> {
    let (Value::Object(given), Value::Object(properties)) = (given, &schema["properties"]) else {
        return Ok(given.clone());
    };
    let mut declared = Map::new();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        let found = properties
            .iter()
            .find(|(place, _)| snake_case(place) == *name);
        let Some((place, schema)) = found else {
            let known = properties.keys().map(|place| snake_case(place));
            return Err(UnknownField {
                place: name.clone(),
                known: known.collect(),
            });
        };
        let value = part_declared(schema, value).map_err(|unknown| UnknownField {
            place: format!("{name}.{}", unknown.place),
            ..unknown
        })?;
        declared.insert(place.clone(), value);
    }
    for (place, schema) in properties {
        if let Some(default) = schema.get("default")
            && !declared.contains_key(place)
        {
            declared.insert(place.clone(), default.clone());
        }
    }
    Ok(declared.into())
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
            (Form::Tiers, tiers) => renamed_tiers(tiers, tier_shown),
            (Form::Part, part) => part_shown(part),
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
    fn a_class_may_need_what_a_request_may_and_nothing_else() {
        let schema = serde_json::to_value(&crate::crd::crds()[4].spec.versions[0].schema).unwrap();
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        let mut places: Vec<_> = NEED.iter().map(|field| field.place).collect();
        let mut known = Vec::new();
        for (name, part) in spec["properties"]["need"]["properties"]
            .as_object()
            .unwrap()
        {
            match part["properties"].as_object() {
                Some(parts) => known.extend(parts.keys().map(|part| format!("{name}.{part}"))),
                None => known.push(name.clone()),
            }
        }
        places.sort_unstable();
        known.sort_unstable();
        assert_eq!(places, known);
    }

    #[test]
    fn the_words_of_a_life_are_all_of_them() {
        assert_eq!(
            LIFECYCLE,
            crate::crd::model::Lifecycle::ALL.map(|one| one.as_str())
        );
    }

    #[test]
    fn a_tier_is_named_as_the_prices_beside_it() {
        let spec = json!([{ "fromInputTokens": 5, "inputPer1kTokens": "1", "cacheReadPer1kTokens": "0.1" }]);
        let row =
            json!([{ "from_input_tokens": 5, "input_price": "1", "cache_read_price": "0.1" }]);
        assert_eq!(renamed_tiers(&spec, tier_shown), row);
        assert_eq!(renamed_tiers(&row, tier_declared), spec);
        let tier = crate::crd::pricing::PriceTier::default();
        for (place, _) in tier.token_prices() {
            assert_ne!(tier_shown(place), place);
        }
    }

    #[test]
    fn a_part_is_shown_in_snake_case_and_declared_by_its_schema() {
        let schema = serde_json::to_value(&crate::crd::crds()[2].spec.versions[0].schema).unwrap();
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        let schema = &spec["properties"]["federation"];
        let declared = json!({
            "serviceAccountRef": { "name": "llm" }, "openAI": { "identityProviderId": "idp_1" },
            "expirationSeconds": 600,
        });
        let row = json!({
            "service_account_ref": { "name": "llm" }, "open_ai": { "identity_provider_id": "idp_1" },
            "expiration_seconds": 600,
        });
        assert_eq!(part_shown(&declared), row);
        assert_eq!(part_declared(schema, &row), Ok(declared));
        let nothing = json!({ "open_router": null, "audience": 7 });
        let declared = part_declared(schema, &nothing);
        assert_eq!(
            declared,
            Ok(json!({ "audience": 7, "expirationSeconds": 3600 }))
        );
        let odd = json!({ "open_ai": { "identityProviderId": "idp_1" } });
        let unknown = part_declared(schema, &odd).unwrap_err();
        assert_eq!(unknown.place, "open_ai.identityProviderId");
        assert!(unknown.known.contains(&"identity_provider_id".to_owned()));
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
                Kind::Model,
                "spec.pricing.tiers[1].cacheReadPer1kTokens",
                "price_tiers[1].cache_read_price",
            ),
            (Kind::Model, "spec.pricing.tiers", "price_tiers"),
            (
                Kind::Model,
                "spec.modalities.input[0]",
                "input_modalities[0]",
            ),
            (Kind::Model, "spec.replacement", "replacement"),
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
                Kind::Credential,
                "spec.federation.openAI.identityProviderId",
                "federation.open_ai.identity_provider_id",
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
