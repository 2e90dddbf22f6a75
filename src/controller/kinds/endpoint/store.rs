//! Stores an endpoint.

use uuid::Uuid;

use super::{dereference::EndpointInputs, validate::ValidatedEndpoint};
use crate::{
    controller::{
        error::Error,
        kinds::{identity, refused},
        runtime::{
            context::Context,
            object_key::{ObjectKey, Wake},
        },
        status::evaluate::Evaluation,
    },
    crd::Kind,
    db::EndpointUpsert,
};

/// Stores what was concluded; wakes who uses this endpoint where what they read of it has changed.
/// One that is refused has no row.
pub async fn write(
    context: &Context,
    input: &EndpointInputs,
    desired: Option<&ValidatedEndpoint>,
    verdict: &Evaluation,
) -> Result<(), Error> {
    match (&input.row, desired) {
        (None, None) => return Ok(()),
        (Some(row), None) => refused::remove_row(context, Kind::Endpoint, row.uid).await?,
        (_, Some(desired)) => {
            let upsert = derived(input, desired, verdict);
            let (stored, _) = context
                .db
                .write(context.epoch, move |tx| {
                    Box::pin(async move { tx.endpoint_upsert(&upsert).await })
                })
                .await?;
            context.forget(&stored.replaced);
        }
    }
    let now = desired.map(|desired| read_by_users(input, desired, verdict));
    let before = input.row.as_ref().map(|row| ReadByUsers {
        provider_uid: row.provider_uid,
        is_active: row.is_active,
        is_default: row.is_default,
        check_inputs: row.check_inputs.clone(),
        generation: row.generation,
    });
    if before != now {
        let provider = &input.object.spec.provider_ref.name;
        wake_users(context, &input.owner.namespace, provider);
    }
    let former = before.map(|before| before.provider_uid);
    if let Some(former) = former.filter(|uid| desired.is_none_or(|d| d.provider_uid != *uid))
        && let Some(provider) = context.db.provider_row(former).await?
    {
        wake_users(context, &provider.namespace, &provider.name);
    }
    Ok(())
}

/// What others read of an endpoint's row.
#[derive(PartialEq)]
struct ReadByUsers {
    provider_uid: Uuid,
    is_active: bool,
    is_default: bool,
    check_inputs: String,
    generation: i64,
}

fn read_by_users(
    input: &EndpointInputs,
    desired: &ValidatedEndpoint,
    verdict: &Evaluation,
) -> ReadByUsers {
    ReadByUsers {
        provider_uid: desired.provider_uid,
        is_active: verdict.is_active,
        is_default: desired.is_default,
        check_inputs: desired.check_inputs.clone(),
        generation: identity::generation(&*input.object),
    }
}

/// The provider reads its list here, its credentials are checked here, its models are served here.
fn wake_users(context: &Context, namespace: &str, provider: &str) {
    let index = context.index();
    let users = [Kind::Credential, Kind::Model]
        .into_iter()
        .flat_map(|kind| {
            index
                .child_keys(kind, namespace, provider)
                .collect::<Vec<_>>()
        });
    context.waker.wake_all(users.map(Wake::now));
    context.waker.wake(Wake::now(ObjectKey::new(
        Kind::Provider,
        namespace,
        provider,
    )));
}

fn derived(
    input: &EndpointInputs,
    desired: &ValidatedEndpoint,
    verdict: &Evaluation,
) -> EndpointUpsert {
    let spec = &input.object.spec;
    EndpointUpsert {
        uid: input.owner.uid,
        namespace: input.owner.namespace.clone(),
        name: input.owner.name.clone(),
        generation: identity::generation(&*input.object),
        enabled: spec.enabled,
        is_active: verdict.is_active,
        conditions: verdict.conditions.clone(),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        created_at: identity::created_at(&*input.object),
        provider_uid: desired.provider_uid,
        display_name: spec.display_name.clone(),
        base_url: desired.base_url.clone(),
        api_version: spec.api_version.clone(),
        region: spec.region.clone(),
        timeout_connect: spec.connect_timeout_seconds,
        timeout_read: spec.read_timeout_seconds,
        retry_count: spec.retry.count,
        retry_interval_ms: spec.retry.interval_milliseconds,
        headers: spec.headers.clone(),
        priority: spec.priority,
        is_default: desired.is_default,
        ca_bundle: spec.ca_bundle.clone(),
        check_inputs: desired.check_inputs.clone(),
        health_check: spec.health_check.clone(),
    }
}
