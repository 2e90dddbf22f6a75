//! Credentials: of a Secret that is there, with a key, which gets a Secret of its own, or without one: by an
//! agreement with the vendor ([`super::federation`]).
//!
//! Where there is a key two objects change. Both are tried first; then the LlmCredential is written,
//! then its Secret, and a Secret that cannot be written puts the LlmCredential back as it was.

use axum::body::Body;
use axum::http::Response;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::as_caller::AsCaller;
use super::record::{Record, Recorded};
use super::refusal::Refused;
use super::replace::Change;
use super::secret::{self, NewKey, SecretOwner};
use super::{Draft, Write, answer, create, declaration, federation, replace, target};
use crate::api::problem::{Problem, ProblemType};
use crate::crd::Kind;
use crate::db::AuditAction;
use crate::snapshot::{CredentialView, ProviderView};

const KIND: Kind = Kind::Credential;
/// How often an object is read again that changes while it is put back.
const UNDO_ATTEMPTS: u32 = 5;
/// Fields that say which entries of a Secret that is there hold the key.
pub(super) const ENTRY_FIELDS: [&str; 3] =
    ["api_key_entry", "secret_key_entry", "access_token_entry"];

/// Creates a credential of a provider.
///
/// # Errors
///
/// What the body, the cluster or the audit refuses.
pub async fn create_credential(
    write: Write,
    provider: String,
    mut draft: Draft,
) -> Result<Response<Body>, Problem> {
    let key = NewKey::of(&mut draft)?;
    federation::refuse_two_sources(&draft, key.as_ref())?;
    if federation::is_in(&draft) {
        return federation::create_federated(write, provider, draft).await;
    }
    match (key, draft.fields.contains_key("secret_name")) {
        (None, true) => create::create_child::<CredentialView>(write, provider, draft).await,
        (Some(key), false) if key.is_key() => with_key(write, provider, draft, key).await,
        (_, false) => Err(Problem::body(
            "api_key: send the key, name the Secret that holds it as secret_name, or say in federation whose \
             tokens the vendor takes in the place of a key",
        )),
        (Some(key), true) => Err(other_secret(&key)),
    }
}

/// A Secret that is there is its owner's.
fn other_secret(key: &NewKey) -> Problem {
    match key.is_key() {
        true => either_or(),
        false => hosts_of_another(),
    }
}

fn either_or() -> Problem {
    Problem::body(
        "secret_name: a key that is sent gets a Secret of its own; leave out secret_name, or the key",
    )
}

fn hosts_of_another() -> Problem {
    Problem::body(
        "allowed_hosts: they are said on the Secret, by its owner; leave them out where secret_name names one",
    )
}

/// Entries are chosen for the Secret that is made.
fn refuse_entries(draft: &Draft) -> Result<(), Problem> {
    match ENTRY_FIELDS
        .iter()
        .find(|field| draft.fields.contains_key(**field))
    {
        Some(field) => Err(Problem::body(format!(
            "{field}: it is about a Secret that is there; leave it out where the key is sent"
        ))),
        None => Ok(()),
    }
}

async fn with_key(
    write: Write,
    provider: String,
    mut draft: Draft,
    key: NewKey,
) -> Result<Response<Body>, Problem> {
    refuse_entries(&draft)?;
    let provider = target::find::<ProviderView>(&write, &provider).await?;
    let (namespace, owner) = (
        provider.namespace().unwrap_or_default(),
        provider.name_any(),
    );
    create::name_endpoints(&write, &namespace, &owner, &mut draft.fields).await?;
    create::has_room(&write, KIND, &namespace, &owner).await?;
    let name = draft.required_name()?;
    let mut spec = Map::new();
    spec.insert("providerRef".to_owned(), json!({ "name": owner }));
    spec.insert("secretRef".to_owned(), key.reference(name));
    let object = create::declared(KIND, &namespace, spec, &draft)?;
    let provider_type = provider.data["spec"]["type"].as_str().unwrap_or_default();

    let mut fields = key.fields();
    fields.extend(declaration::changed(
        KIND,
        &Value::Null,
        &object.data["spec"],
    ));
    let recorded = Recorded {
        action: AuditAction::Create,
        kind: KIND,
        namespace: &namespace,
        name,
        uid: None,
        fields,
    };
    let tried = recorded.tried(&write, write.cluster.create(KIND, &object, true).await);
    let tried = tried.map_err(|refused| refused.problem(KIND))?;
    let stored = secret::create(&write.cluster, &object, &key, provider_type, true).await;
    let stored = recorded.tried(&write, stored);
    stored.map_err(|refused| of_secret(refused, name))?;
    if write.params.dry_run {
        return answer::written::<CredentialView>(write, &tried, true, |_| true).await;
    }
    let record = recorded.begin(&write).await?;
    let made = match write.cluster.create(KIND, &object, false).await {
        Ok(made) => made,
        Err(refused) => return Err(ended(record, refused, None).await),
    };
    let stored = secret::create(&write.cluster, &made, &key, provider_type, false).await;
    if let Err(unstored) = settled(&write.cluster, &made, name, &key, stored).await {
        let undone = write.cluster.delete(KIND, &made.metadata, false).await;
        return Err(put_back(record, unstored.refused, &made, undone).await);
    }
    record.end("Done", target::uid(&made)).await;
    let has_key = |row: &CredentialView| !row.versions.is_empty();
    answer::written(write, &made, true, has_key).await
}

/// Replaces what rows show of a credential; its key too, where one is sent.
///
/// # Errors
///
/// As [`create_credential`].
pub async fn replace_credential(
    write: Write,
    id: String,
    mut draft: Draft,
) -> Result<Response<Body>, Problem> {
    let key = NewKey::of(&mut draft)?;
    federation::refuse_two_sources(&draft, key.as_ref())?;
    if federation::is_in(&draft) {
        return federation::federate(write, id, draft).await;
    }
    match key {
        None => replace::replace::<CredentialView>(write, id, draft).await,
        Some(key) => replace_key(write, id, draft, key).await,
    }
}

async fn replace_key(
    write: Write,
    id: String,
    mut draft: Draft,
    key: NewKey,
) -> Result<Response<Body>, Problem> {
    if draft.fields.contains_key("secret_name") {
        return Err(other_secret(&key));
    }
    refuse_entries(&draft)?;
    let mut change = Change::of::<CredentialView>(&write, &id, &mut draft).await?;
    let spec = &change.before.data["spec"];
    let was_federated = !spec["federation"].is_null();
    if was_federated && !key.is_key() {
        return Err(federation::hosts_of_account());
    }
    let secret = match was_federated {
        true => change.name.clone(),
        false => spec["secretRef"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    let secret = secret.as_str();
    let place = match was_federated {
        true => place_of_new(&write, &change, secret).await?,
        false => SecretPlace::There(secret_of_its_own(&write, &change.before, secret).await?),
    };
    if key.is_key() {
        let spec = &mut change.after.data["spec"];
        spec["secretRef"] = key.reference(secret);
        spec.as_object_mut()
            .and_then(|spec| spec.remove("federation"));
    }
    change.refuse_managed(&write)?;

    let cluster = &write.cluster;
    let recorded = change.recorded(key.fields());
    let tried = recorded.tried(&write, cluster.replace(KIND, &change.after, true).await);
    let tried = tried.map_err(|refused| refused.problem(KIND))?;
    let stored = store(cluster, &change.before, (secret, &place), &key, true).await;
    let stored = recorded.tried(&write, stored);
    stored.map_err(|refused| of_secret(refused, secret))?;
    if write.params.dry_run {
        return answer::written::<CredentialView>(write, &tried, false, |_| true).await;
    }
    let newest = newest_version(&write, &change.before);
    let record = recorded.begin(&write).await?;
    let made = match cluster.replace(KIND, &change.after, false).await {
        Ok(made) => made,
        Err(refused) => return Err(ended(record, refused, None).await),
    };
    let stored = store(cluster, &made, (secret, &place), &key, false).await;
    if let Err(unstored) = settled(cluster, &made, secret, &key, stored).await {
        let undone = match unstored.is_certain {
            true => undo(cluster, &change.before, &made).await,
            false => Err(unstored.refused.clone()),
        };
        return Err(put_back(record, unstored.refused, &made, undone).await);
    }
    record.end("Done", None).await;
    let is_key = key.is_key();
    let has_key = move |row: &CredentialView| !is_key || of_row(row) > newest;
    answer::written(write, &made, false, has_key).await
}

/// Number of the newest version of a credential's key, as far as this replica knows.
fn newest_version(write: &Write, credential: &DynamicObject) -> Option<i32> {
    let snapshot = write.state.store.snapshot()?;
    let row = snapshot.credentials.by_uid(target::uid(credential)?)?;
    of_row(&row.view)
}

fn of_row(row: &CredentialView) -> Option<i32> {
    row.versions.first().map(|version| version.version)
}

/// Where a key is stored.
enum SecretPlace {
    /// In the Secret of this UID, which is the credential's.
    There(String),
    /// In one that is made, for a provider of this type.
    New(String),
}

async fn store(
    cluster: &AsCaller,
    credential: &DynamicObject,
    (secret, place): (&str, &SecretPlace),
    key: &NewKey,
    dry_run: bool,
) -> Result<(), Refused> {
    match place {
        SecretPlace::There(uid) => {
            secret::change(cluster, credential, (secret, uid), key, dry_run).await
        }
        SecretPlace::New(type_) => secret::create(cluster, credential, key, type_, dry_run).await,
    }
}

/// Where the first key of a credential without one is stored: one of its name may be left from before.
async fn place_of_new(
    write: &Write,
    change: &Change,
    secret: &str,
) -> Result<SecretPlace, Problem> {
    let owner = secret::owner_of(&write.cluster, &change.before, secret).await;
    match owner.map_err(|refused| of_secret(refused, secret))? {
        SecretOwner::Ours(uid) => Ok(SecretPlace::There(uid)),
        SecretOwner::Other => Err(of_secret(Refused::AlreadyExists, secret)),
        SecretOwner::Absent => {
            let type_ = target::provider_type(write, &change.before).await?;
            let type_ = type_.ok_or_else(|| Problem::not_found(Kind::Provider.as_str()))?;
            Ok(SecretPlace::New(type_))
        }
    }
}

/// UID of the Secret that was made for a credential: a key is changed there, and in no other.
async fn secret_of_its_own(
    write: &Write,
    credential: &DynamicObject,
    secret: &str,
) -> Result<String, Problem> {
    let owner = secret::owner_of(&write.cluster, credential, secret).await;
    match owner.map_err(|refused| of_secret(refused, secret))? {
        SecretOwner::Ours(uid) => Ok(uid),
        SecretOwner::Other => Err(Problem::new(
            ProblemType::ManagedElsewhere,
            format!(
                "Secret {secret} was not made for this credential: change the key there, or delete the credential \
                 and create one with the key"
            ),
        )),
        SecretOwner::Absent => Err(Problem::new(
            ProblemType::Conflict,
            format!(
                "Secret {secret} is not there: make it, name another as secret_name, or delete the credential and \
                 create one with the key"
            ),
        )),
    }
}

/// What the kube-apiserver said of the Secret.
pub(super) fn of_secret(refused: Refused, secret: &str) -> Problem {
    match refused {
        Refused::AlreadyExists => Problem::new(
            ProblemType::AlreadyExists,
            format!(
                "the key would be stored in Secret {secret}, and there is one of that name: name it as secret_name \
                 if it holds the key, or choose another name"
            ),
        ),
        Refused::NotFound(_) => Problem::new(
            ProblemType::Conflict,
            format!("Secret {secret} was deleted meanwhile; try again"),
        ),
        other => {
            let problem = other.problem(KIND);
            Problem {
                detail: format!("Secret {secret}: {}", problem.detail),
                ..problem
            }
        }
    }
}

/// Why a Secret was not written.
struct Unstored {
    refused: Refused,
    /// Whether it is certain that it was not.
    is_certain: bool,
}

/// Whether the Secret was written. Where the kube-apiserver did not say so, the Secret says it.
async fn settled(
    cluster: &AsCaller,
    credential: &DynamicObject,
    secret: &str,
    key: &NewKey,
    stored: Result<(), Refused>,
) -> Result<(), Unstored> {
    let Err(refused) = stored else {
        return Ok(());
    };
    let holds = match &refused {
        Refused::Unanswered | Refused::Failed(_) => {
            secret::holds(cluster, credential, secret, key).await
        }
        _ => Ok(false),
    };
    match holds {
        Ok(true) => Ok(()),
        other => Err(Unstored {
            refused,
            is_certain: other.is_ok(),
        }),
    }
}

/// Puts the former spec back in the place of what was made here, whatever the controller has said of it
/// since; not in the place of what somebody else declared.
pub(super) async fn undo(
    cluster: &AsCaller,
    before: &DynamicObject,
    made: &DynamicObject,
) -> Result<(), Refused> {
    let mut newest = made.clone();
    for _ in 0..UNDO_ATTEMPTS {
        newest.data["spec"] = before.data["spec"].clone();
        match cluster.replace(KIND, &newest, false).await {
            Err(Refused::Conflict) => {}
            outcome => return outcome.map(drop),
        }
        let namespace = made.namespace().unwrap_or_default();
        newest = cluster.get(KIND, &namespace, &made.name_any()).await?;
        let of = |object: &DynamicObject| (object.metadata.uid.clone(), object.metadata.generation);
        if of(&newest) != of(made) {
            break;
        }
    }
    Err(Refused::Conflict)
}

/// Tells the audit that nothing came of it.
pub(super) async fn ended(record: Record, refused: Refused, uid: Option<uuid::Uuid>) -> Problem {
    record.end(refused.word(), uid).await;
    refused.problem(KIND)
}

/// Tells the audit, and the caller, that the Secret could not be written, and what became of the
/// credential.
pub(super) async fn put_back(
    mut record: Record,
    refused: Refused,
    credential: &DynamicObject,
    undone: Result<(), Refused>,
) -> Problem {
    record.note("undone", undone.is_ok());
    record.end(refused.word(), target::uid(credential)).await;
    let name = credential.name_any();
    let problem = of_secret(refused, &name);
    let what = match undone {
        Ok(()) => format!("LlmCredential {name} was put back as it was"),
        Err(_) => format!("LlmCredential {name} could not be put back as it was: see to it"),
    };
    Problem {
        detail: format!("{}; {what}", problem.detail),
        ..problem
    }
}
