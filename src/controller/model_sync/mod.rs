//! Model sync: an LlmModel for each id that a vendor lists and nobody declared.
//!
//! Reading the lists is a check, like every call to a vendor. From the last complete lists and the
//! declared objects a pure [`plan`] says what is to be made and updated; a provider's reconcile
//! says so in its status and asks for a pass, and one task here carries it out, at a pace that the
//! kube-apiserver does not feel. It keeps no state: killed at any moment, the next plan holds what
//! is left. It takes no model away because a vendor lists it no more; what it deletes are its own
//! objects alone, untouched by anybody, when somebody declares their id.

mod apply;
mod fields;
pub mod globs;
mod names;
mod pace;
pub mod plan;
mod waiting;

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use futures::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    error::{Class, Error, namespace_is_going},
    kinds::{identity, provider},
    runtime::{
        context::Context,
        metrics::SyncLabel,
        object_key::{ObjectKey, Wake},
    },
};
use crate::db::DbError;
use crate::telemetry::spans;
use apply::ApplyResult;
pub use apply::{SyncedProvider, made_object};
use pace::Pace;
use plan::Step;
use waiting::{SyncEnd, WaitingSyncs};

/// Steps of one pass: other providers' turn comes after so many.
const MAX_STEPS: usize = 400;
/// Steps under way at once.
const MAX_CONCURRENT_SYNCS: usize = 4;
/// Failures after which a pass gives up until later.
const MAX_FAILURES: usize = 10;
/// Most characters of what the kube-apiserver said that are repeated.
const MAX_MESSAGE_CHARS: usize = 300;

/// Where passes are asked for, and what the last ones failed on. A clone is the same.
#[derive(Clone, Debug)]
pub struct ModelSync {
    asked: mpsc::UnboundedSender<ObjectKey>,
    failures: Arc<Mutex<HashMap<ObjectKey, String>>>,
    /// Most generated models a provider may have.
    pub limit: usize,
}

impl ModelSync {
    /// A handle, and where its requests arrive, for [`run`].
    pub fn new(limit: usize) -> (Self, mpsc::UnboundedReceiver<ObjectKey>) {
        let (asked, receiver) = mpsc::unbounded_channel();
        let handle = Self {
            asked,
            failures: Arc::default(),
            limit,
        };
        (handle, receiver)
    }

    /// Asks for a pass over a provider's models soon.
    pub fn ask(&self, provider: ObjectKey) {
        // Nobody listens after shutdown, which is no error.
        let _ = self.asked.send(provider);
    }

    /// What the last pass over a provider's models failed on.
    pub fn failure(&self, provider: &ObjectKey) -> Option<String> {
        self.failures().get(provider).cloned()
    }

    /// Notes it; answers whether it is news.
    fn note(&self, provider: &ObjectKey, failure: Option<String>) -> bool {
        let mut failures = self.failures();
        let before = match failure.clone() {
            Some(failure) => failures.insert(provider.clone(), failure),
            None => failures.remove(provider),
        };
        before != failure
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<ObjectKey, String>> {
        self.failures.lock()
    }
}

/// Makes passes until `shutdown`. What is under way then is dropped: the next leader's plan holds
/// it again.
///
/// # Errors
/// What must end the process.
pub async fn run(
    context: Arc<Context>,
    mut asked: mpsc::UnboundedReceiver<ObjectKey>,
    writes_per_second: NonZeroU32,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let pace = Pace::per_second(writes_per_second);
    let mut waiting = WaitingSyncs::default();
    loop {
        let next = async {
            match waiting.next_at() {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some(key) = asked.recv() => {
                waiting.ask(key, Instant::now());
                continue;
            }
            () = next => {}
        }
        let Some(key) = waiting.take_due(Instant::now()) else {
            continue;
        };
        let ended = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            ended = pass(&context, &key, &pace).instrument(spans::upkeep("model sync")) => ended?,
        };
        waiting.ended(&key, ended, Instant::now());
    }
}

/// One pass over a provider's models.
async fn pass(context: &Context, key: &ObjectKey, pace: &Pace) -> Result<SyncEnd, Error> {
    let input = match provider::dereference::read(context, key).await {
        Ok(Some(input)) => input,
        Ok(None) => {
            context.model_sync.note(key, None);
            return Ok(SyncEnd::Complete);
        }
        Err(error) if error.class() == Class::Fatal => return Err(error),
        Err(error) => {
            tracing::warn!(provider = %key, %error, "model sync could not read what it needs");
            return Ok(SyncEnd::Failed);
        }
    };
    let steps = provider::validate::steps(context, &input);
    let owner = SyncedProvider {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: input.owner.uid.to_string(),
    };
    let more = steps.len() > MAX_STEPS;
    let carried = carry_out(context, &owner, &steps[..steps.len().min(MAX_STEPS)], pace).await?;
    if carried.done > 0 {
        note_synced(context, identity::uid(&*input.object)).await?;
    }
    let failed = carried.failures > 0;
    if context.model_sync.note(key, carried.failure) || carried.done > 0 {
        context.waker.wake(Wake::soon(key.clone()));
    }
    Ok(match (failed, more) {
        (true, _) => SyncEnd::Failed,
        (false, true) => SyncEnd::More,
        (false, false) => SyncEnd::Complete,
    })
}

#[derive(Default)]
struct AppliedSteps {
    done: usize,
    failures: usize,
    /// The first refusal, in words that stay the same when it is met again.
    failure: Option<String>,
}

async fn carry_out(
    context: &Context,
    owner: &SyncedProvider,
    steps: &[Step],
    pace: &Pace,
) -> Result<AppliedSteps, Error> {
    let mut carried = AppliedSteps::default();
    let mut left = steps.iter();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < MAX_CONCURRENT_SYNCS
            && let Some(step) = left.next()
        {
            running.push(one(context, owner, step, pace));
        }
        let Some(result) = running.next().await else {
            return Ok(carried);
        };
        let result = match result {
            Ok(ApplyResult::Applied) => {
                carried.done += 1;
                "applied"
            }
            Ok(ApplyResult::Withdrawn) => {
                carried.done += 1;
                "withdrawn"
            }
            Ok(ApplyResult::Nothing) => "nothing",
            Err(error) if error.class() == Class::Fatal => return Err(error),
            Err(Error::Kube(error)) if namespace_is_going(&error) => {
                tracing::debug!(provider = %owner.name, namespace = %owner.namespace, %error, "no LlmModel is made in a namespace that is being deleted");
                return Ok(carried);
            }
            Err(error) => {
                tracing::warn!(provider = %owner.name, namespace = %owner.namespace, %error, "a generated LlmModel could not be written");
                carried.failures += 1;
                carried.failure = carried.failure.or_else(|| refusal(&error));
                "failed"
            }
        };
        let label = SyncLabel { result };
        context.metrics.model_sync.get_or_create(&label).inc();
        if carried.failures >= MAX_FAILURES {
            return Ok(carried);
        }
    }
}

/// One step, in its turn, and only while this process still leads: an apply of an older leader
/// would bring back what the present one has changed.
async fn one(
    context: &Context,
    owner: &SyncedProvider,
    step: &Step,
    pace: &Pace,
) -> Result<ApplyResult, Error> {
    pace.turn().await;
    if context.db.feed_state().await?.epoch != context.epoch {
        return Err(DbError::Fenced.into());
    }
    Ok(apply::carry_out(&context.client, owner, step).await?)
}

/// What a user must know of a failure. What passes by itself is tried again and told to nobody.
fn refusal(error: &Error) -> Option<String> {
    match error {
        Error::Kube(error) => match &**error {
            kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
                Some(status.message.chars().take(MAX_MESSAGE_CHARS).collect())
            }
            _ => None,
        },
        _ => None,
    }
}

/// Notes when objects were last made or changed.
async fn note_synced(context: &Context, provider: uuid::Uuid) -> Result<(), Error> {
    let now = Timestamp::now();
    let noted = context
        .db
        .write(context.epoch, move |tx| {
            Box::pin(async move { tx.provider_synced(provider, now).await })
        })
        .await;
    match noted {
        Ok(_) => Ok(()),
        Err(error @ DbError::Fenced) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "the time of a model sync could not be noted");
            Ok(())
        }
    }
}
