//! Everything that the kube-apiserver told of a namespace's objects and Events, in its order.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use llmplane::crd::Kind;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::task::JoinSet;

use super::world::{World, find_condition};

/// Watches from its start on; it ends when dropped.
pub struct History {
    objects: Arc<Mutex<Vec<Value>>>,
    events: Arc<Mutex<Vec<Value>>>,
    _watches: JoinSet<()>,
}

impl History {
    /// Of all kinds and of Events, in this world's namespace.
    pub fn of(world: &World) -> Self {
        let (objects, events) = (Arc::default(), Arc::default());
        let mut watches = JoinSet::new();
        for kind in Kind::ALL {
            let api = world.dynamic(kind.kubernetes());
            watches.spawn(record(api, Arc::clone(&objects)));
        }
        let api: Api<Event> = Api::namespaced(world.client.clone(), world.ns());
        watches.spawn(record(api, Arc::clone(&events)));
        Self {
            objects,
            events,
            _watches: watches,
        }
    }

    /// Every state of every object so far.
    pub fn objects(&self) -> Vec<Value> {
        self.objects.lock().unwrap().clone()
    }

    /// The Events of type Warning so far.
    pub fn warnings(&self) -> Vec<Value> {
        let mut events = self.events.lock().unwrap().clone();
        events.retain(|event| event["type"] == "Warning");
        events
    }

    /// The states in which a tool that waits gives up.
    pub fn failures(&self) -> Vec<String> {
        let objects = self.objects();
        let failed = objects.iter().filter(|object| kstatus(object) == "Failed");
        failed.map(summary).collect()
    }
}

async fn record<K>(api: Api<K>, into: Arc<Mutex<Vec<Value>>>)
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let changes = watcher(api, watcher::Config::default()).default_backoff();
    let mut changes = std::pin::pin!(changes);
    while let Some(change) = changes.next().await {
        if let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = change {
            let object = serde_json::to_value(object).unwrap();
            into.lock().unwrap().push(object);
        }
    }
}

/// Kind, name and Ready of a state.
pub fn summary(object: &Value) -> String {
    let ready = find_condition(object, "Ready").cloned().unwrap_or_default();
    format!(
        "{} {}: Ready={} {}: {}",
        object["kind"],
        object["metadata"]["name"],
        ready["status"],
        ready["reason"],
        ready["message"]
    )
}

/// What kstatus concludes, by which Flux waits: kubernetes-sigs/cli-utils,
/// `pkg/kstatus/status/generic.go` and `status.go`.
pub fn kstatus(object: &Value) -> &'static str {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating";
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return "InProgress";
    }
    let status = |type_| find_condition(object, type_).map(|c| c["status"].clone());
    if status("Reconciling").is_some_and(|s| s == "True") {
        return "InProgress";
    }
    if status("Stalled").is_some_and(|s| s == "True") {
        return "Failed";
    }
    match status("Ready") {
        Some(ready) if ready != "True" => "InProgress",
        _ => "Current",
    }
}
