//! The declared objects, as the kube-apiserver shows them.

use std::cmp::Reverse;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::core::Status;
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::api_client::Cluster;
use crate::crd::Kind;
use crate::crd::conditions::{self, ConditionType};

/// Objects of a list that come in one answer of the kube-apiserver.
const PAGE: u32 = 500;

/// How an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// In force, and nothing is known to be wrong outside.
    Works,
    /// Nothing is decided yet.
    Waits,
    /// In force, and the vendor's side does not work.
    Fails,
    /// Not in force, and its user must act.
    Broken,
}

/// A declared object.
#[derive(Clone, Debug)]
pub struct Declared {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub conditions: Vec<Condition>,
    pub object: DynamicObject,
}

impl Declared {
    pub fn read(kind: Kind, object: DynamicObject) -> Self {
        let conditions = object.data["status"]["conditions"].clone();
        Self {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            conditions: serde_json::from_value(conditions).unwrap_or_default(),
            object,
        }
    }

    pub fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        conditions::find(&self.conditions, type_)
    }

    /// The name of its provider; its own, where it is one; none of a class, which is no provider's.
    pub fn provider(&self) -> &str {
        match self.kind {
            Kind::Provider => &self.name,
            _ => self.spec("/providerRef/name").unwrap_or_default(),
        }
    }

    /// A text of the spec, by its JSON pointer.
    pub fn spec(&self, pointer: &str) -> Option<&str> {
        self.object.data["spec"].pointer(pointer)?.as_str()
    }

    /// The endpoints that it is for; none: all of its provider's.
    pub fn endpoint_refs(&self) -> Vec<&str> {
        self.references("endpointRefs")
    }

    /// The models that a class names.
    pub fn model_refs(&self) -> Vec<&str> {
        self.references("models")
    }

    fn references(&self, field: &str) -> Vec<&str> {
        let refs = self.object.data["spec"][field].as_array();
        refs.into_iter()
            .flatten()
            .filter_map(|reference| reference["name"].as_str())
            .collect()
    }

    /// The model that a class means now.
    pub fn current_model(&self) -> Option<&str> {
        status_text(&self.object, "/current/model")
    }

    /// Whether the controller has seen its present generation.
    pub fn is_observed(&self) -> bool {
        let observed = self.object.data["status"]["observedGeneration"].as_i64();
        observed.is_some() && observed == self.object.metadata.generation
    }

    pub fn state(&self) -> State {
        let status = |type_| self.condition(type_).map(|found| found.status.as_str());
        match status(ConditionType::Ready) {
            _ if !self.is_observed() => State::Waits,
            Some("False") => State::Broken,
            Some("True") if status(ConditionType::outside_of(self.kind)) == Some("False") => {
                State::Fails
            }
            Some("True") => State::Works,
            _ => State::Waits,
        }
    }

    /// The condition that says why it stands so; none before the controller has seen it.
    pub fn deciding(&self) -> Option<&Condition> {
        if !self.is_observed() {
            return None;
        }
        self.condition(match self.state() {
            State::Fails => ConditionType::outside_of(self.kind),
            _ => ConditionType::Ready,
        })
    }

    /// As kubectl names it.
    pub fn resource_name(&self) -> String {
        resource_name(self.kind, &self.name)
    }
}

/// The name of an object as kubectl prints and takes it.
pub fn resource_name(kind: Kind, name: &str) -> String {
    format!("{}.llmplane.dev/{name}", kind.singular())
}

pub fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk("llmplane.dev", "v1alpha1", kind.kubernetes());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

pub fn api(cluster: &Cluster, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(cluster.client.clone(), namespace, &resource(kind))
}

/// Every object of all kinds in the namespaces that are looked at, providers first, by name.
///
/// # Errors
/// Where the user may not list one of them, or the cluster does not have them.
pub async fn all(cluster: &Cluster) -> anyhow::Result<Vec<Declared>> {
    let lists = Kind::ALL.iter().map(|kind| list(cluster, *kind));
    let mut found = try_join_all(lists).await?.concat();
    found.sort_by(|a, b| {
        (&a.namespace, a.kind as u8, &a.name).cmp(&(&b.namespace, b.kind as u8, &b.name))
    });
    Ok(found)
}

async fn list(cluster: &Cluster, kind: Kind) -> anyhow::Result<Vec<Declared>> {
    let api = match cluster.all_namespaces {
        true => Api::all_with(cluster.client.clone(), &resource(kind)),
        false => api(cluster, kind, &cluster.namespace),
    };
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await;
        let page = page.with_context(|| {
            format!("{} of {} cannot be listed", kind.plural(), cluster.place())
        })?;
        let next = page
            .metadata
            .continue_
            .clone()
            .filter(|next| !next.is_empty());
        found.extend(
            page.items
                .into_iter()
                .map(|object| Declared::read(kind, object)),
        );
        match next {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(found),
        }
    }
}

/// The object that a user means: `NAME`, or `KIND/NAME` as kubectl takes it. Among objects of one name
/// one of the preferred kind, else the name must tell which.
///
/// # Errors
/// Where there is none, or several.
pub async fn named(
    cluster: &Cluster,
    asked: &str,
    preferred: Option<Kind>,
) -> anyhow::Result<Declared> {
    let (kind, name) = match asked.split_once('/') {
        Some((kind, name)) => (Some(kind_of(kind)?), name),
        None => (None, asked),
    };
    let mut found = Vec::new();
    for candidate in Kind::ALL
        .iter()
        .filter(|k| kind.is_none_or(|kind| kind == **k))
    {
        if let Some(object) = get(cluster, *candidate, &cluster.namespace, name).await? {
            found.push(object);
        }
    }
    found.sort_by_key(|object| Reverse(Some(object.kind) == preferred));
    let is_clear = found.len() == 1 || found.first().map(|o| o.kind) == preferred;
    match (found.is_empty(), is_clear) {
        (false, true) => Ok(found.swap_remove(0)),
        (false, false) => {
            let names: Vec<String> = found
                .iter()
                .map(|o| format!("{}/{name}", o.kind.singular()))
                .collect();
            bail!(
                "{name} is the name of several objects; say which: {}",
                names.join(", ")
            )
        }
        (true, _) => bail!(
            "there is no {} {name} in namespace {}; `kubectl get llm -n {}` lists what there is",
            kind.map_or("object", Kind::kubernetes),
            cluster.namespace,
            cluster.namespace
        ),
    }
}

/// # Errors
/// Where the kube-apiserver does not say whether it is there.
pub async fn get(
    cluster: &Cluster,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Option<Declared>> {
    let found = api(cluster, kind, namespace).get_opt(name).await;
    let found = found.with_context(|| format!("{}/{name} cannot be read", kind.singular()))?;
    Ok(found.map(|object| Declared::read(kind, object)))
}

/// A kind by one of the names that kubectl takes: `llmmodel`, `llmmodels`, `llmm`, `LlmModel`, also with
/// the group, or `model`.
fn kind_of(word: &str) -> anyhow::Result<Kind> {
    let lower = word.to_lowercase();
    let bare = lower.strip_suffix(".llmplane.dev").unwrap_or(&lower);
    let known = |kind: &&Kind| {
        let singular = kind.singular();
        let word = singular.trim_start_matches("llm");
        let is_class = **kind == Kind::ModelClass && ["class", "classes"].contains(&bare);
        is_class || [kind.plural(), singular, kind.short_name(), word].contains(&bare)
    };
    match Kind::ALL.iter().find(known) {
        Some(kind) => Ok(*kind),
        None => bail!(
            "{word} is no kind of llmplane.dev: llmprovider, llmendpoint, llmcredential, llmmodel, llmmodelclass"
        ),
    }
}

/// The user's own words for what the kube-apiserver refused.
pub fn refusal(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(response) => Some(response),
        _ => None,
    }
}

/// A text of an object's status, by its JSON pointer.
pub fn status_text<'a>(object: &'a DynamicObject, pointer: &str) -> Option<&'a str> {
    object
        .data
        .get("status")?
        .pointer(pointer)
        .and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_understood_by_every_name_that_kubectl_takes() {
        for word in [
            "llmmodel",
            "llmmodels",
            "llmm",
            "LlmModel",
            "llmmodels.llmplane.dev",
            "model",
        ] {
            assert_eq!(kind_of(word).unwrap(), Kind::Model, "{word}");
        }
        for kind in Kind::ALL {
            assert_eq!(kind_of(kind.kubernetes()).unwrap(), kind);
            assert_eq!(kind_of(kind.short_name()).unwrap(), kind);
            assert_eq!(kind_of(kind.singular()).unwrap(), kind);
            assert_eq!(kind_of(kind.plural()).unwrap(), kind);
        }
        assert!(
            kind_of("pod")
                .unwrap_err()
                .to_string()
                .contains("llmcredential")
        );
    }
}
