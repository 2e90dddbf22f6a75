//! Carrying out one step at the kube-apiserver: by server-side apply without force, after a look
//! at who owns what.

use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::PartialObjectMeta,
};
use serde_json::{Value, json};

use super::plan::{Step, WantedModel};
use crate::crd::{
    GROUP, Kind, LABEL_GENERATED_BY, LlmModel, VERSION,
    ownership::{FIELD_MANAGER, ForeignFields, GENERATED_BY, is_made_for},
};

/// Attempts where somebody else writes at the same moment.
const ATTEMPTS: usize = 3;

/// The provider whose objects are made.
#[derive(Clone, Debug)]
pub struct SyncedProvider {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyResult {
    /// The object was made or brought up to date.
    Applied,
    /// The object was deleted.
    Withdrawn,
    /// Nothing was to be done any more, or the object is not ours.
    Nothing,
}

/// Carries out a step.
///
/// # Errors
/// What the kube-apiserver says; a conflict only where it did not end.
pub async fn carry_out(
    client: &Client,
    owner: &SyncedProvider,
    step: &Step,
) -> Result<ApplyResult, kube::Error> {
    let api: Api<LlmModel> = Api::namespaced(client.clone(), &owner.namespace);
    let mut attempt = 1;
    loop {
        let done = match step {
            Step::Make(wanted) | Step::Update(wanted) => apply(&api, owner, wanted).await,
            Step::Withdraw(name) => withdraw(&api, owner, name).await,
        };
        match done {
            // Somebody wrote between the look and the write: another look.
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {
                attempt += 1;
            }
            done => return done,
        }
    }
}

async fn apply(
    api: &Api<LlmModel>,
    owner: &SyncedProvider,
    wanted: &WantedModel,
) -> Result<ApplyResult, kube::Error> {
    let live = api.get_metadata_opt(&wanted.name).await?;
    if live.as_ref().is_some_and(|live| !may_write(live, owner)) {
        return Ok(ApplyResult::Nothing);
    }
    let body = body(owner, wanted, live.as_ref());
    let params = PatchParams::apply(FIELD_MANAGER);
    api.patch(&wanted.name, &params, &Patch::Apply(body))
        .await?;
    Ok(ApplyResult::Applied)
}

fn may_write(live: &PartialObjectMeta<LlmModel>, owner: &SyncedProvider) -> bool {
    live.metadata.deletion_timestamp.is_none() && is_made_for(&live.metadata, &owner.uid)
}

/// An object as it is made where there is none.
pub fn made_object(owner: &SyncedProvider, wanted: &WantedModel) -> Value {
    body(owner, wanted, None)
}

/// The object with all that we say of it: what we leave out, we give up. UID and resourceVersion
/// of what was looked at keep the apply from falling on anything else.
fn body(
    owner: &SyncedProvider,
    wanted: &WantedModel,
    live: Option<&PartialObjectMeta<LlmModel>>,
) -> Value {
    let others = live.map(|live| ForeignFields::of(&live.metadata));
    let fields = wanted.fields.clone().without(&others.unwrap_or_default());
    let version = format!("{GROUP}/{VERSION}");
    let mut body = json!({
        "apiVersion": version,
        "kind": Kind::Model.kubernetes(),
        "metadata": {
            "name": wanted.name,
            "namespace": owner.namespace,
            "labels": { LABEL_GENERATED_BY: GENERATED_BY },
            "ownerReferences": [{
                "apiVersion": version,
                "kind": Kind::Provider.kubernetes(),
                "name": owner.name,
                "uid": owner.uid,
            }],
        },
        "spec": fields,
    });
    body["spec"]["providerRef"] = json!({ "name": owner.name });
    body["spec"]["modelId"] = json!(wanted.model_id);
    if let Some(live) = live {
        body["metadata"]["uid"] = json!(live.metadata.uid);
        body["metadata"]["resourceVersion"] = json!(live.metadata.resource_version);
    }
    body
}

async fn withdraw(
    api: &Api<LlmModel>,
    owner: &SyncedProvider,
    name: &str,
) -> Result<ApplyResult, kube::Error> {
    let Some(live) = api.get_metadata_opt(name).await? else {
        return Ok(ApplyResult::Nothing);
    };
    if !may_write(&live, owner) || ForeignFields::of(&live.metadata).have_touched() {
        return Ok(ApplyResult::Nothing);
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: live.uid(),
            resource_version: live.resource_version(),
        }),
        ..DeleteParams::default()
    };
    match api.delete(name, &params).await {
        Ok(_) => Ok(ApplyResult::Withdrawn),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(ApplyResult::Nothing),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::model_sync::fields::Fields;

    fn owner() -> SyncedProvider {
        SyncedProvider {
            namespace: "team".into(),
            name: "p".into(),
            uid: "u".into(),
        }
    }

    fn wanted() -> WantedModel {
        WantedModel {
            name: "p-a-hash".into(),
            model_id: "a".into(),
            fields: Fields {
                context_window: Some(8192),
                display_name: Some("A".into()),
                ..Fields::default()
            },
        }
    }

    #[test]
    fn what_is_made_says_whose_it_is_and_nothing_that_the_vendor_does_not_say() {
        let body = body(&owner(), &wanted(), None);
        let spec = json!({ "providerRef": { "name": "p" }, "modelId": "a", "contextWindow": 8192, "displayName": "A" });
        assert_eq!(body["spec"], spec);
        assert_eq!(
            body["metadata"]["labels"]["llmplane.dev/generated-by"],
            "model-sync"
        );
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u");
        assert!(body["metadata"].get("uid").is_none());
    }

    #[test]
    fn what_somebody_else_owns_is_left_out_and_the_object_that_was_seen_is_named() {
        let live = serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": { "name": "p-a-hash", "uid": "m", "resourceVersion": "7", "managedFields": [
                { "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:contextWindow": {} } } },
            ] },
        }))
        .unwrap();
        let body = body(&owner(), &wanted(), Some(&live));
        let spec = json!({ "providerRef": { "name": "p" }, "modelId": "a", "displayName": "A" });
        assert_eq!(body["spec"], spec);
        assert_eq!(body["metadata"]["uid"], "m");
        assert_eq!(body["metadata"]["resourceVersion"], "7");
    }
}
