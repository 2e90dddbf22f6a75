//! Credentials without a key: the vendor takes tokens of a ServiceAccount, by an agreement that the body says.
//!
//! Where there was a key before, in a Secret that was made for the credential, that Secret goes: both are tried
//! first; then the LlmCredential is written, then its Secret deleted, and one that cannot be deleted puts the
//! LlmCredential back as it was.

use axum::body::Body;
use axum::http::Response;
use kube::ResourceExt;
use kube::api::DynamicObject;

use super::credential::{ENTRY_FIELDS, ended, of_secret, put_back, undo};
use super::replace::Change;
use super::secret::{self, NewKey, SecretOwner};
use super::{Draft, Write, answer, create, replace, target};
use crate::api::problem::Problem;
use crate::crd::federation::Federation;
use crate::crd::{Kind, ProviderType, fields};
use crate::snapshot::CredentialView;

const KIND: Kind = Kind::Credential;
/// The field of a body that says the agreement.
const FIELD: &str = "federation";

/// Whether a body says an agreement.
pub fn is_in(draft: &Draft) -> bool {
    draft.fields.contains_key(FIELD)
}

/// A credential has a key, its own or a Secret's, or an agreement.
///
/// # Errors
///
/// 400 that names both where a body says both.
pub fn refuse_two_sources(draft: &Draft, key: Option<&NewKey>) -> Result<(), Problem> {
    if !is_in(draft) {
        return Ok(());
    }
    let sent = key.into_iter().flat_map(NewKey::fields);
    let of_secret = ["secret_name"].into_iter().chain(ENTRY_FIELDS);
    let named = of_secret.filter(|field| draft.fields.contains_key(*field));
    match sent.chain(named).next() {
        None => Ok(()),
        Some("allowed_hosts") => Err(hosts_of_account()),
        Some(other) => Err(Problem::body(format!(
            "federation: a credential has a key, or its vendor exchanges tokens in the place of one, not both; \
             leave out federation, or {other}"
        ))),
    }
}

/// Where the hosts of a credential without a key are said.
pub fn hosts_of_account() -> Problem {
    Problem::body(
        "allowed_hosts: where there is no key they are said on the ServiceAccount that federation names, by its \
         owner; leave them out",
    )
}

/// Creates a credential without a key.
///
/// # Errors
///
/// What the body, the cluster or the audit refuses.
pub async fn create_federated(
    write: Write,
    provider: String,
    draft: Draft,
) -> Result<Response<Body>, Problem> {
    let fits = |provider: &DynamicObject, object: &DynamicObject| {
        let type_ = provider.data["spec"]["type"].as_str();
        refuse_misfit(object, type_.unwrap_or_default())
    };
    create::create_fitting_child::<CredentialView>(write, provider, draft, fits).await
}

/// Puts an agreement in the place of what a credential has.
///
/// # Errors
///
/// As [`create_federated`].
pub async fn federate(
    write: Write,
    id: String,
    mut draft: Draft,
) -> Result<Response<Body>, Problem> {
    let change = Change::of::<CredentialView>(&write, &id, &mut draft).await?;
    if let Some(type_) = target::provider_type(&write, &change.before).await? {
        refuse_misfit(&change.after, &type_)?;
    }
    let Some((secret, uid)) = secret_of_its_own(&write, &change.before).await? else {
        return replace::replace_by::<CredentialView>(write, change, draft).await;
    };
    change.refuse_managed(&write)?;
    let cluster = &write.cluster;
    let of_secret = |refused| of_secret(refused, &secret);
    let recorded = change.recorded(Vec::new());
    let tried = recorded.tried(&write, cluster.replace(KIND, &change.after, true).await);
    let tried = tried.map_err(|refused| refused.problem(KIND))?;
    let deleted = secret::delete(cluster, &change.before, (&secret, &uid), true).await;
    recorded.tried(&write, deleted).map_err(of_secret)?;
    if write.params.dry_run {
        return answer::written::<CredentialView>(write, &tried, false, |_| true).await;
    }
    let record = recorded.begin(&write).await?;
    let made = match cluster.replace(KIND, &change.after, false).await {
        Ok(made) => made,
        Err(refused) => return Err(ended(record, refused, None).await),
    };
    let deleted = secret::delete(cluster, &made, (&secret, &uid), false).await;
    if let Err(refused) = deleted {
        // What was deleted all the same is not to be named again.
        let is_there = secret::owner_of(cluster, &made, &secret).await;
        let undone = match is_there {
            Ok(SecretOwner::Ours(_)) => undo(cluster, &change.before, &made).await,
            Ok(SecretOwner::Other | SecretOwner::Absent) => {
                record.end("Done", None).await;
                return answer::written::<CredentialView>(write, &made, false, |_| true).await;
            }
            Err(unknown) => Err(unknown),
        };
        return Err(put_back(record, refused, &made, undone).await);
    }
    record.end("Done", None).await;
    answer::written::<CredentialView>(write, &made, false, |_| true).await
}

/// The Secret that was made for a credential and holds its key: name and UID. One of another name was not.
async fn secret_of_its_own(
    write: &Write,
    credential: &DynamicObject,
) -> Result<Option<(String, String)>, Problem> {
    let name = credential.name_any();
    if credential.data["spec"]["secretRef"]["name"] != name.as_str() {
        return Ok(None);
    }
    let owner = secret::owner_of(&write.cluster, credential, &name).await;
    match owner.map_err(|refused| of_secret(refused, &name))? {
        SecretOwner::Ours(uid) => Ok(Some((name, uid))),
        SecretOwner::Other | SecretOwner::Absent => Ok(None),
    }
}

/// Refuses an agreement with another vendor than the provider's; what is no agreement the schema refuses.
fn refuse_misfit(credential: &DynamicObject, provider_type: &str) -> Result<(), Problem> {
    let federation = credential.data["spec"]["federation"].clone();
    let federation: Option<Federation> = serde_json::from_value(federation).ok();
    let type_ = ProviderType::parse(provider_type);
    let told = |place: &str| fields::told(KIND, place);
    let why = federation
        .zip(type_)
        .and_then(|(federation, type_)| federation.misfit_told(type_, told));
    why.map_or(Ok(()), |why| Err(Problem::body(why)))
}
