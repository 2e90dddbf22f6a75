//! Taking a key from its Secret: one `get`, only when the Secret or the declaration has changed since the last
//! one of this process, or checks were asked for: what they say is of the Secret as it was then, however late
//! the watch tells of it.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Api, ResourceExt};
use uuid::Uuid;
use zeroize::Zeroize;

use super::{
    dereference::CredentialInputs,
    secret::{self, Consent},
    validate::ValidatedCredential,
};
use crate::{
    controller::{
        error::{Error, Refusal},
        kinds::identity,
        runtime::{context::Context, index::asked_at, queue::Next},
    },
    crd::{
        ProviderType,
        conditions::{self, ConditionInput, ConditionType},
        reasons::Reason,
    },
    encryption::{Fingerprint, FingerprintKey, MaskedKey, SecretFields},
    keys::versions::KeyLoss,
    vendors::{self, WrongFields},
};

/// First and longest wait before one looks again after a Secret that the watch does not tell of.
const LOOKS_AGAIN_FIRST: Duration = Duration::from_secs(5);
const LOOKS_AGAIN_LATER: Duration = Duration::from_secs(120);

/// What a Secret was found to hold. Nothing of the key is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedSecret {
    /// UID of the Secret.
    pub secret_uid: Option<String>,
    /// Its resourceVersion.
    pub resource_version: Option<String>,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// Fingerprints of its fields, each by itself.
    pub field_fingerprints: Vec<String>,
    /// The key, masked.
    pub masked_key: String,
    /// Whose key it is, and where it may go.
    pub consent: Consent,
    /// Sentences for the status.
    pub notes: Vec<String>,
}

/// Why no key could be taken from a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretProblem {
    /// What `Valid` says of it.
    pub input: ConditionInput,
    /// What becomes of the stored key; `None` where the Secret could not be looked at.
    pub loss: Option<KeyLoss>,
}

impl SecretProblem {
    /// What was read of the Secret, or that there is none.
    fn seen(input: ConditionInput) -> Self {
        let loss = match input.reason {
            Reason::SecretNotFound => KeyLoss::SecretGone,
            Reason::SecretFieldMissing | Reason::KeyMalformed => KeyLoss::EntryGone,
            _ => KeyLoss::Withdrawn,
        };
        Self {
            input,
            loss: Some(loss),
        }
    }
}

/// What was last read, and of what.
#[derive(Clone, Debug)]
pub struct SecretCache {
    secret: Option<(String, String)>,
    generation: i64,
    /// The request for checks that it was read for, in the words of the annotation.
    asked: Option<String>,
    provider_type: ProviderType,
    result: Result<CachedSecret, SecretProblem>,
}

/// Reads the Secret, unless what this process last read of it is still all there is to know.
pub async fn take(context: &Context, input: &mut CredentialInputs) -> Result<(), Error> {
    let Ok(provider) = input.parent.found() else {
        return Ok(());
    };
    if input.object.spec.secret_ref.is_none() {
        return Ok(());
    }
    let provider_type = provider.spec.type_;
    let seen = seen(context, input);
    let generation = identity::generation(&*input.object);
    let known = {
        let taken = context.taken.lock();
        taken.get(&input.owner.uid).cloned()
    };
    if let Some(known) = known
        && seen.is_some()
        && known.secret == seen
        && known.generation == generation
        && known.asked.as_deref() == asked_at(&*input.object)
        && known.provider_type == provider_type
    {
        if known.result.is_ok() {
            fingerprint_key(context)?;
        }
        input.secret = Some(known.result);
        return Ok(());
    }
    read(context, input, provider_type).await
}

/// Reads the Secret in any case: what is to be sealed must be at hand.
pub async fn take_again(context: &Context, input: &mut CredentialInputs) -> Result<(), Error> {
    let Ok(provider) = input.parent.found() else {
        return Ok(());
    };
    if input.object.spec.secret_ref.is_none() {
        return Ok(());
    }
    let provider_type = provider.spec.type_;
    read(context, input, provider_type).await
}

/// Under another key every fingerprint differs, and every key would look rotated. What needs none, such as that a
/// label is gone, is found without it.
fn fingerprint_key(context: &Context) -> Result<Arc<FingerprintKey>, Error> {
    let key = context.keyring.fingerprint_key();
    key.map_err(|error| Error::Keyring(error.to_string()))
}

/// When to look again after a Secret that cannot be seen coming: the watch tells of opted-in ones
/// alone, so that one that is made without its label, or goes, is found by asking. Less often the
/// longer it takes.
pub fn looks_again(input: &CredentialInputs, conditions: &[Condition], now: Timestamp) -> Next {
    let unseen = matches!(
        &input.secret,
        Some(Err(SecretProblem {
            input: ConditionInput {
                reason: Reason::SecretNotFound | Reason::SecretNotLabelled,
                ..
            },
            ..
        }))
    );
    if !unseen {
        return Next::Done;
    }
    let since = conditions::find(conditions, ConditionType::Valid)
        .map_or(now, |valid| valid.last_transition_time.0);
    Next::After(wait(now.duration_since(since)))
}

/// Half of how long it took so far, within bounds.
pub(super) fn wait(so_far: SignedDuration) -> Duration {
    let so_far = Duration::try_from(so_far).unwrap_or_default();
    (so_far / 2).clamp(LOOKS_AGAIN_FIRST, LOOKS_AGAIN_LATER)
}

/// Forgets what was read for a credential that is refused: it is read again when it is not.
pub fn forget_if_gone(
    context: &Context,
    uid: Uuid,
    desired: &Result<ValidatedCredential, Refusal>,
) {
    if desired.is_err() {
        let mut taken = context.taken.lock();
        taken.remove(&uid);
    }
}

/// UID and resourceVersion of the opted-in Secret, as the watch has it.
fn seen(context: &Context, input: &CredentialInputs) -> Option<(String, String)> {
    let name = input.object.spec.secret_name();
    let secret = context.index().secret(&input.owner.namespace, name)?;
    Some((secret.uid()?, secret.resource_version()?))
}

async fn read(
    context: &Context,
    input: &mut CredentialInputs,
    provider_type: ProviderType,
) -> Result<(), Error> {
    let name = input.object.spec.secret_name().to_owned();
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &input.owner.namespace);
    // Metadata first: the contents of a Secret that nobody opted in are none of our business.
    let meta = match api.get_metadata_opt(&name).await {
        Ok(meta) => meta,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            input.secret = Some(Err(SecretProblem {
                input: not_ours(&name),
                loss: None,
            }));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let opted_in = match &meta {
        None => Err(not_found(&name)),
        Some(meta) => secret::consent(&name, provider_type, meta.labels(), meta.annotations()),
    };
    let (mut stamp, mut fields) = (None, None);
    let result = match opted_in {
        Err(finding) => Err(finding),
        Ok(_) => match api.get_opt(&name).await? {
            None => Err(not_found(&name)),
            Some(secret) => {
                let secret = WipedSecret(secret);
                let secret = &secret.0;
                stamp = secret.uid().zip(secret.resource_version());
                let key = fingerprint_key(context)?;
                hold(&key, input, provider_type, secret).map(|(holding, key)| {
                    fields = Some(key);
                    holding
                })
            }
        },
    };
    let result = result.map_err(SecretProblem::seen);
    let taken = SecretCache {
        secret: stamp,
        generation: identity::generation(&*input.object),
        asked: asked_at(&*input.object).map(str::to_owned),
        provider_type,
        result: result.clone(),
    };
    context.taken.lock().insert(input.owner.uid, taken);
    input.secret = Some(result);
    input.fields = fields;
    Ok(())
}

/// A Secret as it was read; its values are wiped when it is dropped.
struct WipedSecret(Secret);

impl Drop for WipedSecret {
    fn drop(&mut self) {
        for value in self.0.data.iter_mut().flat_map(|data| data.values_mut()) {
            value.0.zeroize();
        }
    }
}

fn hold(
    key: &FingerprintKey,
    input: &CredentialInputs,
    provider_type: ProviderType,
    secret: &Secret,
) -> Result<(CachedSecret, SecretFields), ConditionInput> {
    let Some(reference) = &input.object.spec.secret_ref else {
        return Err(not_found(""));
    };
    // Asked again of what was read whole: label and annotation may have changed in between.
    let consent = secret::consent(
        &reference.name,
        provider_type,
        secret.labels(),
        secret.annotations(),
    )?;
    let nothing = Default::default();
    let data = secret.data.as_ref().unwrap_or(&nothing);
    let read = secret::read(&reference.keys, &reference.name, data)?;
    let driver = vendors::driver(provider_type);
    driver
        .check_key(&read.fields)
        .map_err(|why| ConditionInput::new(Reason::KeyMalformed, why))?;
    let wrong = driver.key_fields().check(&read.fields);
    wrong.map_err(|wrong| ConditionInput::new(reason_of(wrong), wrong.to_string()))?;
    let holding = CachedSecret {
        secret_uid: secret.uid(),
        resource_version: secret.resource_version(),
        fingerprint: Fingerprint::of(key, input.owner.uid, &read.fields).to_string(),
        field_fingerprints: Fingerprint::of_each(key, input.owner.uid, &read.fields)
            .iter()
            .map(ToString::to_string)
            .collect(),
        masked_key: MaskedKey::of(read.fields.api_key.as_ref()).to_string(),
        consent,
        notes: read.notes,
    };
    Ok((holding, read.fields))
}

fn reason_of(wrong: WrongFields) -> Reason {
    match wrong {
        WrongFields::Missing(_) => Reason::SecretFieldMissing,
        WrongFields::Superfluous(..) => Reason::KeyMalformed,
    }
}

fn not_found(name: &str) -> ConditionInput {
    ConditionInput::new(
        Reason::SecretNotFound,
        format!(
            "there is no Secret {name} in this namespace; create it, or correct spec.secretRef"
        ),
    )
}

fn not_ours(name: &str) -> ConditionInput {
    ConditionInput::new(
        Reason::SecretNotFound,
        format!(
            "the controller may not read Secret {name}: an operator grants it Secrets in this namespace"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_looked_after_less_and_less_often() {
        let waits = |seconds| wait(SignedDuration::from_secs(seconds)).as_secs();
        assert_eq!([-5, 0, 9, 60, 100_000].map(waits), [5, 5, 5, 30, 120]);
    }
}
