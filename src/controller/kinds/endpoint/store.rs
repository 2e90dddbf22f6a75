//! Stores an endpoint.

use super::{dereference::EndpointInputs, validate::ValidatedEndpoint};
use crate::{
    controller::{
        error::Error,
        kinds::identity,
        runtime::{
            context::Context,
            object_key::{ObjectKey, Wake},
        },
        status::evaluate::Evaluation,
    },
    crd::Kind,
    db::{EndpointRow, EndpointUpsert},
};

/// Stores what was concluded; wakes who uses this endpoint where that changed whether it is in
/// force, or its place among the others. One that is refused is not stored, and its older row is switched off.
pub async fn write(
    context: &Context,
    input: &EndpointInputs,
    desired: Option<&ValidatedEndpoint>,
    verdict: &Evaluation,
) -> Result<(), Error> {
    let upsert = match (&input.row, desired) {
        (None, None) => return Ok(()),
        (Some(row), None) => switched_off(row, verdict),
        (_, Some(desired)) => derived(input, desired, verdict),
    };
    let (stored, _) = context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.endpoint_upsert(&upsert).await })
        })
        .await?;
    context.forget(&stored.replaced);
    let before = input.row.as_ref().filter(|row| row.deleted_at.is_none());
    let moved = |row: &EndpointRow| {
        row.is_active != verdict.is_active
            || desired
                .is_some_and(|d| (&d.base_url, d.is_default) != (&row.base_url, row.is_default))
            || row.generation != identity::generation(&*input.object)
    };
    if before.is_none_or(moved) {
        wake_users(context, input);
    }
    Ok(())
}

/// The provider reads its list here, its credentials are checked here, its models are served here.
fn wake_users(context: &Context, input: &EndpointInputs) {
    let namespace = &input.owner.namespace;
    let provider = &input.object.spec.provider_ref.name;
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
        health_check: spec.health_check.clone(),
    }
}

fn switched_off(row: &EndpointRow, verdict: &Evaluation) -> EndpointUpsert {
    let row = row.clone();
    EndpointUpsert {
        uid: row.uid,
        namespace: row.namespace,
        name: row.name,
        generation: row.generation,
        enabled: row.enabled,
        is_active: false,
        conditions: verdict.conditions.clone(),
        verified_generation: verdict.verified_generation,
        last_handled_reconcile_at: verdict.handled.clone(),
        created_at: row.created_at,
        provider_uid: row.provider_uid,
        display_name: row.display_name,
        base_url: row.base_url,
        api_version: row.api_version,
        region: row.region,
        timeout_connect: row.timeout_connect,
        timeout_read: row.timeout_read,
        retry_count: row.retry_count,
        retry_interval_ms: row.retry_interval_ms,
        headers: row.headers,
        priority: row.priority,
        is_default: false,
        ca_bundle: row.ca_bundle,
        health_check: row.health_check,
    }
}
