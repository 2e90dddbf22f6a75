//! Which fields of a body go together, as schemas say it. Pure.
//!
//! A field that is null is as if it were not there: so the rules are `dependentSchemas`, which
//! `dependentRequired` is too little for.

use serde_json::{Map, Value, json};

use super::body::{ALLOWED_HOSTS, KEY_FIELDS};
use super::credential::ENTRY_FIELDS;
use super::schema::Use;
use crate::crd::Kind;
use crate::crd::federation::EXCHANGERS;
use crate::crd::fields::{self, Field, Form};
use crate::crd::rules::ENTRA_AUDIENCES;

const SECRET: &str = "secret_name";
const FEDERATION: &str = "federation";

/// `dependentSchemas` of a kind's body; `spec` is the schema of the resource's spec, `properties` are the body's own.
pub(super) fn of(
    kind: Kind,
    used: Use,
    spec: &Value,
    properties: &Map<String, Value>,
) -> Map<String, Value> {
    let mut rules = parts(kind, spec);
    if kind == Kind::Credential {
        rules.extend(keys(used));
    }
    let rules = rules.into_iter();
    let mut rules: Map<_, _> = rules
        .map(|rule| (rule.field.to_owned(), rule.schema(properties)))
        .collect();
    if kind == Kind::Credential && used == Use::New {
        let [api_key, _, access_token] = KEY_FIELDS;
        let any =
            [api_key, access_token, SECRET, FEDERATION].map(|field| given(&[field], properties));
        // Whatever is made has a name.
        rules.insert("name".to_owned(), json!({ "anyOf": any }));
    }
    if let Some(rule) = rules.get_mut(FEDERATION) {
        *rule = json!({ "allOf": [rule, one_exchanger()] });
    }
    rules
}

/// What a body has, and has not, where it has a field.
struct Rule {
    field: &'static str,
    needs: Vec<&'static str>,
    excludes: Vec<&'static str>,
}

impl Rule {
    fn schema(&self, properties: &Map<String, Value>) -> Value {
        let mut there = given(&self.needs, properties);
        for name in &self.excludes {
            there["properties"][*name] = null();
        }
        let mut absent = Map::new();
        absent.insert(self.field.to_owned(), null());
        json!({ "anyOf": [{ "properties": absent }, there] })
    }
}

fn null() -> Value {
    json!({ "type": "null" })
}

/// A body that has these fields, and not as null.
fn given(fields: &[&str], properties: &Map<String, Value>) -> Value {
    let typed = |name: &&str| {
        let type_ = match &properties[*name]["type"] {
            Value::Array(types) => types.first(),
            type_ => Some(type_),
        };
        ((*name).to_owned(), json!({ "type": type_ }))
    };
    let typed: Map<_, _> = fields.iter().map(typed).collect();
    json!({ "required": fields, "properties": typed })
}

/// A part of the spec that may be left out, and which needs some of its fields where it is there.
fn parts(kind: Kind, spec: &Value) -> Vec<Rule> {
    let Value::Object(parts) = &spec["properties"] else {
        return Vec::new();
    };
    let is_required = |part: &String| items(&spec["required"]).any(|name| name == part.as_str());
    // Of a Secret's fields `keys` says which go together.
    let alternatives = fields::alternatives(kind);
    let optional = parts
        .iter()
        .filter(|(part, _)| !is_required(part) && !alternatives.contains(&part.as_str()));
    let rules = optional.flat_map(|(part, schema)| {
        // What a replacement does not say of a part that it keeps is there all the same.
        let all = fields::within(kind, part).filter(|field| field.form != Form::Kept);
        let all: Vec<_> = all.collect();
        let is_needed = |place: &str| {
            let mut needed = items(&schema["required"]).filter_map(Value::as_str);
            let name = place
                .strip_prefix(part)
                .and_then(|rest| rest.strip_prefix('.'));
            needed.any(|needed| Some(needed) == name)
        };
        let needed = all.iter().filter(|field| is_needed(field.place));
        let needed: Vec<&'static str> = needed.map(|field| field.name).collect();
        let rule = move |field: &'static Field| {
            let others = needed.iter().copied().filter(|name| *name != field.name);
            Rule {
                field: field.name,
                needs: others.collect(),
                excludes: Vec::new(),
            }
        };
        all.into_iter().map(rule)
    });
    rules.filter(|rule| !rule.needs.is_empty()).collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A federation that is there names one vendor, and Entra takes one audience in each of its clouds.
fn one_exchanger() -> Value {
    let named = EXCHANGERS.map(|vendor| {
        let others = EXCHANGERS.into_iter().filter(|other| *other != vendor);
        let mut only: Map<_, _> = others
            .map(|other| (fields::snake_case(other), null()))
            .collect();
        let vendor = fields::snake_case(vendor);
        only.insert(vendor.clone(), json!({ "type": "object" }));
        if vendor == "entra" {
            only.insert("audience".to_owned(), json!({ "enum": ENTRA_AUDIENCES }));
        }
        json!({ "required": [vendor], "properties": only })
    });
    let there = json!({ "anyOf": [{ "type": "null" }, { "oneOf": named }] });
    let mut rule = Map::new();
    rule.insert(FEDERATION.to_owned(), there);
    json!({ "properties": rule })
}

/// A credential has its key of a Secret that is there, or with it, or a federation in the place of one; a
/// secret key goes with an access key id.
fn keys(used: Use) -> Vec<Rule> {
    let [api_key, secret_key, _] = KEY_FIELDS;
    let [api_key_entry, secret_key_entry, _] = ENTRY_FIELDS;
    let of_own = KEY_FIELDS.into_iter().chain([ALLOWED_HOSTS]);
    let of_own = of_own.map(|field| Rule {
        field,
        needs: Vec::from_iter((field == secret_key).then_some(api_key)),
        excludes: [&[SECRET], ENTRY_FIELDS.as_slice()].concat(),
    });
    let no_key = Rule {
        field: FEDERATION,
        needs: Vec::new(),
        excludes: [
            &[SECRET],
            ENTRY_FIELDS.as_slice(),
            KEY_FIELDS.as_slice(),
            &[ALLOWED_HOSTS],
        ]
        .concat(),
    };
    // What a replacement does not say stays as it is.
    let pair = (used == Use::New).then(|| Rule {
        field: secret_key_entry,
        needs: vec![api_key_entry],
        excludes: Vec::new(),
    });
    of_own.chain(pair).chain([no_key]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::schema::{CredentialReplacement, ModelReplacement, NewCredential};
    use super::*;
    use utoipa::PartialSchema;

    fn takes<S: PartialSchema>(body: &Value) -> bool {
        let schema = serde_json::to_value(S::schema()).unwrap();
        let rules = jsonschema::validator_for(&schema).unwrap();
        rules.is_valid(body)
    }

    #[test]
    fn a_part_of_which_something_is_said_has_what_it_needs() {
        for (body, good) in [
            (json!({}), true),
            (json!({ "currency": "USD" }), true),
            (json!({ "currency": "USD", "input_price": "1" }), true),
            (json!({ "input_price": "1" }), false),
            (json!({ "input_price": "1", "currency": null }), false),
            (json!({ "input_price": null }), true),
        ] {
            let mut body = body;
            body["model_id"] = "m".into();
            assert_eq!(takes::<ModelReplacement>(&body), good, "{body}");
        }
        let quota = |body: Value| takes::<CredentialReplacement>(&body);
        assert!(quota(
            json!({ "quota_limit": 1, "quota_unit": "Cost", "quota_period": "Day" })
        ));
        assert!(!quota(json!({ "quota_limit": 1, "quota_unit": "Cost" })));
        assert!(quota(json!({ "quota_unit": null })));
    }

    fn federation() -> Value {
        json!({
            "service_account_ref": { "name": "llm" }, "audience": "a",
            "open_router": { "federation_policy_id": "p" },
        })
    }

    #[test]
    fn a_federation_names_one_vendor() {
        let entra =
            json!({ "tenant_id": "t", "client_id": "11111111-2222-3333-4444-555555555555" });
        for (change, good) in [
            (json!({}), true),
            (json!({ "aws": null, "expiration_seconds": 600 }), true),
            (json!({ "open_router": null }), false),
            (json!({ "open_router": null, "entra": entra }), false),
            (
                json!({ "open_router": null, "entra": entra, "audience": "api://AzureADTokenExchange" }),
                true,
            ),
            (
                json!({ "entra": entra, "audience": "api://AzureADTokenExchange" }),
                false,
            ),
            (json!({ "open_router": {} }), false),
            (json!({ "openRouter": {} }), false),
            (json!({ "audience": null }), false),
            (json!({ "expiration_seconds": 599 }), false),
        ] {
            let mut federation = federation();
            let change = change.as_object().unwrap().clone();
            federation.as_object_mut().unwrap().extend(change);
            let body = json!({ "federation": federation });
            assert_eq!(takes::<CredentialReplacement>(&body), good, "{body}");
        }
    }

    #[test]
    fn a_credential_has_a_key_or_a_secret_that_holds_one() {
        for (body, new, replacement) in [
            (json!({}), false, true),
            (json!({ "api_key": "sk-1" }), true, true),
            (
                json!({ "api_key": "sk-1", "secret_key": "s", "access_token": "t" }),
                true,
                true,
            ),
            (
                json!({ "access_token": "t", "allowed_hosts": ["a.example"] }),
                true,
                true,
            ),
            (json!({ "secret_key": "s" }), false, false),
            (
                json!({ "secret_key": "s", "access_token": "t" }),
                false,
                false,
            ),
            (json!({ "allowed_hosts": ["a.example"] }), false, true),
            (json!({ "secret_name": "s" }), true, true),
            (json!({ "secret_name": "s", "api_key": null }), true, true),
            (
                json!({ "secret_name": "s", "api_key": "sk-1" }),
                false,
                false,
            ),
            (
                json!({ "secret_name": "s", "allowed_hosts": [] }),
                false,
                false,
            ),
            (
                json!({ "api_key": "sk-1", "api_key_entry": "k" }),
                false,
                false,
            ),
            (
                json!({ "allowed_hosts": [], "access_token_entry": "k" }),
                false,
                false,
            ),
            (
                json!({ "secret_name": "s", "api_key_entry": "k", "secret_key_entry": "l" }),
                true,
                true,
            ),
            // Whether there is an access key id already, only the cluster knows.
            (
                json!({ "secret_name": "s", "secret_key_entry": "l" }),
                false,
                true,
            ),
            (json!({ "api_key_entry": "k" }), false, true),
            (json!({ "federation": federation() }), true, true),
            (json!({ "federation": null, "api_key": "sk-1" }), true, true),
            (json!({ "federation": null }), false, true),
            (
                json!({ "federation": federation(), "api_key": "sk-1" }),
                false,
                false,
            ),
            (
                json!({ "federation": federation(), "secret_name": "s" }),
                false,
                false,
            ),
            (
                json!({ "federation": federation(), "allowed_hosts": [] }),
                false,
                false,
            ),
            (
                json!({ "federation": federation(), "api_key_entry": "k" }),
                false,
                false,
            ),
        ] {
            assert_eq!(takes::<CredentialReplacement>(&body), replacement, "{body}");
            let mut body = body;
            body["name"] = "c".into();
            assert_eq!(takes::<NewCredential>(&body), new, "{body}");
        }
    }
}
