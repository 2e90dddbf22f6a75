//! LlmCredential: a key that is taken from a Secret, sealed, checked and followed through its
//! versions.

pub mod dereference;
mod expiry;
pub mod federation;
pub mod intact;
mod jobs;
mod proof;
mod secret;
pub mod secret_cache;
mod status;
pub mod store;
pub mod usable;
pub mod validate;
mod verdicts;

/// For the fuzz targets: what is read of a Secret.
#[cfg(fuzzing)]
pub use secret::{Consent, SecretContents, consent, read};

use super::identity;
use crate::controller::{
    error::Error,
    runtime::{context::Context, object_key::ObjectKey, queue::Next},
};

/// Brings one credential's declaration into force.
pub async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Next, Error> {
    let Some(mut input) = dereference::read(context, key).await? else {
        context.metrics.credential_expires(key, None);
        return Ok(Next::Done);
    };
    context
        .metrics
        .credential_expires(key, expiry::expires_at(&input.object));
    let now = context.now();
    let desired = validate::desired(&input);
    let mut unread = None;
    if let Ok(declared) = &desired {
        // Taking a key away waits for no Secret, and for no keyring: what is stored of it stays as it is meanwhile.
        let is_over = expiry::expired_at(&input.object, input.row.as_ref(), now).is_some();
        match secret_cache::take(context, &mut input).await {
            Err(error) if is_over || !declared.on => unread = Some(error),
            taken => taken?,
        }
        federation::read_account(context, &mut input).await;
    }
    let mut steps = validate::steps(&input, desired.as_ref().ok(), now);
    if steps.seals() && input.needs_fields() {
        secret_cache::take_again(context, &mut input).await?;
        // It may hold another key than when it was read last.
        steps = validate::steps(&input, desired.as_ref().ok(), now);
    }
    let versions = usable::after_steps(&input, &steps);
    let jobs = jobs::jobs(&input, desired.as_ref().ok(), &versions);
    let settled = context.checks.settled_for(&jobs);
    let verdict = validate::validate(&input, &desired, (&steps, &versions), settled, now);
    let stored = store::write(context, &input, desired.as_ref().ok(), &steps, &verdict).await?;
    context.checks.plan(&input.owner, jobs).await?;
    let status = status::of(&input, &stored, &verdict);
    let told = crate::controller::status::write::settle(
        context,
        &*input.object,
        &status,
        &verdict.conditions,
    )
    .await?;
    secret_cache::forget_if_gone(context, identity::uid(&*input.object), &desired);
    if let Some(error) = unread {
        tracing::debug!(object = %key, %error, "a key that is not in force could not be compared with its Secret");
        return Ok(Next::Retry);
    }
    let looks_again = secret_cache::looks_again(&input, &verdict.conditions, now)
        .or_sooner(federation::looks_again(&input, &verdict.conditions, now));
    Ok(told
        .or_sooner(validate::next(&input, &steps, now))
        .or_sooner(looks_again))
}
