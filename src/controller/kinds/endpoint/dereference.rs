//! Reads what an endpoint's reconcile needs.

use std::sync::Arc;

use crate::{
    checks::Owner,
    controller::{
        error::Error,
        kinds::{identity, parent},
        runtime::{context::Context, object_key::ObjectKey},
    },
    crd::{Kind, LlmEndpoint},
    db::EndpointRow,
};

/// Everything that an endpoint's conditions depend on.
pub struct EndpointInputs {
    pub object: Arc<LlmEndpoint>,
    pub owner: Owner,
    pub row: Option<EndpointRow>,
    pub parent: parent::Parent,
    /// The provider's declared endpoints, this one among them.
    pub siblings: Vec<Arc<LlmEndpoint>>,
    /// Names of the provider's credentials, and of those that were not understood.
    pub credential_names: Vec<String>,
}

/// Reads it; `None` where the object is gone.
pub async fn read(context: &Context, key: &ObjectKey) -> Result<Option<EndpointInputs>, Error> {
    let (object, parent, siblings, credential_names) = {
        let index = context.index();
        let Some(object) = index.get::<LlmEndpoint>(&key.namespace, &key.name) else {
            return Ok(None);
        };
        let provider = &object.spec.provider_ref.name;
        (
            object.clone(),
            parent::declared(&index, &key.namespace, provider)?,
            index.children::<LlmEndpoint>(&key.namespace, provider),
            index
                .child_keys(Kind::Credential, &key.namespace, provider)
                .map(|key| key.name)
                .chain(index.undecodable_names(Kind::Credential, &key.namespace))
                .collect(),
        )
    };
    parent::stored(context, &parent).await?;
    let row = context.db.endpoint_row(identity::uid(&*object)).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    Ok(Some(EndpointInputs {
        owner: identity::owner(Kind::Endpoint, &*object),
        row,
        object,
        parent,
        siblings,
        credential_names,
    }))
}

impl EndpointInputs {
    /// Whether the credential that probes are to use is declared.
    pub fn missing_credential(&self) -> Option<&str> {
        let wanted = &self.object.spec.health_check.credential_ref.as_ref()?.name;
        (!self.credential_names.contains(wanted)).then_some(wanted)
    }
}
