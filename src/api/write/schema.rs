//! Schemas of the bodies of writes, made from the resources' own: the same limits, said once. Which fields go
//! together is in [`super::body_rules`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::body::{ALLOWED_HOSTS, KEY_FIELDS};
use super::body_rules;
use super::secret::MAX_HOST_CHARS;
use crate::crd::Kind;
use crate::crd::field_schemas::{self, Absent, or_null, part, rename_properties, spec_of};
use crate::crd::fields::{self, Field, Form};
use crate::crd::hosts::MAX_HOSTS;
use crate::crd::rules::ALLOWED_HOST_PATTERN;
use crate::keys::key_text::{KEY_PATTERN, MAX_KEY_CHARS, MAX_TOKEN_CHARS};

/// Whether a body makes an object or replaces one.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Use {
    New,
    Replacement,
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $kind:ident, $use:ident;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                body(Kind::$kind, Use::$use)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+

        /// Names of the schemas of bodies.
        pub const BODIES: &[&str] = &[$(stringify!($name),)+ "StatusChange"];
    };
}

bodies! {
    /// A provider that is to be made.
    NewProvider = Provider, New;
    /// What a provider is to be.
    ProviderReplacement = Provider, Replacement;
    /// An endpoint that is to be made.
    NewEndpoint = Endpoint, New;
    /// What an endpoint is to be.
    EndpointReplacement = Endpoint, Replacement;
    /// A credential that is to be made.
    NewCredential = Credential, New;
    /// What a credential is to be.
    CredentialReplacement = Credential, Replacement;
    /// A model that is to be made.
    NewModel = Model, New;
    /// What a model is to be.
    ModelReplacement = Model, Replacement;
}

/// A switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusChange {
    /// Whether the provider, and with it all that is its own, is in force.
    pub is_active: bool,
}

fn body(kind: Kind, used: Use) -> RefOr<Schema> {
    let spec = spec_of(kind);
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields::of(kind) {
        let is_required = items(&spec["required"]).any(|name| name == field.place);
        properties.insert(
            field.name.to_owned(),
            property(spec, field, is_required, used),
        );
        if is_required {
            required.push(Value::from(field.name));
        }
    }
    properties.insert("name".to_owned(), name(spec, used));
    if used == Use::New {
        required.push("name".into());
    }
    if kind == Kind::Credential {
        properties.extend(of_key());
    }
    let rules = body_rules::of(kind, used, spec, &properties);
    let schema = json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    });
    with_rules(read(schema), rules)
}

/// The schema with rules about what fields go together.
fn with_rules(mut schema: RefOr<Schema>, rules: Map<String, Value>) -> RefOr<Schema> {
    if let RefOr::T(Schema::Object(object)) = &mut schema
        && !rules.is_empty()
    {
        // It has no field of its own for them.
        object.extensions = Some(Extensions::from_iter([("dependentSchemas", rules)]));
    }
    schema
}

/// Made of plain data: it always is one.
fn read(schema: Value) -> RefOr<Schema> {
    serde_json::from_value(schema).unwrap_or_else(|_| Object::new().into())
}

/// A resource's schema as a body's, in which null is as if it were not said.
fn translated(of_spec: &Value) -> Value {
    field_schemas::translated(of_spec, Absent::OrNull)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn property(spec: &Value, field: &Field, is_required: bool, used: Use) -> Value {
    let of_spec = part(spec, field);
    let mut schema = translated(of_spec);
    match field.form {
        Form::Word(_) => {
            let lower = |word: &Value| word.as_str().map(|word| Value::from(word.to_lowercase()));
            schema["enum"] = items(&of_spec["enum"]).filter_map(lower).collect();
            schema["default"] = lower(&of_spec["default"]).unwrap_or_default();
        }
        Form::Endpoints => {
            // A UID has the form of a name.
            let mut id = translated(&of_spec["items"]["properties"]["name"]);
            id.as_object_mut().and_then(|id| id.remove("description"));
            schema["items"] = id;
            schema["uniqueItems"] = true.into();
            schema["description"] =
                "The endpoints that it is for, by id or name; empty: all of the provider's.".into();
        }
        Form::Kept | Form::Part if used == Use::Replacement => {
            schema["description"] = format!(
                "{} Without it: as it is.",
                schema["description"].as_str().unwrap_or_default()
            )
            .into();
            schema
                .as_object_mut()
                .and_then(|schema| schema.remove("default"));
        }
        Form::Tiers => rename_properties(&mut schema["items"], false, |name| {
            fields::tier_shown(name).to_owned()
        }),
        Form::Same | Form::Kept | Form::Part => {}
    }
    if field.form == Form::Part {
        rename_properties(&mut schema, true, fields::snake_case);
    }
    match is_required {
        true => schema,
        false => or_null(schema),
    }
}

/// An object's name is a reference's.
fn name(spec: &Value, used: Use) -> Value {
    let reference = match &spec["properties"]["providerRef"] {
        Value::Null => &spec["properties"]["defaultEndpointRef"],
        reference => reference,
    };
    let mut schema = translated(&reference["properties"]["name"]);
    schema["minLength"] = 1.into();
    schema["description"] = "Name of the object.".into();
    match used {
        Use::New => schema,
        Use::Replacement => {
            schema["description"] = "Name of the object, which cannot be changed.".into();
            or_null(schema)
        }
    }
}

fn of_key() -> Map<String, Value> {
    let what = [
        "The API key, or the access key id. It is stored in a Secret and never shown.",
        "The secret key that goes with it. It is stored in a Secret and never shown.",
        "A session token or an access token. It is stored in a Secret and never shown.",
    ];
    let longest = [MAX_KEY_CHARS, MAX_KEY_CHARS, MAX_TOKEN_CHARS];
    let field = |((name, what), longest): ((&str, &str), usize)| {
        let schema = json!({
            "type": ["string", "null"], "format": "password", "writeOnly": true, "minLength": 1,
            "maxLength": longest, "pattern": KEY_PATTERN, "description": what,
        });
        (name.to_owned(), schema)
    };
    let mut properties: Map<_, _> = KEY_FIELDS
        .into_iter()
        .zip(what)
        .zip(longest)
        .map(field)
        .collect();
    let hosts = json!({
        "type": ["array", "null"], "maxItems": MAX_HOSTS,
        "items": { "type": "string", "maxLength": MAX_HOST_CHARS, "pattern": ALLOWED_HOST_PATTERN },
        "description": "Hosts beside the vendor's own that the key may be sent to: the annotation of its Secret.",
    });
    properties.insert(ALLOWED_HOSTS.to_owned(), hosts);
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(kind: Kind, used: Use) -> Value {
        serde_json::to_value(body(kind, used)).unwrap()
    }

    #[test]
    fn limits_are_those_of_the_resource() {
        let endpoint = schema(Kind::Endpoint, Use::New);
        assert_eq!(endpoint["properties"]["retry_count"]["maximum"], 10);
        assert_eq!(
            endpoint["properties"]["retry_count"]["type"],
            json!(["integer", "null"])
        );
        assert_eq!(endpoint["properties"]["base_url"]["maxLength"], 2048);
        assert_eq!(endpoint["required"], json!(["name"]));
        assert_eq!(endpoint["additionalProperties"], false);
        let model = schema(Kind::Model, Use::Replacement);
        assert_eq!(model["required"], json!(["model_id"]));
        let statuses = json!(["available", "maintenance", "deprecated", null]);
        assert_eq!(model["properties"]["status"]["enum"], statuses);
        assert_eq!(
            model["properties"]["input_price"]["pattern"],
            crate::crd::rules::PRICE_PATTERN
        );
        assert_eq!(
            model["properties"]["capabilities"]["items"]["properties"]["score"]["maximum"],
            5
        );
        assert!(model["dependentSchemas"]["input_price"].is_object());
        let properties = &model["properties"];
        assert_eq!(properties["recommended_for"]["uniqueItems"], true);
        assert!(properties["endpoint_ids"]["items"]["pattern"].is_string());
        let provider = schema(Kind::Provider, Use::New);
        assert!(provider["dependentSchemas"].is_null());
        assert_eq!(provider["required"], json!(["type", "name"]));
        assert!(provider["properties"]["name"]["pattern"].is_string());
    }

    #[test]
    fn every_field_has_a_type_and_a_description() {
        // Classes are not written by the API.
        for kind in Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::ModelClass)
        {
            for used in [Use::New, Use::Replacement] {
                let schema = schema(kind, used);
                let properties = schema["properties"].as_object().unwrap();
                let names: Vec<_> = properties.keys().map(String::as_str).collect();
                let mut known: Vec<_> = super::super::body::known(kind).collect();
                known.sort_unstable();
                assert_eq!(names, known);
                for (name, schema) in properties {
                    assert!(!schema["type"].is_null(), "{kind} {name}: {schema}");
                    assert!(schema["description"].is_string(), "{kind} {name}: {schema}");
                }
            }
        }
    }
}
