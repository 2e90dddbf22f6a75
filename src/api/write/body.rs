//! What a body declares: a JSON object whose fields are those of the kind's rows that can be declared,
//! and `name`.
//!
//! Whether their values make sense is the cluster's to say. What is refused here is what would not
//! reach it as it was meant: a field that is not known, is only shown, or is given twice.

use std::collections::BTreeSet;
use std::fmt;

use axum::body::Body;
use secrecy::SecretString;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use utoipa::openapi::{RefOr, Schema};
use zeroize::Zeroize;

use super::{StatusChange, Write};
use crate::api::problem::Problem;
use crate::api::read::list_query::{Resource, is_object_name};
use crate::api::read::request_body::{self, MAX_TOLD};
use crate::crd::names::did_you_mean;
use crate::crd::{Kind, fields, model};

/// What of a key a body may hold, beside what it declares.
pub const KEY_FIELDS: [&str; 3] = ["api_key", "secret_key", "access_token"];
/// Further hosts that the key may be sent to.
pub const ALLOWED_HOSTS: &str = "allowed_hosts";

/// What a body declares.
#[derive(Debug, Default)]
pub struct Draft {
    /// The object's name, where the body says it.
    pub name: Option<String>,
    /// Its fields, without those that are null.
    pub fields: Map<String, Value>,
    /// The key, in the order of [`KEY_FIELDS`].
    pub key: [Option<SecretString>; 3],
    /// Further hosts that the key may be sent to.
    pub allowed_hosts: Option<Vec<String>>,
}

impl Draft {
    /// Reads a body for a kind.
    ///
    /// # Errors
    ///
    /// 400 that names the field and the remedy, and what [`request_body::json`] refuses.
    pub async fn read<V: Resource>(write: &Write, body: Body) -> Result<Self, Problem> {
        let body = request_body::json(
            &write.state.memory,
            &write.sent,
            body,
            request_body::MAX_DECLARATION,
        )
        .await?;
        Self::of::<V>(object(&body)?)
    }

    /// What an object declares for a kind.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn of<V: Resource>(given: Map<String, Value>) -> Result<Self, Problem> {
        let mut wiped = WipedKeys(given);
        let given = &mut wiped.0;
        if let Some(unknown) = given.keys().find(|name| !takes(V::KIND, name)) {
            return Err(Problem::body(refusal_of_field::<V>(unknown)));
        }
        given.retain(|_, value| !value.is_null());
        let mut draft = Self::default();
        if let Some(name) = given.remove("name") {
            draft.name = Some(object_name(name)?);
        }
        for (field, place) in KEY_FIELDS.into_iter().zip(&mut draft.key) {
            *place = given
                .remove(field)
                .map(|value| key(field, value))
                .transpose()?;
        }
        draft.allowed_hosts = given.remove(ALLOWED_HOSTS).map(hosts).transpose()?;
        if let Some(parameters) = given.get("default_parameters") {
            let spec = serde_json::json!({ "defaultParameters": parameters });
            if let Some(why) = model::parameters_out_of_bounds(&spec) {
                let why = why.replace("spec.defaultParameters", "default_parameters");
                return Err(Problem::body(why));
            }
        }
        draft.fields = std::mem::take(given);
        Ok(draft)
    }

    /// The name of a new object.
    ///
    /// # Errors
    ///
    /// 400 where the body does not say it.
    pub fn required_name(&self) -> Result<&str, Problem> {
        self.name.as_deref().ok_or_else(|| {
            Problem::body(
                "name: give the new object a name: lower-case letters, digits, '-' and '.'",
            )
        })
    }

    /// Whether it holds anything of a key.
    pub fn has_key(&self) -> bool {
        self.key.iter().any(Option::is_some)
    }
}

impl StatusChange {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// As [`Draft::read`].
    pub async fn read(write: &Write, body: Body) -> Result<Self, Problem> {
        let body = request_body::json(
            &write.state.memory,
            &write.sent,
            body,
            request_body::MAX_DECLARATION,
        )
        .await?;
        let said = serde_json::from_value(object(&body)?.into());
        said.map_err(|_| {
            Problem::body(
                "send {\"is_active\": true} or {\"is_active\": false}, and no other field",
            )
        })
    }
}

/// Whether bodies of this kind have this field.
fn takes(kind: Kind, name: &str) -> bool {
    known(kind).any(|known| known == name)
}

/// The fields that bodies of this kind have.
pub fn known(kind: Kind) -> impl Iterator<Item = &'static str> {
    let of_key = [KEY_FIELDS.as_slice(), &[ALLOWED_HOSTS]].concat();
    let of_key = of_key.into_iter().filter(move |_| kind == Kind::Credential);
    let declared = fields::of(kind).iter().map(|field| field.name);
    ["name"].into_iter().chain(declared).chain(of_key)
}

/// Why a body has no such field.
fn refusal_of_field<V: Resource>(name: &str) -> String {
    if name == "masked_key" {
        return "masked_key: a masked key is no key; send the key itself as api_key, or leave both out to \
                keep the one that is there"
            .to_owned();
    }
    if shown::<V>().contains(name) {
        return format!("{name}: it is shown and cannot be set; leave it out");
    }
    let told: String = name.chars().take(MAX_TOLD).collect();
    let near = did_you_mean(&told, known(V::KIND));
    let known: Vec<_> = known(V::KIND).collect();
    format!(
        "{told:?} is no field of a {}{near}; it has {}",
        V::KIND,
        known.join(", ")
    )
}

/// The fields of a kind's rows.
fn shown<V: Resource>() -> BTreeSet<String> {
    fn names(schema: RefOr<Schema>, found: &mut BTreeSet<String>) {
        match schema {
            RefOr::T(Schema::Object(object)) => found.extend(object.properties.into_keys()),
            RefOr::T(Schema::AllOf(parts)) => {
                parts.items.into_iter().for_each(|part| names(part, found));
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    names(V::schema(), &mut found);
    names(
        <crate::snapshot::Common as utoipa::PartialSchema>::schema(),
        &mut found,
    );
    found
}

fn object_name(value: Value) -> Result<String, Problem> {
    match value {
        Value::String(name) if is_object_name(&name) => Ok(name),
        _ => Err(Problem::body(
            "name: expected a text of at most 253 lower-case letters, digits, '-' and '.', beginning and \
             ending with a letter or digit",
        )),
    }
}

/// The fields of a body, in which no key outlives them.
struct WipedKeys(Map<String, Value>);

impl Drop for WipedKeys {
    fn drop(&mut self) {
        for field in KEY_FIELDS {
            if let Some(Value::String(key)) = self.0.get_mut(field) {
                key.zeroize();
            }
        }
    }
}

fn key(field: &str, value: Value) -> Result<SecretString, Problem> {
    match value {
        Value::String(mut text) => {
            let key = SecretString::from(text.as_str());
            text.zeroize();
            Ok(key)
        }
        _ => Err(Problem::body(format!("{field}: expected a text, the key"))),
    }
}

fn hosts(value: Value) -> Result<Vec<String>, Problem> {
    let refused = || {
        Problem::body(format!(
            "{ALLOWED_HOSTS}: expected a list of hosts, each a text"
        ))
    };
    let Value::Array(hosts) = value else {
        return Err(refused());
    };
    let text = |host: Value| match host {
        Value::String(host) => Ok(host),
        _ => Err(refused()),
    };
    hosts.into_iter().map(text).collect()
}

/// The fields of a JSON object, none of which is given twice.
///
/// # Errors
///
/// 400 that says where it is something else.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read: Strict = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| request_body::refusal(&error.path().to_string(), error.inner()))?;
    json.end()
        .map_err(|error| request_body::refusal(".", &error))?;
    match read.0 {
        Value::Object(fields) => Ok(fields),
        _ => Err(Problem::body(
            "send a JSON object with the fields of a row, such as {\"name\": \"main\"}",
        )),
    }
}

/// A JSON value in which no object has a field twice and no text a NUL character, which the database
/// does not hold.
struct Strict(Value);

struct StrictVisitor;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

fn text<E: de::Error>(text: String) -> Result<String, E> {
    match text.contains('\0') {
        true => Err(E::custom("it holds a NUL character; take it out")),
        false => Ok(text),
    }
}

/// The whole number that a number with a fraction of zero is: `1.0` is 1 in JSON Schema, and no integer
/// for the kube-apiserver's rules. Beyond 2^53 neighbours are the same number.
fn whole(value: f64) -> Option<i64> {
    const LARGEST: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    (value.fract() == 0.0 && value.abs() <= LARGEST).then_some(value as i64)
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if let Some(whole) = whole(value) {
            return Ok(whole.into());
        }
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("it is too large a number"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        text(value.to_owned()).map(Value::String)
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        text(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let name = text(name)?;
            if object.contains_key(&name) {
                let told: String = name.chars().take(MAX_TOLD).collect();
                return Err(de::Error::custom(format!(
                    "the field {told:?} is given more than once; say it once"
                )));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::snapshot::{CredentialView, EndpointView, ModelView, ProviderView};

    fn refused<V: Resource>(body: &str) -> String {
        let draft = object(body.as_bytes()).and_then(Draft::of::<V>);
        draft.expect_err("it is refused").detail
    }

    #[test]
    fn what_is_not_known_is_named_with_what_was_meant() {
        let said = refused::<ProviderView>(r#"{"displayname": "x"}"#);
        assert!(
            said.starts_with(
                "\"displayname\" is no field of a provider; did you mean \"display_name\"?"
            ),
            "{said}"
        );
        assert!(refused::<EndpointView>(r#"{"health": {}}"#).starts_with("health: it is shown"));
        assert!(
            refused::<EndpointView>(r#"{"provider_id": "x"}"#)
                .starts_with("provider_id: it is shown")
        );
        assert!(refused::<ModelView>(r#"{"api_key": "x"}"#).contains("no field of a model"));
        assert!(
            refused::<CredentialView>(r#"{"masked_key": "sk-********1234"}"#).contains("no key")
        );
        assert!(refused::<CredentialView>(r#"{"id": "x"}"#).starts_with("id: it is shown"));
    }

    #[test]
    fn every_field_of_a_row_is_declared_or_shown_and_every_other_is_of_the_secret() {
        let of_secret = [
            "secret_name",
            "api_key_entry",
            "secret_key_entry",
            "access_token_entry",
        ];
        for (kind, shown) in [
            (Kind::Provider, shown::<ProviderView>()),
            (Kind::Endpoint, shown::<EndpointView>()),
            (Kind::Credential, shown::<CredentialView>()),
            (Kind::Model, shown::<ModelView>()),
        ] {
            for field in fields::of(kind) {
                let there = shown.contains(field.name) || of_secret.contains(&field.name);
                assert!(there, "{kind} has no {}", field.name);
            }
        }
    }

    #[test]
    fn a_body_that_is_no_object_or_says_a_thing_twice_is_refused() {
        for (body, words) in [
            ("", "not valid JSON"),
            ("[]", "send a JSON object"),
            ("{\"name\": \"a\"} x", "not valid JSON"),
            (
                "{\"name\": \"a\", \"name\": \"b\"}",
                "\"name\" is given more than once",
            ),
            (
                "{\"default_parameters\": {\"a\": {\"b\": 1, \"b\": 2}}}",
                "default_parameters.a: the field \"b\"",
            ),
            ("{\"name\": \"a\\u0000\"}", "name: it holds a NUL"),
            ("{\"name\": \"A\"}", "name: expected"),
            ("{\"name\": 7}", "name: expected"),
            (
                &format!("{}1{}", "[".repeat(200), "]".repeat(200)),
                "recursion limit",
            ),
        ] {
            let said = refused::<ModelView>(body);
            assert!(said.contains(words), "{body:.40}: {said}");
        }
        let deep = format!(
            "{{\"default_parameters\": {}1{}}}",
            "{\"a\":".repeat(40),
            "}".repeat(40)
        );
        assert!(refused::<ModelView>(&deep).contains("default_parameters is nested"));
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        let body = r#"{"context_window": 1.0, "max_input_tokens": 2e3, "default_parameters":
            {"a": -0.0, "b": 0.5, "c": [9007199254740992.0], "d": 1e300}}"#;
        let draft = object(body.as_bytes()).and_then(Draft::of::<ModelView>);
        let read = json!(draft.unwrap().fields).to_string();
        let written = json!({
            "context_window": 1, "max_input_tokens": 2000, "default_parameters":
            { "a": 0, "b": 0.5, "c": [9_007_199_254_740_992_i64], "d": 1e300 },
        });
        assert_eq!(read, written.to_string());
    }

    #[test]
    fn null_is_what_is_not_said() {
        let body = json!({ "name": "a", "display_name": null, "description": "d" });
        let draft = object(body.to_string().as_bytes()).and_then(Draft::of::<ProviderView>);
        assert_eq!(json!(draft.unwrap().fields), json!({ "description": "d" }));
    }

    #[test]
    fn a_key_is_never_shown() {
        let body = json!({ "name": "a", "api_key": "sk-canary-0123456789" });
        let draft = object(body.to_string().as_bytes()).and_then(Draft::of::<CredentialView>);
        let draft = draft.unwrap();
        assert!(draft.has_key());
        assert!(!format!("{draft:?}").contains("canary"));
        let wrong = refused::<CredentialView>(r#"{"api_key": ["sk-canary-0123456789"]}"#);
        assert!(!wrong.contains("canary"), "{wrong}");
    }
}
