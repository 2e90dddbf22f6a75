//! What a write is answered with: the row that the controller makes of it, or what was declared.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{DynamicObject, ObjectMeta};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Write, declaration, target};
use crate::api::problem::Problem;
use crate::api::read::answer;
use crate::api::read::list_query::Resource;
use crate::crd::Kind;
use crate::snapshot::{ConditionView, Snapshot, View};

/// How long an answer waits for the row.
const ROW_TIMEOUT: Duration = Duration::from_secs(5);

/// What is declared now, or would be; its row is not there yet, or is not to be made.
#[derive(Serialize, ToSchema)]
pub struct Declared {
    /// UID of the object; null where it would be made.
    id: Option<Uuid>,
    /// Kind of the object, for example `LlmProvider`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Whether nothing was changed, for it was only tried.
    dry_run: bool,
    /// The fields that are declared, by their names in rows; `endpoint_ids` holds names.
    #[schema(value_type = Object)]
    declared: Map<String, Value>,
    /// The conditions of the object's status: they say why there is no row, where the controller has
    /// looked at it.
    conditions: Vec<ConditionView>,
}

/// What a change is answered with: the row, or what would be declared where it was only tried.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code)] // It is what is documented; the answers are made below.
pub enum Written<V> {
    /// The row.
    Row(V),
    /// What would be declared.
    Declared(Declared),
}

/// What is deleted now, or would be.
#[derive(Serialize, ToSchema)]
pub struct Deleted {
    /// Whether nothing was deleted, for it was only tried.
    dry_run: bool,
    /// The objects, children first.
    items: Vec<DeletedObject>,
}

/// An object that is deleted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeletedObject {
    /// Its UID.
    id: Option<Uuid>,
    /// Its kind, for example `LlmProvider`.
    kind: &'static str,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
}

impl DeletedObject {
    /// Of this kind, with this metadata.
    pub fn of(kind: Kind, object: &ObjectMeta) -> Self {
        let uid = object.uid.as_deref();
        Self {
            id: uid.and_then(|uid| Uuid::try_parse(uid).ok()),
            kind: kind.kubernetes(),
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone().unwrap_or_default(),
        }
    }
}

impl Declared {
    fn of(kind: Kind, object: &DynamicObject, dry_run: bool, created: bool) -> Self {
        let conditions = object.data["status"]["conditions"].clone();
        let conditions: Vec<Condition> = serde_json::from_value(conditions).unwrap_or_default();
        Self {
            // A dry run makes up a UID for what is not there.
            id: target::uid(object).filter(|_| !(dry_run && created)),
            kind: kind.kubernetes(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            dry_run,
            declared: declaration::shown(kind, &object.data["spec"]),
            conditions: conditions.iter().map(ConditionView::from).collect(),
        }
    }
}

/// The answer to what was created or changed: the row, once it is of this object as it is now and
/// complete; where it does not become that in time, or nobody knows whether the caller may see it, as
/// it is. Nothing changes any more: whoever writes next need not wait.
///
/// # Errors
///
/// Where it has no form in JSON, which is a defect.
pub async fn written<V: Resource>(
    mut write: Write,
    object: &DynamicObject,
    created: bool,
    is_complete: impl Fn(&V) -> bool + Send + Sync,
) -> Result<Response<Body>, Problem> {
    drop(write.turn.take());
    if write.params.dry_run {
        let declared = Declared::of(V::KIND, object, true, created);
        return json(StatusCode::OK, &declared);
    }
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let may_get = write
        .state
        .auth
        .may_get(&write.caller, V::KIND, Some(&namespace), &name);
    if may_get.await.unwrap_or(false)
        && let Some(row) = row(&write, object, created, is_complete).await
    {
        return Ok(row);
    }
    // It may say by now why it has no row.
    let newest = write.cluster.get(V::KIND, &namespace, &name).await;
    let object = newest.as_ref().unwrap_or(object);
    json(
        StatusCode::ACCEPTED,
        &Declared::of(V::KIND, object, false, created),
    )
}

async fn row<V: Resource>(
    write: &Write,
    object: &DynamicObject,
    created: bool,
    is_complete: impl Fn(&V) -> bool + Send + Sync,
) -> Option<Response<Body>> {
    let (uid, generation) = (target::uid(object)?, object.metadata.generation?);
    let look = |snapshot: &Snapshot| {
        let row = V::table(snapshot).by_uid(uid)?;
        is_of(&row.view, generation).then(|| (row.clone(), snapshot.revision))
    };
    let complete = |snapshot: &Snapshot| look(snapshot).filter(|(row, _)| is_complete(&row.view));
    let store = &write.state.store;
    let (row, revision) = match store.until(ROW_TIMEOUT, complete).await {
        Some(found) => found,
        None => store.snapshot().as_deref().and_then(look)?,
    };
    let mut response = answer::one(&row, revision, &HeaderMap::new());
    if created {
        *response.status_mut() = StatusCode::CREATED;
        let path = format!("/api/v1/{}s/{uid}", V::KIND);
        if let Ok(path) = HeaderValue::try_from(path) {
            response.headers_mut().insert(LOCATION, path);
        }
    }
    Some(response)
}

/// Whether a row was made of this generation of its object, or of a later one.
fn is_of<V: View>(row: &V, generation: i64) -> bool {
    let conditions = row.common().conditions.iter();
    let seen = conditions.filter_map(|condition| condition.observed_generation);
    seen.max().is_some_and(|seen| seen >= generation)
}

/// The answer to what was deleted: once no row of it is left.
///
/// # Errors
///
/// Where it has no form in JSON, which is a defect.
pub async fn deleted(
    mut write: Write,
    items: Vec<DeletedObject>,
) -> Result<Response<Body>, Problem> {
    drop(write.turn.take());
    let dry_run = write.params.dry_run;
    let ids: Vec<Uuid> = items.iter().filter_map(|item| item.id).collect();
    let gone = write.state.store.until(ROW_TIMEOUT, |snapshot| {
        let is_there = |id: Uuid| {
            snapshot.providers.by_uid(id).is_some()
                || snapshot.endpoints.by_uid(id).is_some()
                || snapshot.credentials.by_uid(id).is_some()
                || snapshot.models.by_uid(id).is_some()
        };
        (!ids.iter().copied().any(is_there)).then_some(())
    });
    let status = match dry_run || gone.await.is_some() {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    json(status, &Deleted { dry_run, items })
}

fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Body>, Problem> {
    let json = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Problem::internal()
    })?;
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
