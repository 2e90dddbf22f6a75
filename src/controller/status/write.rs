//! Writing a status: by server-side apply that carries the resourceVersion which was read, and
//! only when it differs in something other than time.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use tokio::time::Instant;

use super::{debounce::StatusChange, events};
use crate::controller::{
    error::Error,
    kinds::identity,
    runtime::{context::Context, decode::Decoded, index::Declared, object_key::Wake, queue::Next},
};
use crate::crd::{
    conditions::{ConditionType, awaited, find},
    reasons::Reason,
};

/// Field manager of every status.
pub const FIELD_MANAGER: &str = "llmplane";

/// Fields that hold a time, and never decide whether a status is written.
const TIMES: [&str; 3] = ["lastTransitionTime", "lastSyncedAt", "since"];
/// Fields of a status that hold counts: of a provider's children, of a class's candidates.
const COUNTS: [&str; 4] = ["endpoints", "credentials", "models", "candidates"];

/// Writes `status` as [`write`] does, but holds it back for a while where better news is about to
/// come. Answers when to look again: then too, when `Stalled` is due.
///
/// # Errors
/// Those of [`write`].
pub async fn settle<K, S>(
    context: &Context,
    object: &K,
    status: &S,
    conditions: &[Condition],
) -> Result<Next, Error>
where
    K: Declared
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
    S: Serialize,
{
    let stalls = awaited(conditions).map_or(Next::Done, |(_, at)| {
        let left = at.duration_since(Timestamp::now());
        Next::After(Duration::try_from(left).unwrap_or_default())
    });
    let is = serde_json::to_value(object).unwrap_or_default();
    let shall = serde_json::to_value(status).unwrap_or_default();
    if ours(&is["status"]) == ours(&shall) {
        (context.own_statuses).says(identity::uid(object), &ours(&shall));
        return Ok(stalls);
    }
    let news = news(&is["status"], &shall, conditions);
    let waits = context
        .patience()
        .wait(identity::uid(object), news, Instant::now());
    if let Some(wait) = waits {
        return Ok(stalls.or_sooner(Next::After(wait)));
    }
    write(context, object, status, conditions).await?;
    Ok(stalls)
}

/// What a status tells that the object's own does not say yet.
fn news(is: &Value, shall: &Value, conditions: &[Condition]) -> StatusChange {
    let observed = |status: &Value| status["observedGeneration"].as_i64();
    let ready = find(conditions, ConditionType::Ready).and_then(|c| Reason::parse(&c.reason));
    match (observed(shall), ready) {
        (Some(generation), Some(ready)) if observed(is) != Some(generation) => {
            StatusChange::First { generation, ready }
        }
        _ if without_counts(is) == without_counts(shall) => StatusChange::Counts,
        _ => StatusChange::Other,
    }
}

fn without_counts(status: &Value) -> Value {
    let mut status = without_times(status.clone());
    if let Value::Object(fields) = &mut status {
        for counts in COUNTS {
            fields.remove(counts);
        }
    }
    status
}

/// Writes `status` unless the object says so already, and tells of transitions by Events. Answers
/// whether it wrote.
///
/// # Errors
/// [`Error::Stale`] where the object has changed since it was read.
pub async fn write<K, S>(
    context: &Context,
    object: &K,
    status: &S,
    conditions: &[Condition],
) -> Result<bool, Error>
where
    K: Declared
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
    S: Serialize,
{
    let is = serde_json::to_value(object).unwrap_or_default();
    let shall = serde_json::to_value(status).unwrap_or_default();
    let uid = identity::uid(object);
    context.own_statuses.says(uid, &ours(&shall));
    if ours(&is["status"]) == ours(&shall) {
        return Ok(false);
    }
    let meta = object.meta();
    let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else {
        return Ok(false);
    };
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "status": shall.clone(),
    });
    let api: Api<Decoded<K>> = Api::namespaced(context.client.clone(), namespace);
    // Without warnings of unknown fields, for which the apiserver would read the patch twice: there
    // are none, for schema and status are made of the same types.
    let params = PatchParams::apply(FIELD_MANAGER)
        .force()
        .validation_ignore();
    let written = match api.patch_status(name, &params, &Patch::Apply(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
        other => other?,
    };
    context.metrics.status_writes.inc();
    let counts = COUNTS.iter().any(|counts| shall.get(counts).is_some());
    context.patience().written(uid, counts, Instant::now());
    // One that does not decode now has changed meanwhile: the watch tells.
    if let Ok(written) = written.0 {
        (context.own_statuses).wrote(uid, written.resource_version());
        let wakes = context.index_mut().refresh(object, written);
        context.waker.wake_all(wakes);
    }
    let mut told = events::transitions(K::OUTSIDE, object.conditions(), conditions);
    told.extend(events::current_changed(&is["status"], &shall));
    context.events.publish(object, told);
    Ok(true)
}

/// What a watch tells of an object: whom to wake where somebody else has changed its status.
pub fn repair<K: Declared + Serialize>(context: &Context, object: &K) -> Option<Wake> {
    let is = serde_json::to_value(object).unwrap_or_default();
    let version = object.resource_version();
    let status = ours(&is["status"]);
    let uid = identity::uid(object);
    let after = (context.own_statuses).repair(uid, version.as_deref(), &status, Instant::now())?;
    let key = object.key();
    tracing::info!(object = %key, "somebody else has changed this status; it is put right");
    Some(Wake {
        after,
        ..Wake::now(key)
    })
}

/// What of a status is ours, without times: others may keep conditions of their own beside ours.
fn ours(status: &Value) -> Value {
    let mut status = without_times(status.clone());
    if let Some(Value::Array(conditions)) = status.get_mut("conditions") {
        let known = |c: &Value| ConditionType::ALL.iter().any(|t| c["type"] == t.as_str());
        conditions.retain(known);
    }
    status
}

fn without_times(mut value: Value) -> Value {
    strip_times(&mut value);
    value
}

fn strip_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for time in TIMES {
                fields.remove(time);
            }
            fields.values_mut().for_each(strip_times);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_times),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn times_alone_make_no_difference() {
        let condition = |time: &str, reason: &str| json!({ "conditions": [{ "type": "Ready", "reason": reason, "lastTransitionTime": time }] });
        let early = without_times(condition("2026-01-01T00:00:00Z", "ProbeSucceeded"));
        let late = without_times(condition("2026-02-01T00:00:00Z", "ProbeSucceeded"));
        let other = without_times(condition("2026-01-01T00:00:00Z", "ProbeFailed"));
        assert_eq!(early, late);
        assert_ne!(early, other);
    }

    #[test]
    fn counts_alone_are_told_apart_from_a_verdict_and_from_a_new_generation() {
        let status = |generation: i64, healthy: i32, reason: &str| {
            json!({
                "observedGeneration": generation,
                "endpoints": { "total": 2, "healthy": healthy },
                "conditions": [{ "type": "Ready", "reason": reason, "lastTransitionTime": "t" }],
            })
        };
        let ready = |reason: Reason| Condition {
            type_: "Ready".to_owned(),
            reason: reason.as_str().to_owned(),
            status: String::new(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        let is = status(1, 0, "SyncDisabled");
        let told = |shall: Value, reason: Reason| news(&is, &shall, &[ready(reason)]);
        let counts = told(status(1, 2, "SyncDisabled"), Reason::SyncDisabled);
        assert_eq!(counts, StatusChange::Counts);
        let verdict = told(status(1, 2, "Disabled"), Reason::Disabled);
        assert_eq!(verdict, StatusChange::Other);
        let first = StatusChange::First {
            generation: 2,
            ready: Reason::SyncDisabled,
        };
        assert_eq!(
            told(status(2, 2, "SyncDisabled"), Reason::SyncDisabled),
            first
        );
    }
}
