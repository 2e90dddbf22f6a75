//! One row, as of the revision that is asked for.

use std::sync::Arc;

use super::list_query::{self, ListParams, Resource};
use super::revisions;
use crate::api::ApiState;
use crate::api::auth::{Caller, Scope};
use crate::api::problem::{Problem, ProblemType};
use crate::crd::Kind;
use crate::db::{AuditAction, Revision};
use crate::snapshot::{Entry, Snapshot};

/// A right that a route needs beside the one to get the row, in the row's namespace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FurtherRight {
    /// None.
    No,
    /// To list this kind.
    List(Kind),
    /// To read the audit.
    Audit,
}

impl FurtherRight {
    async fn require(
        self,
        state: &ApiState,
        caller: &Caller,
        namespace: &str,
    ) -> Result<(), Problem> {
        let (auth, scope) = (&state.auth, Scope::One(namespace.into()));
        match self {
            Self::No => Ok(()),
            Self::List(kind) => scope.require_list(auth, caller, kind).await,
            Self::Audit => {
                let disclosure = &state.disclosure;
                disclosure
                    .require_auditor(auth, caller, &scope, AuditAction::Read)
                    .await
            }
        }
    }
}

/// The row of this id as of the revision asked for at least, and the snapshot that it is of.
///
/// The wait for a revision is nothing for who may not see what is to come: the caller's rights are looked at
/// before it. What has no row yet is waited for by who may get it in the namespace asked for, or in its own;
/// where there is a row that the caller may not see it is the same.
///
/// # Errors
///
/// As [`list_query::find`], and those of the wait; 403 without the further right.
pub async fn find<V: Resource>(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    asked: &ListParams,
    further: FurtherRight,
) -> Result<(Arc<Snapshot>, Arc<Entry<V>>), Problem> {
    let snapshot = revisions::snapshot(state, None).await?;
    let found = list_query::find::<V>(state, caller, &snapshot, id, asked).await;
    if let Ok(found) = &found
        && further != FurtherRight::No
    {
        let namespace = &found.view.common().namespace;
        Box::pin(further.require(state, caller, namespace)).await?;
    }
    if asked
        .min_revision
        .is_none_or(|wanted| snapshot.revision >= Revision(wanted))
    {
        return Ok((snapshot, found?));
    }
    Box::pin(find_later(state, caller, id, asked, further, found.err())).await
}

/// The same, where the revision is yet to come; of what was looked for in vain by now.
async fn find_later<V: Resource>(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    asked: &ListParams,
    further: FurtherRight,
    missing: Option<Problem>,
) -> Result<(Arc<Snapshot>, Arc<Entry<V>>), Problem> {
    if let Some(missing) = missing {
        let place = match asked.namespace.as_deref() {
            Some("*") => None,
            Some(namespace) => Some(namespace),
            None => caller.namespace().map(AsRef::as_ref),
        };
        let can_be = list_query::uid(id).is_some() || list_query::is_object_name(id);
        let may_be = can_be && missing.kind == ProblemType::NotFound;
        if !may_be || !state.auth.may_get(caller, V::KIND, place, id).await? {
            return Err(missing);
        }
    }
    let snapshot = revisions::snapshot(state, asked.min_revision).await?;
    let found = list_query::find::<V>(state, caller, &snapshot, id, asked).await?;
    let namespace = &found.view.common().namespace;
    further.require(state, caller, namespace).await?;
    Ok((snapshot, found))
}
