//! Declared objects by kind, namespace and name, and what a set of manifests does to them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::controller::forecast::{DeclaredObjects, assumed_uid};
use crate::crd::manifest::{own_annotations, own_labels};
use crate::crd::{
    GROUP, Kind, LABEL_GENERATED_BY, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass,
    LlmProvider,
};
use crate::lint::documents::{Document, Source};

/// What `kubectl apply` notes of what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

/// Objects, each as JSON with all defaults in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects(BTreeMap<Place, Value>);

/// Objects of manifests that are not of the cluster's whole set: which of the others they take away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prune {
    /// Only those that have all of these labels.
    pub labels: BTreeMap<String, String>,
}

/// What manifests do to the objects that there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// All objects afterwards.
    pub after: Objects,
    /// What is new.
    pub new: Vec<Place>,
    /// What is there and becomes another.
    pub changed: Vec<(Place, Vec<FieldChange>)>,
    /// What is taken away.
    pub gone: Vec<Place>,
    /// What stays as it is.
    pub unchanged: usize,
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// The path, for example `spec.pricing.inputPer1kTokens`.
    pub field: String,
    /// What stands there; null: nothing.
    pub before: Value,
    /// What will.
    pub after: Value,
}

impl Objects {
    /// Those of files; what names no namespace is of this one. Answers also what is none of its kind.
    pub fn of_files(files: &[Source], namespace: &str) -> (Self, Vec<String>) {
        let mut objects = Self::default();
        let mut not_understood = Vec::new();
        let documents = files.iter().flat_map(|file| &file.content.documents);
        for document in documents.filter(|document| document.group() == Some(GROUP)) {
            let place = place(document, namespace);
            let read = place.map(|place| objects.put(place, &document.value));
            if read != Some(true) {
                not_understood.push(format!(
                    "{} {}",
                    document.kind().unwrap_or("?"),
                    document.name().unwrap_or("?")
                ));
            }
        }
        (objects, not_understood)
    }

    /// Puts an object in; `false`: it is none of its kind.
    pub fn put(&mut self, place: Place, object: &Value) -> bool {
        let mut object = object.clone();
        object["metadata"]["namespace"] = place.namespace.clone().into();
        let whole = match place.kind {
            Kind::Provider => whole::<LlmProvider>(&object),
            Kind::Endpoint => whole::<LlmEndpoint>(&object),
            Kind::Credential => whole::<LlmCredential>(&object),
            Kind::Model => whole::<LlmModel>(&object),
            Kind::ModelClass => whole::<LlmModelClass>(&object),
        };
        let is_one = whole.is_some();
        if let Some(whole) = whole {
            self.0.insert(place, whole);
        }
        is_one
    }

    /// Takes up others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Their namespaces.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let places = self.0.keys();
        places.map(|place| place.namespace.clone()).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this one is among them.
    pub fn has(&self, place: &Place) -> bool {
        self.0.contains_key(place)
    }

    /// Those of these namespaces.
    pub fn within(&self, namespaces: &BTreeSet<String>) -> Self {
        let objects = self.0.iter();
        let within = objects.filter(|(place, _)| namespaces.contains(&place.namespace));
        Self(
            within
                .map(|(place, object)| (place.clone(), object.clone()))
                .collect(),
        )
    }

    /// What becomes of these objects once the manifests of `files` are applied, as by `kubectl apply`; those of
    /// `files`' namespaces that are not in it go where there is `prune`. What model sync made stays: its
    /// provider keeps it.
    pub fn apply(&self, files: &Self, prune: Option<&Prune>, now: Timestamp) -> Applied {
        let mut applied = Applied {
            after: self.clone(),
            ..Applied::default()
        };
        for (place, file) in &files.0 {
            let live = self.0.get(place);
            let after = match live {
                Some(live) => merged(place.kind, live, file),
                None => created(place, file, now),
            };
            match live.map(|live| differences(place.kind, live, &after)) {
                None => applied.new.push(place.clone()),
                Some(fields) if fields.is_empty() => applied.unchanged += 1,
                Some(fields) => applied.changed.push((place.clone(), fields)),
            }
            applied.after.0.insert(place.clone(), after);
        }
        let namespaces = files.namespaces();
        let others = self.0.iter().filter(|(place, _)| !files.has(place));
        let within = others.filter(|(place, _)| namespaces.contains(&place.namespace));
        for (place, object) in within {
            match prune.is_some_and(|prune| prune.takes(object)) {
                true => {
                    applied.after.0.remove(place);
                    applied.gone.push(place.clone());
                }
                false => applied.unchanged += 1,
            }
        }
        applied.lose_generated();
        applied
    }

    /// The conditions of an object's status; none where it has no status.
    pub fn conditions(&self, place: &Place) -> Vec<Condition> {
        let object = self.0.get(place);
        let conditions = object.map(|object| object["status"]["conditions"].clone());
        let read = conditions.and_then(|conditions| serde_json::from_value(conditions).ok());
        read.unwrap_or_default()
    }

    /// As the kinds' own types, each with a UID and the time of its creation.
    pub fn typed(&self) -> DeclaredObjects {
        let mut typed = DeclaredObjects::default();
        for (place, object) in &self.0 {
            let mut object = object.clone();
            let meta = &mut object["metadata"];
            if meta["uid"].is_null() {
                meta["uid"] = uid(place).to_string().into();
            }
            if meta["creationTimestamp"].is_null() {
                meta["creationTimestamp"] = Timestamp::UNIX_EPOCH.to_string().into();
            }
            // Each was read as its kind before.
            match place.kind {
                Kind::Provider => typed.providers.extend(read(object)),
                Kind::Endpoint => typed.endpoints.extend(read(object)),
                Kind::Credential => typed.credentials.extend(read(object)),
                Kind::Model => typed.models.extend(read(object)),
                Kind::ModelClass => typed.model_classes.extend(read(object)),
            }
        }
        typed
    }
}

impl Applied {
    /// Models that model sync made go with their provider, whose garbage they are.
    fn lose_generated(&mut self) {
        let providers: BTreeSet<(String, String)> = (self.gone.iter())
            .filter(|place| place.kind == Kind::Provider)
            .map(|place| (place.namespace.clone(), place.name.clone()))
            .collect();
        let lost: Vec<Place> = (self.after.0.iter())
            .filter(|(place, object)| {
                let provider = object["spec"]["providerRef"]["name"].as_str();
                let of = provider.map(|name| (place.namespace.clone(), name.to_owned()));
                place.kind == Kind::Model
                    && is_generated(object)
                    && of.is_some_and(|of| providers.contains(&of))
            })
            .map(|(place, _)| place.clone())
            .collect();
        for place in lost {
            self.after.0.remove(&place);
            self.unchanged = self.unchanged.saturating_sub(1);
            self.gone.push(place);
        }
    }
}

impl Prune {
    fn takes(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let mut wanted = self.labels.iter();
        !is_generated(object) && wanted.all(|(key, value)| labels[key.as_str()] == value.as_str())
    }
}

fn is_generated(object: &Value) -> bool {
    object["metadata"]["labels"][LABEL_GENERATED_BY].is_string()
}

fn place(document: &Document, namespace: &str) -> Option<Place> {
    let kind = document.kind()?;
    Some(Place {
        kind: Kind::ALL.into_iter().find(|it| it.kubernetes() == kind)?,
        namespace: document.namespace().unwrap_or(namespace).to_owned(),
        name: document.name()?.to_owned(),
    })
}

fn whole<K: DeserializeOwned + Serialize>(object: &Value) -> Option<Value> {
    let typed: K = serde_json::from_value(object.clone()).ok()?;
    serde_json::to_value(typed).ok()
}

fn read<K: DeserializeOwned>(object: Value) -> Option<K> {
    serde_json::from_value(object).ok()
}

fn uid(place: &Place) -> Uuid {
    assumed_uid(place.kind, &place.namespace, &place.name)
}

fn created(place: &Place, file: &Value, now: Timestamp) -> Value {
    let mut object = file.clone();
    object["metadata"]["uid"] = uid(place).to_string().into();
    object["metadata"]["creationTimestamp"] = now.to_string().into();
    object["metadata"]["generation"] = 1.into();
    strip(&mut object);
    object
}

/// What only the cluster says of an object.
fn strip(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
}

/// The live object as it is after the file was applied. What `kubectl apply` applied before and the file leaves
/// out goes; where it is not known what was applied, what the file leaves out goes. What a generated model's
/// file leaves out is model sync's and stays.
fn merged(kind: Kind, live: &Value, file: &Value) -> Value {
    let mut after = live.clone();
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last: Option<Value> = last.and_then(|text| serde_json::from_str(text).ok());
    let meta = serde_json::from_value(live["metadata"].clone()).unwrap_or_default();
    let own = [
        ("labels", own_labels(&meta)),
        ("annotations", own_annotations(&meta)),
    ];
    for (map, own) in own {
        let mut all = as_map(&live["metadata"][map]);
        let given = as_map(&file["metadata"][map]);
        match &last {
            Some(last) => {
                let applied = as_map(&last["metadata"][map]);
                all.retain(|key, _| !applied.contains_key(key));
            }
            // What tools mark objects with is nobody's to leave out.
            None if !is_generated(live) => all.retain(|key, _| !own.contains_key(key)),
            None => {}
        }
        all.extend(given);
        after["metadata"][map] = Value::Object(all);
    }
    after["spec"] = match &last {
        _ if is_generated(live) => over(&live["spec"], &file["spec"]),
        Some(last) => three_way(&last["spec"], &live["spec"], &file["spec"]),
        None => file["spec"].clone(),
    };
    let mut typed = Objects::default();
    let place = Place {
        kind,
        namespace: String::new(),
        name: String::new(),
    };
    // With the defaults of what was taken out.
    let namespace = after["metadata"]["namespace"].clone();
    if typed.put(place.clone(), &after)
        && let Some(whole) = typed.0.remove(&place)
    {
        after = whole;
        after["metadata"]["namespace"] = namespace;
    }
    if after["spec"] != live["spec"] {
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(1);
        after["metadata"]["generation"] = (generation + 1).into();
    }
    after
}

fn as_map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// The fields of one object laid over another's, lists as a whole.
fn over(under: &Value, upper: &Value) -> Value {
    match (under, upper) {
        (Value::Object(under), Value::Object(upper)) => {
            let mut all = under.clone();
            for (key, value) in upper {
                let below = under.get(key).unwrap_or(&Value::Null);
                all.insert(key.clone(), over(below, value));
            }
            Value::Object(all)
        }
        (under, Value::Null) => under.clone(),
        (_, upper) => upper.clone(),
    }
}

/// The live fields with the file's over them, without those that were applied before and are not in the file.
fn three_way(last: &Value, live: &Value, file: &Value) -> Value {
    let (Value::Object(live_fields), Value::Object(file_fields)) = (live, file) else {
        return file.clone();
    };
    let mut all = Map::new();
    for (key, value) in live_fields {
        if !file_fields.contains_key(key) && last[key].is_null() {
            all.insert(key.clone(), value.clone());
        }
    }
    for (key, value) in file_fields {
        let live = live_fields.get(key).unwrap_or(&Value::Null);
        all.insert(key.clone(), three_way(&last[key], live, value));
    }
    Value::Object(all)
}

/// What a user declares of an object.
fn declared(kind: Kind, object: &Value) -> Value {
    let meta = serde_json::from_value(object["metadata"].clone()).unwrap_or_default();
    let mut labels = json!(own_labels(&meta));
    if kind == Kind::Model && !is_generated(object) {
        // Clients select by them.
        labels = object["metadata"]["labels"].clone();
    }
    json!({
        "metadata": { "labels": labels, "annotations": own_annotations(&meta) },
        "spec": object["spec"],
    })
}

fn differences(kind: Kind, before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(
        "",
        &declared(kind, before),
        &declared(kind, after),
        &mut found,
    );
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<FieldChange>) {
    let as_fields = |value: &Value| match value {
        Value::Null => Some(Map::new()),
        Value::Object(fields) => Some(fields.clone()),
        _ => None,
    };
    if before == after {
        return;
    }
    if let (Some(left), Some(right)) = (as_fields(before), as_fields(after)) {
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for key in keys {
            let path = match (path, key.contains('.')) {
                ("", _) => key.clone(),
                (_, true) => format!("{path}[{key}]"),
                (_, false) => format!("{path}.{key}"),
            };
            let of = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or_default();
            compare(&path, &of(&left), &of(&right), found);
        }
        return;
    }
    found.push(FieldChange {
        field: path.to_owned(),
        before: before.clone(),
        after: after.clone(),
    });
}
