//! Where a deployment's key is, and credentials that several deployments name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::params::Params;
use crate::crd::Kind;
use crate::import::secrets::{KeyRef, Origin, variable};
use crate::import::source::Field;
use crate::import::values::{Names, slug};

/// What is known of a deployment's key.
pub enum Found<'a> {
    /// It is here, and comes from these fields.
    Key(KeyRef, Vec<Field<'a>>),
    /// There is none.
    None,
    /// It cannot be told which, and that was said.
    Refused,
}

/// Parameters that are parts of a key.
const PARTS: [(&str, &str); 5] = [
    ("api_key", "apiKey"),
    ("aws_access_key_id", "apiKey"),
    ("aws_secret_access_key", "secretKey"),
    ("aws_session_token", "accessToken"),
    ("azure_ad_token", "accessToken"),
];

/// Parameters of identities that need no key, or make one.
const KEYLESS: [&str; 18] = [
    "tenant_id",
    "client_id",
    "client_secret",
    "azure_username",
    "azure_password",
    "azure_scope",
    "aws_role_name",
    "aws_session_name",
    "aws_external_id",
    "aws_profile_name",
    "aws_web_identity_token",
    "aws_sts_endpoint",
    "openai_identity_provider_id",
    "openai_service_account_id",
    "openai_identity_token_file",
    "vertex_credentials",
    "vertex_project",
    "vertex_location",
];

/// The key of a deployment; `name` is what a Secret is called that has no better name.
pub fn read<'a>(params: &Params<'a>, name: &str, names: &mut SecretNames) -> Found<'a> {
    let keyless: Vec<_> = KEYLESS.iter().filter_map(|it| params.get(it)).collect();
    for field in &keyless {
        field.manual(
            "left out: no key is made from an identity of the gateway's; give the model a credential with a key, or let its clients sign in by themselves",
        );
    }
    let given: Vec<(&str, &str, Field<'a>)> = (PARTS.iter())
        .filter_map(|(name, part)| Some((*name, *part, params.get(name)?)))
        .collect();
    if given.is_empty() {
        return Found::None;
    }
    let twice = {
        let own = |(name, ..): &&(&str, &str, Field<'_>)| params.own.get(name).is_some();
        let shared = |it: &&(&str, &str, Field<'_>)| !own(it);
        let both = |(name, ..): &(&str, &str, Field<'_>)| {
            let shared = params.shared.as_ref();
            params.own.get(name).is_some() && shared.is_some_and(|(it, _)| it.get(name).is_some())
        };
        (given.iter().any(|it| own(&it)) && given.iter().any(|it| shared(&it)))
            || given.iter().any(both)
    };
    let has = |wanted: &str| given.iter().any(|(name, ..)| *name == wanted);
    let kinds = [
        has("api_key"),
        has("azure_ad_token"),
        has("aws_access_key_id"),
    ];
    let several = kinds.iter().filter(|kind| **kind).count() > 1;
    let half = has("aws_access_key_id") != has("aws_secret_access_key");
    if twice || several || half || !keyless.is_empty() {
        for (.., field) in &given {
            field.manual("left out: it cannot be told which key is meant, or whose; leave one way to sign in, and import again");
        }
        return Found::Refused;
    }
    let mut parts = Vec::new();
    for (_, part, field) in &given {
        match field.text().filter(|text| !text.is_empty()) {
            Some(text) => parts.push((*part, text)),
            None => {
                field.manual("left out: a key is text");
                return Found::Refused;
            }
        }
    }
    let key = names.key(&parts, name);
    Found::Key(key, given.into_iter().map(|(.., field)| field).collect())
}

/// Names of Secrets: what has the same key has the same.
#[derive(Default)]
pub struct SecretNames {
    /// By what the source says of the key.
    known: BTreeMap<Vec<String>, String>,
    names: Names,
}

impl SecretNames {
    /// The reference for a key of these parts.
    pub fn key(&mut self, parts: &[(&'static str, &str)], otherwise: &str) -> KeyRef {
        let said: Vec<String> = parts.iter().map(|(_, text)| (*text).to_owned()).collect();
        let (known, names) = (&mut self.known, &mut self.names);
        let secret = known.entry(said).or_insert_with(|| {
            let named = parts.iter().find_map(|(_, text)| variable(text));
            let wanted = match named {
                Some(named) => slug(named),
                None => format!("{}-key", slug(otherwise)),
            };
            names.give(&wanted)
        });
        let origin = |text: &str| match variable(text) {
            Some(name) => Origin::Variable(name.to_owned()),
            None => Origin::Literal,
        };
        KeyRef {
            secret: secret.clone(),
            parts: parts
                .iter()
                .map(|(field, text)| (*field, origin(text)))
                .collect(),
        }
    }
}

/// `credential_list`.
pub struct Shared<'a> {
    entries: Vec<(&'a str, Field<'a>)>,
    used: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Shared<'a> {
    /// Reads it.
    pub fn read(source: &Field<'a>) -> Self {
        let list = source.get("credential_list");
        let items = list.iter().flat_map(Field::items);
        Self {
            entries: items
                .filter_map(|item| Some((item.text_at("credential_name")?, item)))
                .collect(),
            used: RefCell::default(),
        }
    }

    /// A deployment's parameters with those of the credential that it names.
    ///
    /// # Errors
    /// The field that is wrong, and why: there is no such credential, or several.
    pub fn with(&self, own: Field<'a>) -> Result<Params<'a>, (Field<'a>, &'static str)> {
        let Some(named) = own.get("litellm_credential_name") else {
            return Ok(Params { own, shared: None });
        };
        let name = named.text().unwrap_or_default();
        let found: Vec<_> = self.entries.iter().filter(|(it, _)| *it == name).collect();
        match found[..] {
            [(name, entry)] => {
                self.used.borrow_mut().insert(name);
                named.exact("LlmCredential");
                for field in ["credential_name"].iter().filter_map(|it| entry.get(it)) {
                    field.exact("LlmCredential");
                }
                let values = entry.get("credential_values");
                let shared = values.map(|values| (values, entry.clone()));
                Ok(Params { own, shared })
            }
            [] => Err((
                named,
                "model not converted: there is no credential of this name",
            )),
            _ => {
                for (_, entry) in found {
                    entry.manual("left out: several credentials have this name; give each its own");
                }
                Err((
                    named,
                    "model not converted: several credentials have this name; give each its own",
                ))
            }
        }
    }

    /// What the credential that a deployment names says of itself.
    pub fn description(&self, params: &Params<'a>) -> (Map<String, Value>, Option<Field<'a>>) {
        let mut spec = Map::new();
        let info = params
            .shared
            .as_ref()
            .and_then(|(_, entry)| entry.get("credential_info"));
        let Some(info) = info else {
            return (spec, None);
        };
        if let Some(provider) = info.get("custom_llm_provider") {
            provider.exact("LlmCredential spec.providerRef");
        }
        let described = info
            .get("description")
            .filter(|it| it.plain_text().is_some());
        let text = described.as_ref().and_then(|field| {
            field.fitting(Kind::Credential, "description", field.value().clone())
        });
        match text {
            Some(text) => {
                spec.insert("description".to_owned(), text);
                (spec, described)
            }
            None => (spec, None),
        }
    }

    /// Says which of them nobody names.
    pub fn tell_unused(&self) {
        for (name, entry) in &self.entries {
            if !self.used.borrow().contains(name) && !entry.is_told() {
                entry.manual("left out: no model names this credential; declare an LlmCredential by hand where one is to");
            }
        }
    }
}
