//! Keys, by where they are: a manifest names a Secret, and commands make it. What a key says is looked
//! at, to keep it out of everything, and never kept.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};
use url::Url;

use crate::crd::{ANNOTATION_ALLOWED_HOSTS, LABEL_CREDENTIAL, ProviderType};

/// The fields of a key, and the entries of a Secret that hold them where nothing else is said.
pub const ENTRIES: [(&str, &str); 3] = [
    ("apiKey", "api-key"),
    ("secretKey", "secret-key"),
    ("accessToken", "access-token"),
];

/// Where a part of a key comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An environment variable.
    Variable(String),
    /// The source itself, in plain text.
    Literal,
    /// An entry of a Secret that is there.
    Entry(String),
    /// An entry of another Secret that is there, of which this one is a copy.
    Copied {
        /// The other Secret.
        secret: String,
        /// Its entry.
        entry: String,
    },
}

/// A key: the Secret that holds it, or is to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRef {
    /// Name of the Secret.
    pub secret: String,
    /// By field of `secretRef.keys`: where it comes from.
    pub parts: Vec<(&'static str, Origin)>,
}

impl KeyRef {
    /// Puts the key into another Secret.
    pub fn copied_to(&mut self, secret: &str) {
        let before = std::mem::replace(&mut self.secret, secret.to_owned());
        for (_, origin) in &mut self.parts {
            if let Origin::Entry(entry) = origin {
                *origin = Origin::Copied {
                    secret: before.clone(),
                    entry: std::mem::take(entry),
                };
            }
        }
    }

    /// `secretRef` of a credential.
    pub fn secret_ref(&self) -> Value {
        let entries = self.parts.iter().map(|(field, origin)| {
            let entry = match origin {
                Origin::Entry(entry) => entry.as_str(),
                _ => default_entry(field),
            };
            ((*field).to_owned(), Value::from(entry))
        });
        let keys: Map<String, Value> = entries.collect();
        match keys.len() == 1 && keys.get("apiKey") == Some(&"api-key".into()) {
            true => json!({ "name": self.secret }),
            false => json!({ "name": self.secret, "keys": keys }),
        }
    }

    /// What has to be done for the Secret, and why.
    pub fn steps(
        &self,
        provider_type: ProviderType,
        hosts: &BTreeSet<String>,
        namespace: Option<&str>,
    ) -> (String, Vec<String>) {
        let place = namespace.map_or_else(String::new, |name| format!(" -n {name}"));
        let secret = &self.secret;
        let mut commands = Vec::new();
        let literals: Vec<String> = (self.parts.iter())
            .filter_map(|(field, origin)| {
                let value = match origin {
                    Origin::Variable(name) => format!("${name}"),
                    Origin::Literal => format!("${}", field_variable(field)),
                    Origin::Copied { secret, entry } => format!(
                        "$(kubectl get secret {secret}{place} -o go-template='{{{{index .data \"{entry}\" | base64decode}}}}')"
                    ),
                    Origin::Entry(_) => return None,
                };
                Some(format!(
                    " --from-literal={}=\"{value}\"",
                    default_entry(field)
                ))
            })
            .collect();
        if !literals.is_empty() {
            let literals = literals.concat();
            commands.push(format!(
                "kubectl create secret generic {secret}{place}{literals}"
            ));
        }
        commands.push(format!(
            "kubectl label secret {secret}{place} {LABEL_CREDENTIAL}={provider_type}"
        ));
        if !hosts.is_empty() {
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            commands.push(format!(
                "kubectl annotate secret {secret}{place} {ANNOTATION_ALLOWED_HOSTS}='{}'",
                hosts.join(",")
            ));
        }
        (self.reason().to_owned(), commands)
    }

    fn reason(&self) -> &'static str {
        let has = |wanted: &dyn Fn(&Origin) -> bool| self.parts.iter().any(|(_, it)| wanted(it));
        if has(&|it| *it == Origin::Literal) {
            return "the source holds the key itself, which is not carried over: revoke it, put a new one into the variable and make the Secret";
        }
        if has(&|it| matches!(it, Origin::Variable(_))) {
            return "the key is in an environment variable: make the Secret from it";
        }
        if has(&|it| matches!(it, Origin::Copied { .. })) {
            return "a Secret is for one type of provider, and this key is for two: make a copy of the Secret for this one";
        }
        "the Secret stays as it is: let llmplane take the key from it"
    }
}

fn default_entry(field: &str) -> &'static str {
    let known = ENTRIES.iter().find(|(known, _)| *known == field);
    known.map_or("api-key", |(_, entry)| entry)
}

fn field_variable(field: &str) -> &'static str {
    match field {
        "secretKey" => "SECRET_KEY",
        "accessToken" => "ACCESS_TOKEN",
        _ => "API_KEY",
    }
}

/// The variable that a text names: `os.environ/NAME`.
pub fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("os.environ/")?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    is_name(name).then_some(name)
}

/// How keys begin, and what stands before one in a header.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(\b(sk|pk|rk|api|key|ghp|gho|glpat|xox[a-z]|hf|gsk|nvapi|tgp|r8)[-_][A-Za-z0-9_-]{8,}|\b(AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[A-Za-z0-9_-]{20,}|\beyJ[A-Za-z0-9_-]{10,}\.|\b(bearer|basic)\s+\S{8,}|-----BEGIN [A-Z ]*PRIVATE KEY)",
    )
    .expect("a constant pattern")
});

/// Whether a text may be a key by its looks: such a one is not carried over, wherever it stands.
pub fn looks_like_key(text: &str) -> bool {
    KEY.is_match(text) || (text.len() >= 32 && is_random(text))
}

/// Whether a URL may hold a key. What its host is called says nothing of that: there are hosts named
/// `api-management`.
pub fn url_holds_key(text: &str) -> bool {
    let Ok(url) = Url::parse(text.trim()) else {
        return looks_like_key(text);
    };
    let said = [
        Some(url.username()),
        url.password(),
        url.query(),
        url.fragment(),
    ];
    let segments = url.path_segments().into_iter().flatten();
    said.into_iter()
        .flatten()
        .chain(segments)
        .any(looks_like_key)
}

/// Whether it is one word of letters of both cases and digits, as no name is.
fn is_random(text: &str) -> bool {
    let has = |of: fn(&u8) -> bool| text.as_bytes().iter().filter(|byte| of(byte)).count();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_".contains(&byte);
    let hex = text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mixed = has(u8::is_ascii_digit) >= 1
        && has(u8::is_ascii_uppercase) >= 4
        && has(u8::is_ascii_lowercase) >= 4;
    text.bytes().all(word) && (hex || mixed)
}

/// Whether any text in a value, names included, may be a key.
pub fn holds_key(value: &Value) -> bool {
    match value {
        Value::String(text) => looks_like_key(text) || text.starts_with("os.environ/"),
        Value::Array(items) => items.iter().any(holds_key),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| is_secret_name(name) || looks_like_key(name) || holds_key(value)),
        _ => false,
    }
}

/// Whether a field or a header of this name holds a secret by its name.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    let tokens = [
        "maxtokens",
        "maxcompletiontokens",
        "minp",
        "budgettokens",
        "tokens",
    ];
    !tokens.iter().any(|known| name.ends_with(known))
        && [
            "apikey",
            "secret",
            "password",
            "authorization",
            "cookie",
            "credential",
            "token",
            "accesskey",
            "privatekey",
            "subscriptionkey",
        ]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_looks() {
        for key in [
            "sk-proj-0123456789abcdef",
            "Bearer abcdefghijk",
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00",
            "0123456789abcdef0123456789abcdef",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
        ] {
            assert!(looks_like_key(key), "{key}");
        }
        for name in [
            "gpt-4o-mini",
            "text-embedding-3-small",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "org-acme0001",
            "https://llm-gateway.platform.example.com/openai/deployments",
            "context-1m-2025-08-07",
        ] {
            assert!(!looks_like_key(name), "{name}");
        }
        for url in [
            "https://api-management.corp.example/v1",
            "https://key-vault-gateway.example/openai/deployments",
            "https://0123456789abcdef0123456789abcdef.example",
        ] {
            assert!(!url_holds_key(url), "{url}");
        }
        for url in [
            "https://sk-proj-0123456789abcdef@gateway.example",
            "https://gateway.example/sk-proj-0123456789abcdef/v1",
            "https://gateway.example/v1?key=sk-proj-0123456789abcdef",
            "sk-proj-0123456789abcdef",
        ] {
            assert!(url_holds_key(url), "{url}");
        }
        assert!(is_secret_name("X-Api-Key") && is_secret_name("client_secret"));
        assert!(!is_secret_name("max_tokens") && !is_secret_name("temperature"));
    }
}
