//! Events: one on each transition of `Ready` and of the kind's own condition, none for the first
//! True; and one each time a warning begins that something will expire.
//!
//! Objects that are deleted or applied together raise no Warning about each other: what another
//! object may still end is told of when it is `Stalled`, and while objects of a namespace are being
//! deleted a Warning waits, and is dropped where it does not hold any more.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::{
    NamespaceResourceScope, api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::time::DelayQueue;

use crate::controller::{
    error::namespace_is_going,
    kinds::deadline,
    runtime::{
        index::{Declared, Index},
        object_key::ObjectKey,
    },
};
use crate::crd::{
    conditions::{self, ConditionType},
    reasons::{CURRENT_MODEL_CHANGED, Reason},
};

/// Events that may wait; beyond that they are dropped, for an Event is never worth a delay.
const MAX_QUEUED_EVENTS: usize = 1024;

/// Whom Events are from.
const CONTROLLER: &str = "llmplane.dev/controller";

/// Time for which a Warning waits, and for which a deletion counts as recent.
const DELETION_WINDOW: Duration = Duration::from_secs(10);

/// What an Event tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// Whether it is bad news.
    pub warning: bool,
    /// The condition's reason, or one of Events alone, such as [`CURRENT_MODEL_CHANGED`].
    pub reason: String,
    /// The condition's message.
    pub note: String,
    /// Whether it stands apart from earlier ones of the same reason: the recorder counts those as
    /// one series under the first one's note.
    pub apart: bool,
}

/// The transitions between two sets of conditions. Pure.
pub fn transitions(
    outside: ConditionType,
    before: &[Condition],
    now: &[Condition],
) -> Vec<EventDraft> {
    let mut told: Vec<EventDraft> = Vec::new();
    let (waited, waits) = (conditions::awaited(before), conditions::awaited(now));
    for kind in [outside, ConditionType::Ready] {
        let Some(current) = conditions::find(now, kind) else {
            continue;
        };
        if waits.is_some_and(|(reason, _)| is_part_of(current, reason)) {
            continue;
        }
        let previous = conditions::find(before, kind)
            .filter(|c| waited.is_none_or(|(reason, _)| !is_part_of(c, reason)));
        if is_told(previous, current) && !told.iter().any(|t| t.reason == current.reason) {
            told.push(EventDraft {
                warning: current.status == "False",
                reason: current.reason.clone(),
                note: current.message.clone(),
                apart: false,
            });
        }
    }
    for deadline in deadline::ALL {
        let warning = |conditions| {
            let condition: &Condition = conditions::find(conditions, outside)?;
            Some((condition, deadline.warning_in(&condition.message)?))
        };
        if let Some((condition, new)) = warning(now)
            && warning(before).is_none_or(|(_, old)| old != new)
        {
            told.push(EventDraft {
                warning: true,
                reason: deadline.reason.as_str().to_owned(),
                note: condition.message.clone(),
                apart: true,
            });
        }
    }
    told
}

/// What is told where a class means another model, or is called at another endpoint first, from one
/// status to the next. That it means one at all, or none any more, its conditions tell. Pure.
pub fn current_changed(before: &Value, now: &Value) -> Option<EventDraft> {
    let current = |status: &Value| {
        let current = status.get("current")?;
        let model = current.get("model")?.as_str()?;
        let endpoint = current.get("endpoint")?.as_str()?;
        Some(format!("LlmModel {model} at LlmEndpoint {endpoint}"))
    };
    let (before, now) = (current(before)?, current(now)?);
    (before != now).then(|| EventDraft {
        warning: false,
        reason: CURRENT_MODEL_CHANGED.to_owned(),
        note: format!("it means {now} now; before, it meant {before}"),
        apart: true,
    })
}

/// Whether a condition says what is not told of yet, or nothing for that reason.
fn is_part_of(condition: &Condition, awaited: Reason) -> bool {
    condition.reason == awaited.as_str() || condition.status == "Unknown"
}

fn is_told(previous: Option<&Condition>, now: &Condition) -> bool {
    let before = previous.map(|c| c.status.as_str());
    match now.status.as_str() {
        "False" => before != Some("False") || previous.is_some_and(|c| c.reason != now.reason),
        "True" => before == Some("False"),
        _ => before == Some("True") || before == Some("False"),
    }
}

/// Publishes Events in the background, through one recorder but for those that stand apart.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Queued>);

/// An Event that waits for its turn.
type Queued = (ObjectKey, ObjectReference, EventDraft);

impl Events {
    /// A publisher and the work that it needs done, which ends when the publisher is dropped.
    pub fn new(
        client: Client,
        instance: String,
        index: Arc<RwLock<Index>>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED_EVENTS);
        let reporter = Reporter {
            controller: CONTROLLER.to_owned(),
            instance: Some(instance),
        };
        let recorder = move || Recorder::new(client.clone(), reporter.clone());
        (Self(sender), publish(recorder, receiver, index))
    }

    /// Queues what is told of an object.
    pub fn publish<K>(&self, object: &K, told: Vec<EventDraft>)
    where
        K: Declared + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        for one in told {
            let queued = (object.key(), object.object_ref(&()), one);
            if self.0.try_send(queued).is_err() {
                tracing::warn!(object = %object.key(), "too many Events wait; one is dropped");
            }
        }
    }
}

/// Publishes an Event about what is none of the kinds, at once and as its own series.
pub async fn announce(client: Client, about: &ObjectReference, draft: EventDraft) {
    let recorder = Recorder::new(client, CONTROLLER.into());
    send(&recorder, about, draft).await;
}

async fn publish(
    new: impl Fn() -> Recorder,
    mut receiver: mpsc::Receiver<Queued>,
    index: Arc<RwLock<Index>>,
) {
    let shared = new();
    let mut waiting: DelayQueue<Queued> = DelayQueue::new();
    loop {
        let queued = tokio::select! {
            queued = receiver.recv() => match queued {
                Some(queued) if waits(&index, &queued) => {
                    waiting.insert(queued, DELETION_WINDOW);
                    continue;
                }
                Some(queued) => queued,
                None => return,
            },
            Some(due) = waiting.next(), if !waiting.is_empty() => due.into_inner(),
        };
        if holds(&index, &queued) {
            let (_, object, draft) = queued;
            let recorder = if draft.apart { &new() } else { &shared };
            send(recorder, &object, draft).await;
        }
    }
}

async fn send(recorder: &Recorder, object: &ObjectReference, draft: EventDraft) {
    let event = Event {
        type_: if draft.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: draft.reason,
        note: Some(draft.note),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    match recorder.publish(&event, object).await {
        Ok(()) => {}
        Err(error) if namespace_is_going(&error) => {
            tracing::debug!(%error, "an Event was not published: its namespace is being deleted");
        }
        Err(error) => tracing::warn!(%error, "an Event was not published"),
    }
}

/// Whether it is a Warning while objects of its namespace are being deleted: its own may be next.
fn waits(index: &RwLock<Index>, (key, _, draft): &Queued) -> bool {
    let index = index.read();
    let deleted = index.last_deletion(&key.namespace);
    draft.warning && !draft.apart && deleted.is_some_and(|at| at + DELETION_WINDOW > Instant::now())
}

/// Whether the object is still there and, of a transition, still says so.
fn holds(index: &RwLock<Index>, (key, object, draft): &Queued) -> bool {
    let index = index.read();
    let Some((uid, conditions)) = index.conditions(key) else {
        return false;
    };
    let says = || conditions.iter().any(|c| c.reason == draft.reason);
    object.uid.as_deref() == Some(uid.as_str()) && (draft.apart || says())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn condition(type_: &str, status: &str, reason: &str) -> Condition {
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: format!("{reason}."),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: Some(1),
        }
    }

    fn told(before: &[Condition], now: &[Condition]) -> Vec<(bool, String)> {
        transitions(ConditionType::Healthy, before, now)
            .into_iter()
            .map(|t| (t.warning, t.reason))
            .collect()
    }

    #[test]
    fn the_first_true_is_no_event_and_the_first_false_is_one() {
        let fine = [
            condition("Healthy", "True", "ProbeSucceeded"),
            condition("Ready", "True", "ProbeSucceeded"),
        ];
        let failed = [
            condition("Healthy", "False", "ProbeFailed"),
            condition("Ready", "False", "ProbeFailed"),
        ];
        let unknown = [condition("Healthy", "Unknown", "NotCheckedYet")];
        assert_eq!(told(&[], &fine), []);
        assert_eq!(told(&unknown, &fine), []);
        assert_eq!(told(&[], &unknown), []);
        assert_eq!(told(&[], &failed), [(true, "ProbeFailed".into())]);
        assert_eq!(told(&failed, &failed), []);
        assert_eq!(told(&failed, &fine), [(false, "ProbeSucceeded".into())]);
    }

    #[test]
    fn what_another_object_may_still_end_is_told_when_it_is_stalled() {
        let fine = [
            condition("Healthy", "True", "ProbeSucceeded"),
            condition("Ready", "True", "ProbeSucceeded"),
        ];
        let waits = [
            condition("Healthy", "Unknown", "NotCheckedYet"),
            condition("Ready", "False", "ProviderNotFound"),
        ];
        let stalled = [
            condition("Healthy", "Unknown", "NotCheckedYet"),
            condition("Ready", "False", "ProviderNotFound"),
            condition("Stalled", "True", "ProviderNotFound"),
        ];
        assert_eq!(told(&[], &waits), []);
        assert_eq!(told(&fine, &waits), []);
        assert_eq!(told(&waits, &fine), []);
        assert_eq!(told(&waits, &stalled), [(true, "ProviderNotFound".into())]);
        assert_eq!(told(&stalled, &stalled), []);
        assert_eq!(told(&stalled, &fine), [(false, "ProbeSucceeded".into())]);
        let failed = [
            condition("Healthy", "False", "ProbeFailed"),
            condition("Ready", "False", "ProbeFailed"),
        ];
        assert_eq!(told(&waits, &failed), [(true, "ProbeFailed".into())]);
        let secret = [
            condition("Healthy", "False", "SecretNotFound"),
            condition("Ready", "False", "SecretNotFound"),
        ];
        assert_eq!(told(&[], &secret), []);
        let other = [
            condition("Healthy", "False", "ProbeFailed"),
            condition("Ready", "False", "CredentialNotFound"),
        ];
        assert_eq!(told(&fine, &other), [(true, "ProbeFailed".into())]);
    }

    #[test]
    fn a_class_that_means_another_model_or_endpoint_is_told() {
        let status = |model: &str, endpoint: &str| serde_json::json!({ "current": { "model": model, "endpoint": endpoint }, "candidates": 2 });
        let none = serde_json::json!({ "candidates": 0 });
        let told = |before: &Value, now: &Value| current_changed(before, now).map(|it| it.note);
        let (a, b) = (status("a", "e"), status("b", "f"));
        assert_eq!(told(&none, &a), None);
        assert_eq!(told(&Value::Null, &a), None);
        assert_eq!(told(&a, &none), None);
        assert_eq!(told(&a, &a), None);
        assert_eq!(
            told(&a, &b).as_deref(),
            Some(
                "it means LlmModel b at LlmEndpoint f now; before, it meant LlmModel a at LlmEndpoint e"
            )
        );
        assert!(told(&a, &status("a", "f")).is_some());
    }

    #[test]
    fn another_reason_of_the_same_false_is_told() {
        let one = [condition("Healthy", "False", "ProbeFailed")];
        let other = [condition("Healthy", "False", "AddressRefused")];
        assert_eq!(told(&one, &other), [(true, "AddressRefused".into())]);
    }

    #[test]
    fn an_expiry_is_told_when_each_of_its_warnings_begins() {
        let valid = |reason: &str, message: &str| {
            let mut valid = condition("Valid", "True", reason);
            valid.message = message.to_owned();
            [valid]
        };
        let told = |before: &[Condition], now: &[Condition]| {
            transitions(ConditionType::Valid, before, now)
                .into_iter()
                .map(|t| (t.warning, t.reason))
                .collect::<Vec<_>>()
        };
        let expected = [(true, "ExpiresSoon".to_owned())];
        let fine = valid("KeyAccepted", "accepted");
        let week = valid(
            "ExpiresSoon",
            "it expires at T, in less than 7 days; accepted",
        );
        let day = valid(
            "ExpiresSoon",
            "it expires at T, in less than 1 day; accepted",
        );
        let elsewhere = valid("ExpiresSoon", "it expires at T, in less than 1 day; at f");
        assert_eq!(told(&fine, &week), expected);
        assert_eq!(told(&week, &week), []);
        assert_eq!(told(&week, &day), expected);
        assert_eq!(told(&day, &elsewhere), []);
        assert_eq!(told(&[], &day), expected);
        assert_eq!(told(&day, &fine), []);
    }
}
