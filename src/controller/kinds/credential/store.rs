//! Stores a credential and its key's versions.

use super::{
    dereference::CredentialInputs, intact, usable, validate::ValidatedCredential, verdicts,
};
use crate::{
    controller::{
        error::Error,
        kinds::row,
        runtime::context::Context,
        status::{evaluate::Evaluation, events::EventDraft},
    },
    crd::{Kind, credential::VersionState},
    db::{CredentialVersionRow, DeclaredCredential, NewVersion, SealedVersion},
    encryption::Payload,
    keys::{
        seal::seal_version,
        versions::{VersionInsert, VersionSteps},
    },
};

/// Stores what was concluded, in one transaction; answers the versions as they are then, newest
/// first. One that is refused has no row, and no key.
pub async fn write(
    context: &Context,
    input: &CredentialInputs,
    desired: Option<&ValidatedCredential>,
    steps: &VersionSteps,
    verdict: &Evaluation,
) -> Result<Vec<CredentialVersionRow>, Error> {
    let uid = input.owner.uid;
    let upsert = match (&input.row, desired) {
        (None, None) => return Ok(input.versions.clone()),
        (Some(_), None) => {
            row::remove(context, Kind::Credential, uid).await?;
            return Ok(context.db.credential_version_rows(&[uid]).await?);
        }
        (_, Some(desired)) => derived(input, desired, steps, verdict),
    };
    let new = match steps.insert {
        Some(insert) => inserted(context, input, insert).await?,
        None => None,
    };
    let again = match steps.reseal {
        Some(version) => sealed(context, input, version).await?,
        None => None,
    };
    let moves = steps.moves.clone();
    let keep = verdicts::verdicts_to_keep(input);
    let (stored, revision) = context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move {
                let stored = tx.upsert(&upsert).await?;
                for step in &moves {
                    tx.credential_version_state_set(
                        uid,
                        step.version,
                        step.state,
                        step.grace_until,
                    )
                    .await?;
                }
                if let Some(again) = &again {
                    tx.credential_version_reseal(again).await?;
                }
                if let Some(new) = &new {
                    tx.credential_version_insert(new).await?;
                }
                if let Some(keep) = &keep {
                    tx.credential_verdicts_keep(uid, keep).await?;
                }
                Ok(stored)
            })
        })
        .await?;
    context.forget(&stored.replaced);
    intact::tell_healed(context, input, steps);
    tell_destroyed(context, input, steps);
    if steps.rolled_back {
        let (namespace, name) = (&input.owner.namespace, &input.owner.name);
        tracing::warn!(%namespace, %name, "the stored key was older than the status says; it follows the Secret again");
        context.metrics.rolled_back.inc();
    }
    if revision.is_none() {
        return Ok(input.versions.clone());
    }
    Ok(context.db.credential_version_rows(&[uid]).await?)
}

/// Tells of a key that was destroyed when its Secret had held it no more for long enough; what is
/// destroyed at once the condition tells.
fn tell_destroyed(context: &Context, input: &CredentialInputs, steps: &VersionSteps) {
    let Some(Err(problem)) = &input.secret else {
        return;
    };
    let overdue = |row: &&CredentialVersionRow| {
        row.state == VersionState::Current
            && row.grace_until.is_some()
            && steps.destroys(row.version)
    };
    let told = input.versions.iter().filter(overdue).map(|row| EventDraft {
        warning: true,
        reason: problem.input.reason.as_str().to_owned(),
        note: format!(
            "version {} of the key has been destroyed: {}",
            row.version, problem.input.message
        ),
        apart: true,
    });
    let told: Vec<EventDraft> = told.collect();
    if !told.is_empty() {
        context.events.publish(&*input.object, told);
    }
}

/// A new version with the Secret's key.
async fn inserted(
    context: &Context,
    input: &CredentialInputs,
    insert: VersionInsert,
) -> Result<Option<NewVersion>, Error> {
    let sealed = sealed(context, input, insert.version).await?;
    let Some((holding, sealed)) = input.holding().zip(sealed) else {
        return Ok(None);
    };
    Ok(Some(NewVersion {
        sealed,
        state: insert.state,
        fingerprint: holding.fingerprint.clone(),
        masked_key: holding.masked_key.clone(),
        provider_type: holding.consent.provider_type,
        allowed_hosts: holding.consent.hosts.clone(),
        field_fingerprints: holding.field_fingerprints.clone(),
        ends: None,
        exchanged_with: None,
    }))
}

/// The Secret's key, sealed as this version.
async fn sealed(
    context: &Context,
    input: &CredentialInputs,
    version: i32,
) -> Result<Option<SealedVersion>, Error> {
    let (Some(holding), Some(fields)) = (input.holding(), &input.fields) else {
        return Ok(None);
    };
    let payload = Payload {
        fields: fields.clone(),
        provider_type: holding.consent.provider_type.to_string(),
        allowed_hosts: holding.consent.hosts.clone(),
    };
    let owner = &input.owner;
    let object = (owner.namespace.as_str(), owner.name.as_str(), owner.uid);
    let sealed = seal_version(&context.keyring, object, version, &payload).await;
    sealed
        .map(Some)
        .map_err(|error| Error::Keyring(error.to_string()))
}

/// The highest number that a version ever had, as far as rows and status tell.
fn newest_version(input: &CredentialInputs, steps: &VersionSteps) -> i32 {
    let status = input.object.status.as_ref();
    let told = status.into_iter().flat_map(|status| &status.versions);
    let stored = input.versions.iter().map(|row| row.version);
    told.map(|told| told.version)
        .chain(stored)
        .chain(steps.insert.map(|insert| insert.version))
        .max()
        .unwrap_or(0)
}

/// The row of what was concluded. Pure.
pub fn derived(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    steps: &VersionSteps,
    verdict: &Evaluation,
) -> DeclaredCredential {
    let spec = &input.object.spec;
    let versions = usable::after_steps(input, steps);
    let current = usable::in_state(&versions, VersionState::Current);
    let before = input.row.as_ref();
    let held = input.holding();
    let has_secret = spec.secret_ref.is_some();
    DeclaredCredential {
        object: row::columns(&*input.object, spec.enabled, verdict),
        provider_uid: desired.provider_uid,
        endpoint_uids: desired.endpoint_uids.clone(),
        alias: spec.alias.clone(),
        description: spec.description.clone(),
        expires_at: spec.expires_at.as_ref().map(|t| t.0),
        quota_limit: spec.quota.as_ref().map(|q| q.limit),
        quota_unit: spec.quota.as_ref().map(|q| q.unit),
        quota_period: spec.quota.as_ref().map(|q| q.period),
        priority: spec.priority,
        grace_seconds: spec.rotation.grace_seconds,
        validation: spec.validation.clone(),
        secret_name: spec.secret_name().to_owned(),
        secret_uid: match held {
            Some(held) => held.secret_uid.clone(),
            None => before
                .filter(|_| has_secret)
                .and_then(|r| r.secret_uid.clone()),
        },
        secret_resource_version: match held {
            Some(held) => held.resource_version.clone(),
            None => before
                .filter(|_| has_secret)
                .and_then(|r| r.secret_resource_version.clone()),
        },
        masked_key: current.map(|v| v.masked_key.clone()),
        fingerprint: current.map(|v| v.fingerprint.clone()),
        version: current.map(|v| v.version),
        federation: spec.federation.clone(),
        newest_version: newest_version(input, steps),
    }
}
