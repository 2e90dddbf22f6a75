//! `POST`: a new object.

use axum::body::Body;
use axum::http::Response;
use kube::ResourceExt;
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::{Map, Value, json};

use super::record::{Recorded, WriteOutcome};
use super::{Draft, Write, answer, as_caller, declaration, target};
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::list_query::Resource;
use crate::crd::{
    Kind, MAX_CREDENTIALS_PER_PROVIDER, MAX_ENDPOINTS_PER_PROVIDER, names::did_you_mean,
};
use crate::db::AuditAction;
use crate::snapshot::ProviderView;

/// Creates an object that belongs to no other.
///
/// # Errors
///
/// What the body, the cluster or the audit refuses.
pub async fn create<V: Resource>(write: Write, draft: Draft) -> Result<Response<Body>, Problem> {
    let namespace = target::one_namespace(&write)?;
    let object = declared(V::KIND, &namespace, Map::new(), &draft)?;
    made::<V>(write, &object).await
}

/// Creates an object that belongs to a provider.
///
/// # Errors
///
/// As [`create`]; 404 without the provider, 409 where that has no room.
pub async fn create_child<V: Resource>(
    write: Write,
    provider: String,
    draft: Draft,
) -> Result<Response<Body>, Problem> {
    create_fitting_child::<V>(write, provider, draft, |_, _| Ok(())).await
}

/// The same of one that `fits` says, of the provider and the object, that provider.
pub(super) async fn create_fitting_child<V: Resource>(
    write: Write,
    provider: String,
    mut draft: Draft,
    fits: impl Fn(&DynamicObject, &DynamicObject) -> Result<(), Problem>,
) -> Result<Response<Body>, Problem> {
    let provider = target::find::<ProviderView>(&write, &provider).await?;
    let (namespace, owner) = (
        provider.namespace().unwrap_or_default(),
        provider.name_any(),
    );
    name_endpoints(&write, &namespace, &owner, &mut draft.fields).await?;
    has_room(&write, V::KIND, &namespace, &owner).await?;
    let mut spec = Map::new();
    spec.insert("providerRef".to_owned(), json!({ "name": owner }));
    let object = declared(V::KIND, &namespace, spec, &draft)?;
    fits(&provider, &object)?;
    made::<V>(write, &object).await
}

/// A new object that declares what the draft says.
pub(super) fn declared(
    kind: Kind,
    namespace: &str,
    mut spec: Map<String, Value>,
    draft: &Draft,
) -> Result<DynamicObject, Problem> {
    let name = draft.required_name()?;
    declaration::apply(kind, &mut spec, &draft.fields)?;
    let object = DynamicObject::new(name, &as_caller::resource(kind));
    Ok(object.within(namespace).data(json!({ "spec": spec })))
}

async fn made<V: Resource>(
    write: Write,
    object: &DynamicObject,
) -> Result<Response<Body>, Problem> {
    let creating = |dry_run| write.cluster.create(V::KIND, object, dry_run);
    let namespace = object.namespace().unwrap_or_default();
    let recorded = Recorded {
        action: AuditAction::Create,
        kind: V::KIND,
        namespace: &namespace,
        name: &object.name_any(),
        uid: None,
        fields: declaration::changed(V::KIND, &Value::Null, &object.data["spec"]),
    };
    let outcome = |made: &DynamicObject| WriteOutcome {
        uid: target::uid(made),
        fields: None,
    };
    let made = recorded.run(&write, creating, outcome).await?;
    let made = made.map_err(|refused| refused.problem(V::KIND))?;
    answer::written::<V>(write, &made, true, |_| true).await
}

/// Puts references by name in the place of ids and names of a provider's endpoints.
pub(super) async fn name_endpoints(
    write: &Write,
    namespace: &str,
    provider: &str,
    fields: &mut Map<String, Value>,
) -> Result<(), Problem> {
    let Some(given) = fields.get_mut("endpoint_ids") else {
        return Ok(());
    };
    let Value::Array(ids) = given else {
        return Err(Problem::body(
            "endpoint_ids: expected a list of endpoints' ids or names",
        ));
    };
    if ids.is_empty() {
        return Ok(());
    }
    let endpoints = write.cluster.children(Kind::Endpoint, namespace, provider);
    let endpoints = endpoints
        .await
        .map_err(|refused| refused.problem(Kind::Endpoint))?;
    for (place, id) in ids.iter_mut().enumerate() {
        let said = id.as_str().unwrap_or_default();
        let is_it = |endpoint: &&ObjectMeta| {
            [&endpoint.uid, &endpoint.name]
                .into_iter()
                .any(|known| known.as_deref() == Some(said))
        };
        let Some(endpoint) = endpoints.iter().find(is_it) else {
            let names = endpoints
                .iter()
                .filter_map(|endpoint| endpoint.name.as_deref());
            let told: String = said.chars().take(253).collect();
            let near = did_you_mean(&told, names);
            return Err(Problem::body(format!(
                "endpoint_ids[{place}]: provider {provider} has no endpoint {told:?}{near}"
            )));
        };
        *id = json!({ "name": endpoint.name });
    }
    Ok(())
}

/// Makes sure that one more of this kind fits. Two at once may both fit: then the controller decides.
pub(super) async fn has_room(
    write: &Write,
    kind: Kind,
    namespace: &str,
    provider: &str,
) -> Result<(), Problem> {
    let most = match kind {
        Kind::Endpoint => MAX_ENDPOINTS_PER_PROVIDER,
        Kind::Credential => MAX_CREDENTIALS_PER_PROVIDER,
        Kind::Provider | Kind::Model | Kind::ModelClass => return Ok(()),
    };
    let there = write.cluster.children(kind, namespace, provider).await;
    let there = there.map_err(|refused| refused.problem(kind))?;
    match there.len() < most {
        true => Ok(()),
        false => Err(Problem::new(
            ProblemType::LimitReached,
            format!(
                "provider {provider} has {} {kind}s, and may have {most}; delete one first",
                there.len()
            ),
        )),
    }
}
