//! LlmModel: a model that a provider offers, and whether its vendor agrees.

pub mod dereference;
mod effective;
mod life;
mod proof;
mod status;
pub mod store;
pub mod validate;

use std::time::Duration;

use tokio::time::Instant;

use super::{identity, parent};
use crate::controller::{
    error::Error,
    runtime::{context::Context, index::Declared, object_key::ObjectKey, queue::Next},
    status::debounce::StatusChange,
};
use crate::crd::LlmModel;

/// Brings one model's declaration into force.
pub async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Next, Error> {
    if let Some(wait) = wait_for_lists(context, key) {
        return Ok(Next::After(wait));
    }
    let Some(input) = dereference::read(context, key).await? else {
        context.metrics.model_retires(key, None);
        return Ok(Next::Done);
    };
    let now = context.now();
    let desired = validate::desired(&input);
    let retires_at = validate::retires_at(desired.as_ref().ok());
    context.metrics.model_retires(key, retires_at);
    let jobs = validate::jobs(&input, desired.as_ref().ok());
    let settled = context.checks.settled_for(&jobs);
    let verdict = validate::validate(&input, &desired, settled, now);
    store::write(context, &input, desired.as_ref().ok(), &verdict).await?;
    context.checks.plan(&input.owner, jobs).await?;
    let status = status::of(&input, desired.as_ref().ok(), &verdict);
    let object = &*input.object;
    let told =
        crate::controller::status::write::settle(context, object, &status, &verdict.conditions);
    Ok(told
        .await?
        .or_sooner(validate::next(&input, desired.as_ref().ok(), now)))
}

/// How much longer a model of which nothing has been told waits for its provider's lists, where they
/// are being read: with them it is judged once instead of twice.
fn wait_for_lists(context: &Context, key: &ObjectKey) -> Option<Duration> {
    let (object, provider) = {
        let index = context.index();
        let object = index.get::<LlmModel>(&key.namespace, &key.name)?;
        let name = &object.spec.provider_ref.name;
        let provider = parent::declared(&index, &key.namespace, name).ok()?;
        (object, provider)
    };
    if !object.conditions().is_empty()
        || context
            .checks
            .settled(identity::uid(provider.found().ok()?))
    {
        return None;
    }
    let news = StatusChange::Unlisted {
        generation: identity::generation(&*object),
    };
    (context.patience()).wait(identity::uid(&*object), news, Instant::now())
}
