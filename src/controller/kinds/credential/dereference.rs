//! Reads what a credential's reconcile needs, but for the Secret.

use std::sync::Arc;

use super::{
    intact,
    secret_cache::{CachedSecret, SecretProblem},
};
use crate::{
    checks::Owner,
    controller::{
        error::Error,
        kinds::{identity, parent},
        runtime::{context::Context, object_key::ObjectKey},
    },
    crd::{Kind, LlmCredential, LlmEndpoint, reasons::Reason},
    db::{CredentialRow, CredentialVersionRow, EndpointRow, StoredCheck},
    encryption::SecretFields,
};

/// Everything that a credential's conditions depend on.
pub struct CredentialInputs {
    pub object: Arc<LlmCredential>,
    pub owner: Owner,
    pub row: Option<CredentialRow>,
    /// Stored versions, newest first.
    pub versions: Vec<CredentialVersionRow>,
    /// Those of them that do not open.
    pub unreadable: intact::Unreadable,
    pub parent: parent::Parent,
    /// The provider's declared endpoints.
    pub endpoints: Vec<Arc<LlmEndpoint>>,
    /// Its stored endpoints, by name.
    pub endpoint_rows: Vec<EndpointRow>,
    /// The provider's credentials, this one among them.
    pub siblings: Vec<Arc<LlmCredential>>,
    /// What the Secret holds; `None` where it was not to be read.
    pub secret: Option<Result<CachedSecret, SecretProblem>>,
    /// The key itself, where it was read in this pass.
    pub fields: Option<SecretFields>,
    /// Where the ServiceAccount's owner lets vendors' tokens go; `None` where that is not known.
    pub account_hosts: Option<Vec<String>>,
}

impl CredentialInputs {
    /// What the Secret holds, where it could be read.
    pub fn holding(&self) -> Option<&CachedSecret> {
        self.secret.as_ref()?.as_ref().ok()
    }

    /// Whether the Secret was not read in this pass, for nothing had changed.
    pub fn needs_fields(&self) -> bool {
        self.holding().is_some() && self.fields.is_none()
    }
}

/// Reads it; `None` where the object is gone.
pub async fn read(context: &Context, key: &ObjectKey) -> Result<Option<CredentialInputs>, Error> {
    let (object, parent, endpoints, siblings) = {
        let index = context.index();
        let Some(object) = index.get::<LlmCredential>(&key.namespace, &key.name) else {
            return Ok(None);
        };
        let provider = &object.spec.provider_ref.name;
        parent::refs_understood(&index, &key.namespace, &object.spec.endpoint_refs)?;
        (
            object.clone(),
            parent::declared(&index, &key.namespace, provider)?,
            index.children::<LlmEndpoint>(&key.namespace, provider),
            index.children::<LlmCredential>(&key.namespace, provider),
        )
    };
    let endpoint_rows = parent::endpoint_rows(context, &parent, &endpoints, key).await?;
    let uid = identity::uid(&*object);
    let row = context.db.credential_row(uid).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    let mut versions = context.db.credential_version_rows(&[uid]).await?;
    prove_by_tests(context, &parent, &mut versions).await?;
    let owner = identity::owner(Kind::Credential, &*object);
    let unreadable = intact::unreadable(context, &owner, &versions).await?;
    Ok(Some(CredentialInputs {
        owner,
        endpoint_rows,
        object,
        row,
        versions,
        unreadable,
        parent,
        endpoints,
        siblings,
        secret: None,
        fields: None,
        account_hosts: None,
    }))
}

/// Puts what tests of models have proved in the place of what nothing free could prove.
async fn prove_by_tests(
    context: &Context,
    parent: &parent::Parent,
    versions: &mut [CredentialVersionRow],
) -> Result<(), Error> {
    let Ok(provider) = parent.found() else {
        return Ok(());
    };
    // One that the vendor took before, and does not say so any more, is not proved by an older test.
    let unproved = |verdict: &StoredCheck| match verdict.reason {
        Reason::Unverifiable => true,
        Reason::CheckInconclusive => !verdict.was_accepted,
        _ => false,
    };
    let any_unproved = |v: &CredentialVersionRow| v.verdicts.values().any(unproved);
    if !versions.iter().any(any_unproved) {
        return Ok(());
    }
    let proved = context.db.proved_keys(identity::uid(provider)).await?;
    for version in versions {
        let identity = version.identity().to_owned();
        for verdict in version.verdicts.values_mut() {
            let proof = proved
                .iter()
                .find(|proved| proved.key == identity && verdict.is_of(&proved.inputs));
            if let Some(proof) = proof.filter(|_| unproved(verdict)) {
                verdict.reason = Reason::KeyAccepted;
                verdict.message = format!(
                    "LlmModel {} answers with the key, and not without it",
                    proof.model
                );
            }
        }
    }
    Ok(())
}
