//! The provider that a child names, and the endpoints that it refers to.

use std::sync::Arc;

use kube::ResourceExt;
use uuid::Uuid;

use super::identity;
use crate::controller::{
    error::{Error, Refusal},
    runtime::{context::Context, index::Index, object_key::ObjectKey},
};
use crate::{
    crd::{Kind, LlmCredential, LlmEndpoint, LlmProvider, LocalRef, names, reasons::Reason},
    db::EndpointRow,
};

/// The provider that a child names.
pub enum Parent {
    /// It is there.
    Found(Arc<LlmProvider>),
    /// It is not.
    Refused(Refusal),
}

impl Parent {
    /// Its own switch; a provider that is not there switches nothing off.
    pub fn enabled(&self) -> bool {
        match self {
            Self::Found(provider) => provider.spec.enabled,
            Self::Refused(_) => true,
        }
    }

    /// The provider, or why there is none.
    pub fn found(&self) -> Result<&LlmProvider, Refusal> {
        match self {
            Self::Found(provider) => Ok(provider),
            Self::Refused(refusal) => Err(refusal.clone()),
        }
    }
}

/// What to do about a name of this kind that does not exist.
pub fn missing(kind: &str, wanted: &str, names: &[String]) -> String {
    let else_do = format!("create the {kind}, or correct the reference");
    names::hint(wanted, names.iter().map(String::as_str), &else_do)
}

/// Looks the provider up among the declared.
///
/// # Errors
/// [`Error::Waiting`] where it exists and was not understood: nothing is known of it, and what is
/// stored below it stays as it is.
pub fn declared(index: &Index, namespace: &str, name: &str) -> Result<Parent, Error> {
    Ok(match index.get::<LlmProvider>(namespace, name) {
        None => {
            understood(index, Kind::Provider, namespace, name)?;
            let hint = missing("LlmProvider", name, &index.names::<LlmProvider>(namespace));
            Parent::Refused(Refusal::new(
                Reason::ProviderNotFound,
                format!(
                    "spec.providerRef: there is no LlmProvider {name} in this namespace; {hint}"
                ),
            ))
        }
        Some(provider) => Parent::Found(provider),
    })
}

/// Makes sure that each endpoint that `endpointRefs` names is known, or does not exist.
///
/// # Errors
/// [`Error::Waiting`] as [`declared`].
pub fn refs_understood(index: &Index, namespace: &str, refs: &[LocalRef]) -> Result<(), Error> {
    let unknown = |name| index.get::<LlmEndpoint>(namespace, name).is_none();
    refs.iter()
        .filter(|wanted| unknown(&wanted.name))
        .try_for_each(|wanted| understood(index, Kind::Endpoint, namespace, &wanted.name))
}

fn understood(index: &Index, kind: Kind, namespace: &str, name: &str) -> Result<(), Error> {
    if index.is_undecodable(&ObjectKey::new(kind, namespace, name)) {
        let kind = kind.kubernetes();
        return Err(Error::Waiting(format!(
            "{kind} {name}, which does not decode"
        )));
    }
    Ok(())
}

/// Makes sure that a provider that was found is stored: rows refer to its row.
///
/// # Errors
/// [`Error::Waiting`] where it is not yet; its reconcile wakes the children.
pub async fn stored(context: &Context, parent: &Parent) -> Result<(), Error> {
    let Parent::Found(provider) = parent else {
        return Ok(());
    };
    let row = context.db.provider_row(identity::uid(&**provider)).await?;
    match row {
        Some(row) if row.deleted_at.is_none() => Ok(()),
        _ => Err(Error::Waiting(format!(
            "LlmProvider {} to be stored",
            provider.name_any()
        ))),
    }
}

/// The endpoints that `endpointRefs` names, as UIDs in its order.
///
/// # Errors
/// `EndpointNotFound` where the provider has no endpoint of such a name.
pub fn endpoint_uids(
    provider: &str,
    refs: &[LocalRef],
    endpoints: &[Arc<LlmEndpoint>],
) -> Result<Vec<Uuid>, Refusal> {
    refs.iter()
        .map(|wanted| {
            endpoints
                .iter()
                .find(|endpoint| endpoint.name_any() == wanted.name)
                .map(|endpoint| identity::uid(&**endpoint))
                .ok_or_else(|| {
                    let names: Vec<String> = endpoints.iter().map(|e| e.name_any()).collect();
                    let hint = missing("LlmEndpoint", &wanted.name, &names);
                    Refusal::new(
                        Reason::EndpointNotFound,
                        format!(
                            "spec.endpointRefs: LlmProvider {provider} has no LlmEndpoint {}; {hint}",
                            wanted.name
                        ),
                    )
                })
        })
        .collect()
}

/// The declared endpoints that a child is for: those that `endpointRefs` names, or all where it names
/// none.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    /// Every endpoint of the provider.
    pub declared: &'a [Arc<LlmEndpoint>],
    /// `endpointRefs`.
    pub refs: &'a [LocalRef],
}

impl Named<'_> {
    /// Whether there are some, and each of them is switched off.
    pub fn all_off(self) -> bool {
        let is_meant = |name: String| self.refs.iter().any(|r| r.name == name);
        let mut meant = (self.declared.iter())
            .filter(|e| self.refs.is_empty() || is_meant(e.name_any()))
            .peekable();
        meant.peek().is_some() && meant.all(|endpoint| !endpoint.spec.enabled)
    }
}

/// Why none of these endpoints can be called, and what to do.
pub fn no_endpoint(named: Named<'_>) -> &'static str {
    if named.declared.is_empty() {
        "the provider has no LlmEndpoint; add one"
    } else if named.all_off() {
        "every LlmEndpoint that it is for is switched off by spec.enabled"
    } else {
        "no LlmEndpoint that it is for is in force; see what their Ready conditions say"
    }
}

/// Whether credentials are declared and each of them is switched off.
pub fn keys_off(declared: &[Arc<LlmCredential>]) -> bool {
    !declared.is_empty() && declared.iter().all(|credential| !credential.spec.enabled)
}

/// The stored endpoints of a provider, by name. Makes sure that the provider is stored (where it has
/// endpoints, it is), and that each of its declared endpoints was reconciled.
///
/// # Errors
/// [`Error::Waiting`] as [`stored`], and where an endpoint was not reconciled yet; its reconcile
/// wakes `child`.
pub async fn endpoint_rows(
    context: &Context,
    parent: &Parent,
    declared: &[Arc<LlmEndpoint>],
    child: &ObjectKey,
) -> Result<Vec<EndpointRow>, Error> {
    let Parent::Found(provider) = parent else {
        return Ok(Vec::new());
    };
    let uid = identity::uid(&**provider);
    context.endpoints_seen.all(uid, declared, child)?;
    let mut rows = context.db.endpoint_rows_of_providers(&[uid]).await?;
    if rows.is_empty() {
        stored(context, parent).await?;
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}

/// Those of a provider's stored endpoints that are in force and among these, or all where none is
/// named.
pub fn eligible<'a>(rows: &'a [EndpointRow], named: &[Uuid]) -> Vec<&'a EndpointRow> {
    rows.iter()
        .filter(|row| row.is_active && (named.is_empty() || named.contains(&row.uid)))
        .collect()
}
