//! What is declared and not in force. The API has no row of it, so the cluster is asked, as the user.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::header::CACHE_CONTROL;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use super::State;
use super::problem::Problem;
use crate::crd::conditions::{ConditionType, find};
use crate::crd::names::is_namespace;
use crate::crd::{GROUP, Kind, VERSION};

/// Objects of a list that come in one answer of the kube-apiserver.
const PAGE: u32 = 500;
/// Most objects that are told of.
const MOST: usize = 2000;

/// An object that is declared and not in force.
#[derive(Serialize)]
struct Refused {
    kind: &'static str,
    namespace: String,
    name: String,
    reason: String,
    message: String,
    since: Timestamp,
}

/// `GET /console/refused?namespace=...`; `*` for all.
pub async fn get(FromState(state): FromState<Arc<State>>, uri: Uri) -> Result<Response, Problem> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let asked = url::form_urlencoded::parse(query).find(|(name, _)| name == "namespace");
    let namespace = asked.map_or_else(
        || state.cluster.namespace.as_str().into(),
        |(_, value)| value,
    );
    if namespace != "*" && !is_namespace(&namespace) {
        let detail = "namespace must be the name of one, or * for all";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Not asked", detail));
    }
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let listed = refused(&state.cluster.client, kind, &namespace, &mut found).await;
        listed.map_err(|error| {
            let error = anyhow::Error::from(error).context(format!(
                "{} cannot be listed in the cluster, so what is declared and refused is not known",
                kind.plural()
            ));
            Problem::unreachable("Not all is shown", &error)
        })?;
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(found)).into_response())
}

async fn refused(
    client: &Client,
    kind: Kind,
    namespace: &str,
    found: &mut Vec<Refused>,
) -> kube::Result<()> {
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.kubernetes());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    let api: Api<DynamicObject> = match namespace {
        "*" => Api::all_with(client.clone(), &resource),
        one => Api::namespaced_with(client.clone(), one, &resource),
    };
    let mut params = ListParams::default().limit(PAGE);
    while found.len() < MOST {
        let page = api.list(&params).await?;
        found.extend(page.items.iter().filter_map(|object| of(kind, object)));
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => break,
        }
    }
    found.truncate(MOST);
    Ok(())
}

fn of(kind: Kind, object: &DynamicObject) -> Option<Refused> {
    let conditions = object.data["status"]["conditions"].clone();
    let conditions: Vec<Condition> = serde_json::from_value(conditions).ok()?;
    let synced =
        find(&conditions, ConditionType::Synced).filter(|synced| synced.status == "False")?;
    Some(Refused {
        kind: kind.kubernetes(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        reason: synced.reason.clone(),
        message: synced.message.clone(),
        since: synced.last_transition_time.0,
    })
}
