//! LlmProvider: the account or server that everything else hangs on, and the reading of its
//! vendor's model list.

pub mod dereference;
mod proof;
mod status;
pub mod store;
mod synced;
pub mod validate;

use crate::controller::{
    error::Error,
    runtime::{context::Context, object_key::ObjectKey, queue::Next},
};

/// Brings one provider's declaration into force.
pub async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Next, Error> {
    let Some(input) = dereference::read(context, key).await? else {
        return Ok(Next::Done);
    };
    let now = context.now();
    let jobs = validate::jobs(&input);
    let settled = context.checks.settled_for(&jobs);
    let verdict = validate::validate(&input, settled, now);
    store::write(context, &input, &verdict).await?;
    context.checks.plan(&input.owner, jobs).await?;
    if !validate::steps(context, &input).is_empty() {
        context.model_sync.ask(key.clone());
    }
    let status = status::of(&input, &verdict);
    let told = crate::controller::status::write::settle(
        context,
        &*input.object,
        &status,
        &verdict.conditions,
    )
    .await?;
    Ok(told.or_sooner(synced::looks_again(&input)))
}
