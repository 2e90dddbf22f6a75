//! Reading a Secret's entries: what is a key and what is not. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::SecretString;

use crate::{
    crd::{
        ANNOTATION_ALLOWED_HOSTS, LABEL_CREDENTIAL, ProviderType, conditions::ConditionInput,
        credential::SecretKeys, hosts::parse_allowed_hosts, reasons::Reason,
    },
    encryption::SecretFields,
    keys::key_text::{self, MAX_KEY_CHARS, MAX_TOKEN_CHARS},
};

/// What was read, and what the owner should know of it.
#[derive(Debug)]
pub struct SecretContents {
    /// The key.
    pub fields: SecretFields,
    /// Sentences for the status; they hold nothing of the key.
    pub notes: Vec<String>,
}

/// Whose key it is and where it may go, as the Secret's owner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The label.
    pub provider_type: ProviderType,
    /// The annotation, one entry each, in one spelling and order.
    pub hosts: Vec<String>,
}

/// Reads label and annotation of a Secret for a credential of this provider type.
pub fn consent(
    name: &str,
    provider: ProviderType,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Result<Consent, ConditionInput> {
    let Some(label) = labels.get(LABEL_CREDENTIAL) else {
        return Err(not_labelled(name, provider));
    };
    let Some(labelled) = ProviderType::parse(label) else {
        return Err(ConditionInput::new(
            Reason::SecretNotLabelled,
            format!(
                "the label {LABEL_CREDENTIAL} of Secret {name} names no provider type; set it to {provider}"
            ),
        ));
    };
    if labelled != provider {
        return Err(ConditionInput::new(
            Reason::HostNotAllowed,
            format!(
                "Secret {name} is labelled {LABEL_CREDENTIAL}={labelled}, and the provider's type is {provider}: its owner has not allowed the key there"
            ),
        ));
    }
    let annotation = annotations
        .get(ANNOTATION_ALLOWED_HOSTS)
        .map_or("", String::as_str);
    let hosts = parse_allowed_hosts(annotation).map_err(|error| {
        ConditionInput::new(
            Reason::HostNotAllowed,
            format!("the annotation {ANNOTATION_ALLOWED_HOSTS} of Secret {name}: {error}"),
        )
    })?;
    let mut hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    hosts.sort_unstable();
    hosts.dedup();
    Ok(Consent {
        provider_type: labelled,
        hosts,
    })
}

/// The Secret is there and lacks the label.
pub fn not_labelled(name: &str, provider: ProviderType) -> ConditionInput {
    ConditionInput::new(
        Reason::SecretNotLabelled,
        format!(
            "Secret {name} has not been opted in; its owner does so with: kubectl label secret {name} {LABEL_CREDENTIAL}={provider}"
        ),
    )
}

/// Reads the entries that the credential names.
pub fn read(
    keys: &SecretKeys,
    name: &str,
    data: &BTreeMap<String, ByteString>,
) -> Result<SecretContents, ConditionInput> {
    let mut notes = Vec::new();
    let mut take = |entry: &Option<String>, longest: usize| {
        entry
            .as_deref()
            .map(|entry| field(name, entry, data.get(entry), longest, &mut notes))
            .transpose()
    };
    let fields = SecretFields {
        api_key: take(&keys.api_key, MAX_KEY_CHARS)?,
        secret_key: take(&keys.secret_key, MAX_KEY_CHARS)?,
        access_token: take(&keys.access_token, MAX_TOKEN_CHARS)?,
    };
    if fields.is_empty() {
        return Err(ConditionInput::new(
            Reason::SecretFieldMissing,
            "secretRef.keys names no entry; name the one that holds the key",
        ));
    }
    Ok(SecretContents { fields, notes })
}

fn field(
    secret: &str,
    entry: &str,
    value: Option<&ByteString>,
    longest: usize,
    notes: &mut Vec<String>,
) -> Result<SecretString, ConditionInput> {
    let malformed = |what: &str| {
        ConditionInput::new(
            Reason::KeyMalformed,
            format!("entry {entry} of Secret {secret} {what}"),
        )
    };
    let value = value.ok_or_else(|| {
        ConditionInput::new(
            Reason::SecretFieldMissing,
            format!("Secret {secret} has no entry {entry}; add it, or correct secretRef.keys"),
        )
    })?;
    let text = std::str::from_utf8(&value.0).map_err(|_| {
        malformed("is not UTF-8; store the key as plain text, without a byte order mark")
    })?;
    let trimmed = text.trim_end_matches(['\r', '\n']);
    if trimmed.len() != text.len() {
        notes.push(format!(
            "a trailing newline in entry {entry} of Secret {secret} was left out"
        ));
    }
    let chars = trimmed.chars().count();
    if chars > longest {
        return Err(malformed(&format!(
            "has {chars} characters, and at most {longest} are allowed"
        )));
    }
    if let Some(odd) = key_text::oddity(trimmed) {
        return Err(malformed(&odd));
    }
    Ok(SecretString::from(trimmed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn api_key(value: &[u8]) -> Result<SecretContents, ConditionInput> {
        let data = [("api-key".to_owned(), ByteString(value.to_vec()))].into();
        read(&SecretKeys::default(), "s", &data)
    }

    fn refused(value: &[u8]) -> Reason {
        api_key(value).expect_err("it is no key").reason
    }

    #[test]
    fn a_trailing_newline_is_left_out_and_said() {
        let read = api_key(b"sk-123\n").unwrap();
        assert_eq!(read.fields.api_key.unwrap().expose_secret(), "sk-123");
        assert!(read.notes[0].contains("trailing newline"));
        assert!(api_key(b"sk-123").unwrap().notes.is_empty());
    }

    #[test]
    fn what_cannot_be_a_key_is_malformed() {
        for bad in [
            &b""[..],
            b"\n",
            b"a\nb",
            b"a\rb",
            b"a\0b",
            b"\xff\xfe",
            b"a\x07b",
            &[b'k'; 501],
            &vec![b'k'; 1 << 20],
        ] {
            assert_eq!(refused(bad), Reason::KeyMalformed);
        }
        assert!(api_key(&[b'k'; 500]).is_ok());
        assert_eq!(refused("é".repeat(500).as_bytes()), Reason::KeyMalformed);
    }

    #[test]
    fn a_missing_entry_is_named() {
        let finding = read(&SecretKeys::default(), "s", &BTreeMap::new()).expect_err("missing");
        assert_eq!(finding.reason, Reason::SecretFieldMissing);
        assert!(finding.message.contains("api-key"));
    }

    #[test]
    fn access_tokens_may_be_longer() {
        let keys = SecretKeys {
            api_key: None,
            secret_key: None,
            access_token: Some("token".into()),
        };
        let of = |n: usize| BTreeMap::from([("token".to_owned(), ByteString(vec![b't'; n]))]);
        assert!(read(&keys, "s", &of(16 * 1024)).is_ok());
        assert!(read(&keys, "s", &of(16 * 1024 + 1)).is_err());
    }

    #[test]
    fn the_owner_decides_whose_key_it_is_and_where_it_goes() {
        let labels = |l: &str| BTreeMap::from([(LABEL_CREDENTIAL.to_owned(), l.to_owned())]);
        let hosts = |h: &str| BTreeMap::from([(ANNOTATION_ALLOWED_HOSTS.to_owned(), h.to_owned())]);
        let reason = |l: &BTreeMap<_, _>, a: &BTreeMap<_, _>| {
            consent("s", ProviderType::OpenAI, l, a).map_err(|f| f.reason)
        };
        assert_eq!(
            reason(&BTreeMap::new(), &BTreeMap::new()),
            Err(Reason::SecretNotLabelled)
        );
        assert_eq!(
            reason(&labels("true"), &BTreeMap::new()),
            Err(Reason::SecretNotLabelled)
        );
        assert_eq!(
            reason(&labels("VLLM"), &BTreeMap::new()),
            Err(Reason::HostNotAllowed)
        );
        assert_eq!(
            reason(&labels("OpenAI"), &hosts("*.example.com")),
            Err(Reason::HostNotAllowed)
        );
        let one = consent(
            "s",
            ProviderType::OpenAI,
            &labels("OpenAI"),
            &hosts("b.example, a.example"),
        );
        let two = consent(
            "s",
            ProviderType::OpenAI,
            &labels("OpenAI"),
            &hosts("a.example,b.example"),
        );
        assert_eq!(one, two);
    }

    proptest! {
        #[test]
        fn no_finding_repeats_what_the_entry_holds(secret in "[A-Z]{12,40}", tail in "[\\n\\x00\\x07]Q") {
            let finding = api_key(format!("{secret}{tail}").as_bytes()).expect_err("it is no key");
            prop_assert!(!finding.message.contains(&secret));
        }
    }
}
