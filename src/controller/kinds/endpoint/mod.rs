//! LlmEndpoint: an address at which a provider answers, and its probes.

pub mod dereference;
mod proof;
mod status;
pub mod store;
pub mod validate;

use crate::controller::{
    error::Error,
    runtime::{context::Context, object_key::ObjectKey, queue::Next},
};

/// Brings one endpoint's declaration into force.
pub async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Next, Error> {
    let Some(input) = dereference::read(context, key).await? else {
        return Ok(Next::Done);
    };
    let now = context.now();
    let desired = validate::desired(&input);
    let jobs = validate::jobs(&input, desired.as_ref().ok());
    let settled = context.checks.settled_for(&jobs);
    let verdict = validate::validate(&input, &desired, settled, now);
    store::write(context, &input, desired.as_ref().ok(), &verdict).await?;
    context.checks.plan(&input.owner, jobs).await?;
    let status = status::of(&input, desired.as_ref().ok(), &verdict);
    crate::controller::status::write::settle(context, &*input.object, &status, &verdict.conditions)
        .await
}
