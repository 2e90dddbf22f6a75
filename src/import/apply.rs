//! Bringing manifests into a cluster by server-side apply: all of them are tried before the first is
//! applied, so that what the kube-apiserver refuses leaves everything as it was.

use std::fmt;

use futures::future::join_all;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::{ObjectMeta, Status};
use kube::{Api, Client};
use serde::Serialize;
use utoipa::ToSchema;

use super::Manifest;
use crate::crd::{GROUP, Kind, VERSION};

/// Field manager of everything that an import writes.
pub const FIELD_MANAGER: &str = "llmplane-import";

/// Objects under way at once.
const AT_ONCE: usize = 8;

/// What an import did to an object, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There was none.
    Created,
    /// It was different.
    Configured,
    /// It was so already.
    Unchanged,
}

/// An object, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Applied {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// An object that was refused, and why.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// For example `LlmModel/gpt-4o`.
    pub object: String,
    /// What the kube-apiserver says, and what to do.
    pub message: String,
    /// Its answer; none where it did not answer.
    pub status: Option<Box<Status>>,
}

/// Why not everything is applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The kube-apiserver would not take these: nothing was applied.
    #[error("nothing was applied: {}", list(.0))]
    Refused(Vec<Failure>),
    /// It took all of them when it was asked, and not when they were applied.
    #[error("{} of {total} were applied before this: {}; import again to apply the rest", applied.len(), list(failures))]
    BrokenOff {
        /// What is in force.
        applied: Vec<Applied>,
        /// What is not, and why.
        failures: Vec<Failure>,
        /// How many there were.
        total: usize,
    },
}

/// Failures that are told one by one.
const TOLD: usize = 20;

fn list(failures: &[Failure]) -> String {
    let mut told: Vec<String> = failures
        .iter()
        .take(TOLD)
        .map(ToString::to_string)
        .collect();
    if failures.len() > TOLD {
        told.push(format!("and {} more", failures.len() - TOLD));
    }
    told.join("; ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.message)
    }
}

/// Tries all of them, and changes nothing. Answers what applying them would do.
///
/// # Errors
/// What would be refused.
pub async fn try_all(
    client: &Client,
    namespace: &str,
    manifests: &[Manifest],
) -> Result<Vec<Applied>, ApplyError> {
    let params = PatchParams::apply(FIELD_MANAGER).dry_run();
    let (mut applied, mut failures) = (Vec::new(), Vec::new());
    for some in manifests.chunks(AT_ONCE) {
        let tried = some
            .iter()
            .map(|one| apply_one(client, namespace, one, &params));
        for tried in join_all(tried).await {
            match tried {
                Ok(one) => applied.push(one),
                Err(failure) => failures.push(failure),
            }
        }
        let unanswered = failures.iter().any(|failure| failure.status.is_none());
        if unanswered || failures.len() > TOLD {
            break;
        }
    }
    match failures.is_empty() {
        true => Ok(applied),
        false => Err(ApplyError::Refused(failures)),
    }
}

/// Applies all of them, once all were tried.
///
/// # Errors
/// What is refused, and then nothing was applied; or what failed in the middle, and what was applied
/// before.
pub async fn apply_all(
    client: &Client,
    namespace: &str,
    manifests: &[Manifest],
) -> Result<Vec<Applied>, ApplyError> {
    try_all(client, namespace, manifests).await?;
    apply_tried(client, namespace, manifests).await
}

/// Applies all of them, which were tried.
///
/// # Errors
/// What failed in the middle, and what was applied before.
pub async fn apply_tried(
    client: &Client,
    namespace: &str,
    manifests: &[Manifest],
) -> Result<Vec<Applied>, ApplyError> {
    let params = PatchParams::apply(FIELD_MANAGER);
    let mut applied = Vec::with_capacity(manifests.len());
    for some in manifests.chunks(AT_ONCE) {
        let tried = some
            .iter()
            .map(|one| apply_one(client, namespace, one, &params));
        let mut failures = Vec::new();
        for tried in join_all(tried).await {
            match tried {
                Ok(one) => applied.push(one),
                Err(failure) => failures.push(failure),
            }
        }
        if !failures.is_empty() {
            let total = manifests.len();
            return Err(ApplyError::BrokenOff {
                applied,
                failures,
                total,
            });
        }
    }
    Ok(applied)
}

async fn apply_one(
    client: &Client,
    namespace: &str,
    manifest: &Manifest,
    params: &PatchParams,
) -> Result<Applied, Failure> {
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, manifest.kind.kubernetes());
    let resource = ApiResource::from_gvk_with_plural(&gvk, manifest.kind.plural());
    let namespace = manifest.namespace().unwrap_or(namespace);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let name = manifest.name();
    let failed = |error: kube::Error| failure(manifest, &error);
    let before = api.get_metadata_opt(name).await.map_err(failed)?;
    let patch = Patch::Apply(&manifest.object);
    let after = api.patch(name, params, &patch).await.map_err(failed)?;
    let outcome = match before {
        None => Outcome::Created,
        Some(before) if is_same(&before.metadata, &after.metadata) => Outcome::Unchanged,
        Some(_) => Outcome::Configured,
    };
    Ok(Applied {
        kind: manifest.kind.kubernetes(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        outcome,
    })
}

/// Whether nothing that people declare is different. The version may be: the kube-apiserver stores an
/// object anew that it has kept without its schema's default for the status.
fn is_same(before: &ObjectMeta, after: &ObjectMeta) -> bool {
    before.generation == after.generation
        && before.labels == after.labels
        && before.annotations == after.annotations
}

fn failure(manifest: &Manifest, error: &kube::Error) -> Failure {
    let (status, message) = match error {
        kube::Error::Api(answer) => (Some(answer.clone()), said(answer)),
        _ => (
            None,
            "the kube-apiserver does not answer; try again".to_owned(),
        ),
    };
    Failure {
        kind: manifest.kind,
        object: manifest.title(),
        message,
        status,
    }
}

fn said(answer: &Status) -> String {
    let said = answer
        .message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match answer.code {
        409 => format!(
            "{said}; leave those fields to who manages them: take them out of the source, or out of what is applied there"
        ),
        _ => said,
    }
}
