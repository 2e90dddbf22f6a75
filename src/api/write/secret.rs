//! The Secret that holds a key which came by the API: made for one credential, and owned by it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::{Resource, ResourceExt};
use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use zeroize::Zeroize;

use super::as_caller::{AsCaller, answered, post};
use super::body::{ALLOWED_HOSTS, Draft, KEY_FIELDS};
use super::refusal::Refused;
use crate::api::problem::Problem;
use crate::crd::hosts::{AllowedHost, parse_allowed_hosts};
use crate::crd::rules::ALLOWED_HOST_PATTERN;
use crate::crd::{ANNOTATION_ALLOWED_HOSTS, LABEL_CREDENTIAL, LlmCredential};
use crate::encryption::MaskedKey;
use crate::keys::key_text::{self, MAX_KEY_CHARS, MAX_TOKEN_CHARS};

/// Entries of the Secret, and their names in `secretRef.keys`, in the order of [`KEY_FIELDS`].
const ENTRIES: [(&str, &str); 3] = [
    ("api-key", "apiKey"),
    ("secret-key", "secretKey"),
    ("access-token", "accessToken"),
];

/// Characters that an allowed host may have.
pub const MAX_HOST_CHARS: usize = 255;
static HOST: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(ALLOWED_HOST_PATTERN).ok());

/// A key that is to be stored, and where it may go.
pub struct NewKey {
    parts: [Option<SecretString>; 3],
    allowed_hosts: Option<String>,
}

impl NewKey {
    /// What a body says of a key; none: nothing.
    ///
    /// # Errors
    ///
    /// 400 for what can be no key, and for what can be no host.
    pub fn of(draft: &mut Draft) -> Result<Option<Self>, Problem> {
        let parts = std::mem::take(&mut draft.key);
        let longest = [MAX_KEY_CHARS, MAX_KEY_CHARS, MAX_TOKEN_CHARS];
        for ((field, key), longest) in KEY_FIELDS.into_iter().zip(&parts).zip(longest) {
            if let Some(key) = key {
                sound(field, key.expose_secret(), longest)?;
            }
        }
        if let [None, Some(_), _] = parts {
            return Err(Problem::body(
                "api_key: a secret key goes with an access key id; send it too",
            ));
        }
        let allowed_hosts = draft.allowed_hosts.take().map(allowed).transpose()?;
        let says_nothing = parts.iter().all(Option::is_none) && allowed_hosts.is_none();
        Ok((!says_nothing).then_some(Self {
            parts,
            allowed_hosts,
        }))
    }

    /// Whether there is a key, and not hosts alone.
    pub fn is_key(&self) -> bool {
        self.parts.iter().any(Option::is_some)
    }

    /// Names of the fields that said it.
    pub fn fields(&self) -> Vec<&'static str> {
        let said = KEY_FIELDS.into_iter().zip(&self.parts);
        let key = said
            .filter(|(_, part)| part.is_some())
            .map(|(field, _)| field);
        let hosts = self.allowed_hosts.is_some().then_some(ALLOWED_HOSTS);
        key.chain(hosts).collect()
    }

    /// The reference of the credential that the key is of.
    pub fn reference(&self, secret: &str) -> Value {
        let said = ENTRIES.into_iter().zip(&self.parts);
        let keys: Map<String, Value> = said
            .filter(|(_, part)| part.is_some())
            .map(|((entry, name), _)| (name.to_owned(), entry.into()))
            .collect();
        json!({ "name": secret, "keys": keys })
    }

    /// The Secret of a credential.
    fn secret(&self, credential: &DynamicObject, provider_type: &str) -> Secret {
        let said = ENTRIES.into_iter().zip(&self.parts);
        let data = said.filter_map(|((entry, _), part)| {
            let bytes = part.as_ref()?.expose_secret().as_bytes().to_vec();
            Some((entry.to_owned(), ByteString(bytes)))
        });
        let hosts = self.allowed_hosts.clone();
        let annotation = |hosts| BTreeMap::from([(ANNOTATION_ALLOWED_HOSTS.to_owned(), hosts)]);
        let labels = BTreeMap::from([(LABEL_CREDENTIAL.to_owned(), provider_type.to_owned())]);
        Secret {
            metadata: ObjectMeta {
                name: Some(credential.name_any()),
                namespace: credential.namespace(),
                labels: Some(labels),
                annotations: hosts.map(annotation),
                owner_references: owner(credential).map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    /// Whether a Secret is as its change was to make it.
    fn is_in(&self, secret: &Secret) -> bool {
        let entry = |entry: &str| secret.data.as_ref()?.get(entry).map(|value| &*value.0);
        let mut parts = ENTRIES.into_iter().zip(&self.parts);
        let hosts = secret.annotations().get(ANNOTATION_ALLOWED_HOSTS);
        (!self.is_key()
            || parts.all(|((name, _), part)| {
                entry(name) == part.as_ref().map(|part| part.expose_secret().as_bytes())
            }))
            && (self.allowed_hosts.is_none() || self.allowed_hosts.as_ref() == hosts)
    }

    /// The change of this very Secret, which holds a key already: another that was made in its place
    /// meanwhile is not changed.
    fn patch(&self, secret_uid: &str) -> Value {
        let mut patch = json!({ "metadata": { "uid": secret_uid } });
        if self.is_key() {
            let said = ENTRIES.into_iter().zip(&self.parts);
            let data: Map<String, Value> = said
                .map(|((entry, _), part)| {
                    let encode = |key: &SecretString| STANDARD.encode(key.expose_secret()).into();
                    (entry.to_owned(), part.as_ref().map_or(Value::Null, encode))
                })
                .collect();
            patch["data"] = data.into();
        }
        if let Some(hosts) = &self.allowed_hosts {
            patch["metadata"]["annotations"] = json!({ ANNOTATION_ALLOWED_HOSTS: hosts });
        }
        patch
    }
}

/// Whether a text can be a key.
fn sound(field: &str, key: &str, longest: usize) -> Result<(), Problem> {
    let refused = |why: &str| Err(Problem::body(format!("{field}: it {why}")));
    if MaskedKey::looks_like_one(key) {
        return refused(
            "is a masked key, which is no key; send the key itself, or leave it out to keep the one that is there",
        );
    }
    if key.chars().count() > longest {
        return refused(&format!(
            "has more than {longest} characters, and no key has"
        ));
    }
    match key_text::oddity(key) {
        Some(odd) => refused(&odd),
        None => Ok(()),
    }
}

fn allowed(hosts: Vec<String>) -> Result<String, Problem> {
    for (at, host) in hosts.iter().enumerate() {
        if let Some(why) = no_host(host) {
            return Err(Problem::body(format!("{ALLOWED_HOSTS}[{at}]: {why}")));
        }
    }
    let joined = hosts.join(",");
    match parse_allowed_hosts(&joined) {
        Ok(_) => Ok(joined),
        Err(error) => Err(Problem::body(format!("{ALLOWED_HOSTS}: {error}"))),
    }
}

/// Why an entry is not one host, written as the description of bodies has it.
fn no_host(entry: &str) -> Option<String> {
    if entry.contains(',') {
        return Some("write one host an entry".to_owned());
    }
    if let Err(error) = entry.parse::<AllowedHost>() {
        return Some(error.to_string());
    }
    let fits = entry.chars().count() <= MAX_HOST_CHARS
        && HOST.as_ref().is_some_and(|host| host.is_match(entry));
    (!fits).then(|| {
        format!(
            "write a host or an IP address in at most {MAX_HOST_CHARS} ASCII characters, with http:// or https:// and a \
             port where needed, for example gw.example.com:8443"
        )
    })
}

/// What goes when the credential goes; none where that was only tried.
fn owner(credential: &DynamicObject) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: LlmCredential::api_version(&()).into_owned(),
        kind: LlmCredential::kind(&()).into_owned(),
        name: credential.name_any(),
        uid: credential.metadata.uid.clone()?,
        ..OwnerReference::default()
    })
}

fn secrets(cluster: &AsCaller, credential: &DynamicObject) -> Api<Secret> {
    let namespace = credential.namespace().unwrap_or_default();
    Api::namespaced(cluster.client(), &namespace)
}

/// Makes the Secret of a credential.
///
/// # Errors
///
/// What the kube-apiserver says.
pub async fn create(
    cluster: &AsCaller,
    credential: &DynamicObject,
    key: &NewKey,
    provider_type: &str,
    dry_run: bool,
) -> Result<(), Refused> {
    let mut secret = key.secret(credential, provider_type);
    let made = answered(secrets(cluster, credential).create(&post(dry_run), &secret)).await;
    wipe(&mut secret);
    made.map(|mut made| wipe(&mut made))
}

/// Changes the Secret of a credential.
///
/// # Errors
///
/// What the kube-apiserver says.
pub async fn change(
    cluster: &AsCaller,
    credential: &DynamicObject,
    (secret, uid): (&str, &str),
    key: &NewKey,
    dry_run: bool,
) -> Result<(), Refused> {
    let params = PatchParams {
        dry_run,
        field_manager: post(dry_run).field_manager,
        ..PatchParams::default()
    };
    let mut patch = key.patch(uid);
    let api = secrets(cluster, credential);
    let changed = answered(api.patch(secret, &params, &Patch::Merge(&patch))).await;
    wipe_values(&mut patch);
    changed.map(|mut changed| wipe(&mut changed))
}

/// Deletes this very Secret of a credential; one that is gone already is deleted.
///
/// # Errors
///
/// What the kube-apiserver says.
pub async fn delete(
    cluster: &AsCaller,
    credential: &DynamicObject,
    (secret, uid): (&str, &str),
    dry_run: bool,
) -> Result<(), Refused> {
    let params = DeleteParams {
        dry_run,
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let api = secrets(cluster, credential);
    match answered(api.delete(secret, &params)).await {
        // The answer may be the Secret as it was.
        Ok(either) => {
            if let Some(mut gone) = either.left() {
                wipe(&mut gone);
            }
            Ok(())
        }
        Err(Refused::NotFound(_)) => Ok(()),
        Err(refused) => Err(refused),
    }
}

/// Whose a Secret is.
pub enum SecretOwner {
    /// This credential's: its UID.
    Ours(String),
    /// Somebody else's.
    Other,
    /// Nobody's: it is not there.
    Absent,
}

/// Whether the Secret is owned by this credential.
///
/// # Errors
///
/// What the kube-apiserver says.
pub async fn owner_of(
    cluster: &AsCaller,
    credential: &DynamicObject,
    secret: &str,
) -> Result<SecretOwner, Refused> {
    let api = secrets(cluster, credential);
    let Some(found) = answered(api.get_metadata_opt(secret)).await? else {
        return Ok(SecretOwner::Absent);
    };
    let is_ours = is_of(found.owner_references(), credential);
    let uid = found.metadata.uid.filter(|_| is_ours);
    Ok(uid.map_or(SecretOwner::Other, SecretOwner::Ours))
}

fn is_of(owners: &[OwnerReference], credential: &DynamicObject) -> bool {
    let owns = |owner: &OwnerReference| Some(&owner.uid) == credential.metadata.uid.as_ref();
    owners.iter().any(owns)
}

/// Whether the Secret is owned by this credential and holds this key.
///
/// # Errors
///
/// What the kube-apiserver says.
pub async fn holds(
    cluster: &AsCaller,
    credential: &DynamicObject,
    secret: &str,
    key: &NewKey,
) -> Result<bool, Refused> {
    let api = secrets(cluster, credential);
    let Some(mut found) = answered(api.get_opt(secret)).await? else {
        return Ok(false);
    };
    let holds = is_of(found.owner_references(), credential) && key.is_in(&found);
    wipe(&mut found);
    Ok(holds)
}

fn wipe(secret: &mut Secret) {
    for value in secret.data.iter_mut().flat_map(BTreeMap::values_mut) {
        value.0.zeroize();
    }
}

fn wipe_values(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Object(fields) => fields.values_mut().for_each(wipe_values),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(api_key: &str, secret_key: Option<&str>, hosts: Option<&[&str]>) -> Draft {
        let hosts = hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
        Draft {
            key: [Some(api_key.into()), secret_key.map(Into::into), None],
            allowed_hosts: hosts,
            ..Draft::default()
        }
    }

    #[test]
    fn what_can_be_no_key_is_refused_without_being_repeated() {
        for (key, words) in [
            ("sk-********wxyz", "masked"),
            ("********", "masked"),
            ("sk-...wxyz", "masked"),
            ("Bearer sk-wxyz", "the word Bearer"),
            ("sk-wxyz\n", "line break"),
            (&"wxyz".repeat(126), "more than 500"),
            ("", "is empty"),
        ] {
            let refused = NewKey::of(&mut draft(key, None, None))
                .err()
                .expect("refused")
                .detail;
            assert!(refused.starts_with("api_key: it "), "{refused}");
            assert!(
                refused.contains(words) && !refused.contains("wxyz"),
                "{key}: {refused}"
            );
        }
        let mut alone = draft("", Some("s3cr3t"), None);
        alone.key[0] = None;
        let refused = NewKey::of(&mut alone).err().expect("refused");
        assert!(
            refused
                .detail
                .starts_with("api_key: a secret key goes with")
        );
    }

    #[test]
    fn what_can_be_no_host_is_refused_by_its_place() {
        for odd in [
            "a b",
            "",
            " a.example",
            "a,b",
            "*.example",
            "1.2",
            "\u{e4}.example",
            &"a".repeat(256),
        ] {
            let refused = NewKey::of(&mut draft("sk-1", None, Some(&["a.example", odd])));
            let said = refused.err().expect("refused").detail;
            assert!(said.starts_with("allowed_hosts[1]: "), "{odd}: {said}");
        }
        let hosts = [
            "a.example",
            "A_b.svc:8443",
            "http://vllm:8000",
            "https://127.0.0.1",
            "[::1]:80",
            "::1",
            "fe80::1:2",
        ];
        assert!(NewKey::of(&mut draft("sk-1", None, Some(&hosts))).is_ok());
    }

    #[test]
    fn a_change_takes_out_what_the_new_key_does_not_have() {
        let key = NewKey::of(&mut draft("sk-1", None, Some(&["a.example"])))
            .unwrap()
            .unwrap();
        assert_eq!(key.fields(), ["api_key", "allowed_hosts"]);
        assert_eq!(
            key.reference("s"),
            json!({ "name": "s", "keys": { "apiKey": "api-key" } })
        );
        assert_eq!(
            key.patch("u"),
            json!({
                "data": { "api-key": "c2stMQ==", "secret-key": null, "access-token": null },
                "metadata": { "uid": "u", "annotations": { ANNOTATION_ALLOWED_HOSTS: "a.example" } },
            })
        );
    }
}
