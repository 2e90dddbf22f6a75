//! LlmModelClass: a name that agents ask for, and the model that it means now.
//!
//! What it means is what `crate::resolve` says, which answers agents too.

pub mod dereference;
pub mod meaning;
mod off;
mod proof;
mod status;
pub mod store;
pub mod validate;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::identity;
use crate::controller::{
    error::Error,
    runtime::{context::Context, object_key::ObjectKey, queue::Next},
    status::{debounce::StatusChange, write::settle},
};

/// Brings one class's declaration into force.
pub async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Next, Error> {
    let Some(input) = dereference::read(context, key).await? else {
        return Ok(Next::Done);
    };
    if input.is_early {
        let news = StatusChange::Unstored {
            generation: identity::generation(&*input.object),
        };
        let wait = (context.patience()).wait(input.owner.uid, news, Instant::now());
        if let Some(wait) = wait {
            return Ok(Next::After(wait));
        }
    }
    let now = context.now();
    let meaning = meaning::meaning(&input, now);
    let verdict = validate::validate(&input, &meaning, now);
    store::write(context, &input, &meaning, &verdict).await?;
    let status = status::of(&input, &meaning, &verdict);
    let settled = settle(context, &*input.object, &status, &verdict.conditions).await?;
    Ok(settled.or_sooner(until(meaning.changes_at, now)))
}

/// When time alone may change what it means.
fn until(changes_at: Option<Timestamp>, now: Timestamp) -> Next {
    changes_at.map_or(Next::Done, |at| {
        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        // Not before: times are counted to the second.
        Next::After(left + Duration::from_secs(1))
    })
}
