//! One namespace with a vendor of its own: what is declared in it, and what it has come to.

use std::collections::HashMap;

use kube::api::DeleteParams;
use llmplane::{
    db::ChangedRows,
    snapshot::{CredentialView, EndpointView, ModelClassView, ModelView, ProviderView},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::declaration::{Declaration, KEY, ROTATED};
use crate::support::{
    fake_vendor::FakeVendor,
    plane::{Plane, TestDatabase},
    world::{World, find_condition},
};

const KINDS: [&str; 5] = [
    "LlmProvider",
    "LlmEndpoint",
    "LlmCredential",
    "LlmModel",
    "LlmModelClass",
];

/// What differs from run to run, or tells of the way: times, revisions, the number of a key's version,
/// and which versions there were.
const PASSING: [&str; 14] = [
    "created_at",
    "updated_at",
    "fingerprint",
    "generation",
    "lastHandledReconcileAt",
    "lastSyncedAt",
    "lastTransitionTime",
    "last_synced_at",
    "observedGeneration",
    "since",
    "verifiedGeneration",
    "version_of_key",
    "versions",
    "id",
];

/// Why Ready may wait for a proof of this generation.
const UNPROVEN: [&str; 7] = [
    "NotCheckedYet",
    "CheckInconclusive",
    "NoEndpoint",
    "NoValidCredential",
    "ProbeFailed",
    "SyncFailed",
    "QuotaExhausted",
];

fn waits_for_proof(status: &Value) -> bool {
    let ready = find_condition(&json!({ "status": status }), "Ready").cloned();
    ready.is_some_and(|ready| {
        ready["status"] != "True" && UNPROVEN.iter().any(|reason| ready["reason"] == *reason)
    })
}

pub struct Site {
    world: World,
    vendor: FakeVendor,
    declared: Declaration,
}

impl Site {
    /// With this declared. The database is the one that the controller has.
    pub async fn new(plane: &'static Plane, of: &TestDatabase, declared: &Declaration) -> Self {
        let database = TestDatabase {
            // Dropped with this value: there is none of this name.
            name: "none_of_a_site".to_owned(),
            owner_url: of.owner_url.clone(),
            controller_url: of.controller_url.clone(),
            api_url: of.api_url.clone(),
            superuser_url: of.superuser_url.clone(),
        };
        let nothing = Declaration {
            objects: Default::default(),
            keys: vec![KEY, ROTATED],
            down: false,
        };
        let mut site = Self {
            world: World::with(plane, database, "path").await,
            vendor: FakeVendor::start(&nothing.keys, &["gpt-a", "gpt-b"]).await,
            declared: nothing,
        };
        site.declare(declared).await;
        site
    }

    /// Declares this in place of what was.
    pub async fn declare(&mut self, next: &Declaration) {
        for key in self.declared.keys.drain(..) {
            self.vendor.refuse(key);
        }
        for key in &next.keys {
            self.vendor.accept(key);
        }
        match next.down {
            true => self.vendor.break_with(500),
            false => self.vendor.mend(),
        }
        for (kind, name) in self.declared.objects.keys() {
            if !next.objects.contains_key(&(*kind, *name)) {
                let api = self.world.dynamic(kind);
                api.delete(name, &DeleteParams::default()).await.unwrap();
            }
        }
        for ((kind, name), object) in &next.objects {
            if self.declared.objects.get(&(*kind, *name)) != Some(object) {
                let text = object.to_string().replace("URL", &self.vendor.url());
                let object = serde_json::from_str(&text).unwrap();
                self.world.apply_object(kind, object).await;
            }
        }
        self.declared = next.clone();
    }

    /// Whether every object says something of its present generation.
    pub async fn is_observed(&self) -> bool {
        for kind in KINDS {
            for object in self.world.all(kind).await {
                let observed = &object["status"]["observedGeneration"];
                let unsettled = serde_json::to_string(&object["status"]).unwrap();
                if *observed != object["metadata"]["generation"]
                    || unsettled.contains("NotCheckedYet\"") && !unsettled.contains("not in force")
                {
                    return false;
                }
            }
        }
        true
    }

    /// Statuses, rows and answers, without what differs from run to run.
    pub async fn outcome(&self, rows: &ChangedRows) -> Value {
        let mut names = HashMap::new();
        let mut whole = json!({});
        for kind in KINDS {
            for object in self.world.all(kind).await {
                let name = object["metadata"]["name"].as_str().unwrap();
                let generation = &object["metadata"]["generation"];
                let mut status = object["status"].clone();
                let of_now = |field: &str| status[field] == *generation;
                // A proof is kept while what it is of is off; it is told where Ready waits for it.
                let verified = of_now("verifiedGeneration") || !waits_for_proof(&status);
                let now = (of_now("observedGeneration"), verified);
                status["ofNow"] = json!(now);
                whole["status"][kind][name] = status;
                let uid = object["metadata"]["uid"].as_str().unwrap();
                names.insert(uid.to_owned(), format!("{kind} {name}"));
            }
        }
        whole["answers"] = self.answers(rows);
        strip(&mut whole);
        let mut text = whole.to_string();
        text = text.replace(self.world.ns(), "NAMESPACE");
        text = text.replace(self.vendor.url().as_str(), "URL");
        for (uid, name) in names {
            text = text.replace(&uid, &name);
        }
        serde_json::from_str(&text).unwrap()
    }

    /// The live rows of the namespace, as the read API shows them.
    fn answers(&self, rows: &ChangedRows) -> Value {
        fn json<V: Serialize>(view: V) -> Value {
            let mut view = serde_json::to_value(view).unwrap();
            // A key's number counts the keys before it; a model's version is its own.
            if let Some(of_key) = view
                .get_mut("masked_key")
                .is_some()
                .then(|| view["version"].take())
            {
                view["version_of_key"] = of_key;
            }
            view
        }
        let here = |namespace: &str| namespace == self.world.ns();
        let mut answers: Vec<Value> = Vec::new();
        let providers = rows.providers.iter().filter(|row| here(&row.namespace));
        answers.extend(providers.map(|row| json(ProviderView::from(row))));
        let endpoints = rows.endpoints.iter().filter(|row| here(&row.namespace));
        answers.extend(endpoints.map(|row| json(EndpointView::from(row))));
        let credentials = rows.credentials.iter().filter(|row| here(&row.namespace));
        let versions = &rows.credential_versions;
        answers.extend(credentials.map(|row| json(CredentialView::of(row, versions))));
        let models = rows.models.iter().filter(|row| here(&row.namespace));
        answers.extend(models.map(|row| json(ModelView::from(row))));
        let classes = rows.model_classes.iter().filter(|row| here(&row.namespace));
        answers.extend(classes.map(|row| json(ModelClassView::from(row))));
        answers.sort_by_cached_key(|answer| answer["name"].to_string());
        answers.into()
    }
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !PASSING.contains(&name.as_str()));
            if let Some(Value::String(message)) = fields.get_mut("message") {
                *message = without_history(message);
            }
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// A message without what it tells of earlier times: what became of a stored key, when a model was
/// last listed.
fn without_history(message: &str) -> String {
    let told = ["; the stored key", "; it was last listed at"];
    let cut = told.iter().filter_map(|told| message.find(told)).min();
    message[..cut.unwrap_or(message.len())].to_owned()
}
