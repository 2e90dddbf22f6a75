//! Stores an endpoint.

use super::{dereference::EndpointInputs, validate::ValidatedEndpoint};
use crate::{
    controller::{
        error::Error,
        kinds::row,
        runtime::{
            context::Context,
            object_key::{ObjectKey, Wake},
        },
        status::evaluate::Evaluation,
    },
    crd::Kind,
    db::DeclaredEndpoint,
};

/// Stores what was concluded; wakes who uses this endpoint where what they read of it has changed.
/// One that is refused has no row.
pub async fn write(
    context: &Context,
    input: &EndpointInputs,
    desired: Option<&ValidatedEndpoint>,
    verdict: &Evaluation,
) -> Result<(), Error> {
    let declared = desired.map(|desired| derived(input, desired, verdict));
    let now = declared.as_ref().map(read_by_users);
    let before = input.row.as_deref().map(read_by_users);
    row::write(context, input.row.as_ref(), declared).await?;
    if before != now {
        let provider = &input.object.spec.provider_ref.name;
        wake_users(context, &input.owner.namespace, provider);
    }
    let former = input.row.as_ref().map(|row| row.provider_uid);
    if let Some(former) = former.filter(|uid| desired.is_none_or(|d| d.provider_uid != *uid))
        && let Some(provider) = context.db.provider_row(former).await?
    {
        wake_users(context, &provider.namespace, &provider.name);
    }
    Ok(())
}

/// What others read of an endpoint's row.
fn read_by_users(row: &DeclaredEndpoint) -> impl PartialEq + use<> {
    let inputs = row.check_inputs.clone();
    (
        row.provider_uid,
        row.is_active,
        row.is_default,
        inputs,
        row.generation,
    )
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

/// The row of what was concluded. Pure.
pub fn derived(
    input: &EndpointInputs,
    desired: &ValidatedEndpoint,
    verdict: &Evaluation,
) -> DeclaredEndpoint {
    let spec = &input.object.spec;
    DeclaredEndpoint {
        object: row::columns(&*input.object, spec.enabled, verdict),
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
