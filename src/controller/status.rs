//! Writing a status: by server-side apply that carries the resourceVersion which was read, and
//! only when it differs in something other than time.

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{context::Context, error::Error, events, index::Declared};

/// Field manager of every status.
pub const FIELD_MANAGER: &str = "llmplane";

/// Fields that hold a time, and never decide whether a status is written.
const TIMES: [&str; 3] = ["lastTransitionTime", "lastSyncedAt", "since"];

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
    if without_times(is["status"].clone()) == without_times(shall.clone()) {
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
        "status": shall,
    });
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = match api.patch_status(name, &params, &Patch::Apply(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
        other => other?,
    };
    context.metrics.status_writes.inc();
    let wakes = context.index_mut().refresh(object, written);
    context.waker.wake_all(wakes);
    let told = events::transitions(K::OUTSIDE, object.conditions(), conditions);
    context.events.publish(object, told);
    Ok(true)
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
}
