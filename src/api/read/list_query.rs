//! Lists and single rows of any kind: who may see them, which, in what order, which page.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use utoipa::{IntoParams, PartialSchema};
use uuid::Uuid;

use super::answer::{Page, PageRows, RequestHeaders};
use super::cursor::{self, CursorPlace, Rank};
use super::query_params::{FromQuery, Query, documented_names};
use super::{deleted, list_cache};
use crate::api::ApiState;
use crate::api::auth::{Caller, Scope};
use crate::api::problem::{Problem, ProblemType};
use crate::crd::Capability;
use crate::db::{AuditAction, ChangedRows};
use crate::snapshot::{Entry, Snapshot, Table, View, name_key};

/// Rows of a page where the request does not say.
const DEFAULT_LIMIT: usize = 100;
/// Most rows of a page.
const MAX_LIMIT: usize = 1000;

/// Bytes of a page's rows at most; a row that is larger by itself is a page of its own.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// A kind as the routes know it.
pub trait Resource: View + PartialSchema + Sized {
    /// What a person calls it.
    const NOUN: &'static str;
    /// Its table.
    fn table(snapshot: &Snapshot) -> &Table<Self>;
    /// The rows of an index, from a key on.
    fn rows<'s>(
        snapshot: &'s Snapshot,
        index: &Index,
        key: &str,
    ) -> Box<dyn Iterator<Item = &'s Arc<Entry<Self>>> + Send + 's> {
        match index {
            Index::OfProvider(provider) => {
                Box::new(Self::table(snapshot).of_provider(*provider, key))
            }
            Index::All | Index::WithCapability(_) => Box::new(Self::table(snapshot).from_key(key)),
        }
    }
    /// Those of this kind among rows of the database, as they are shown.
    fn of_rows(rows: &ChangedRows) -> Vec<Self>;
}

/// What every route understands.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// The namespace; `*` for all. Without it the caller's own, where the caller is a
    /// ServiceAccount.
    pub namespace: Option<String>,
    /// Wait up to 5 seconds until the answer is at least of this revision.
    #[param(minimum = 0)]
    pub min_revision: Option<i64>,
    /// Also what was deleted, with `deleted_at`. Needs the right to read the audit.
    pub include_deleted: Option<bool>,
}

impl FromQuery for ListParams {
    documented_names!(ListParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
            min_revision: query.number("min_revision", 0..=i64::MAX)?,
            include_deleted: query.flag("include_deleted")?,
        })
    }
}

/// What every list understands.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListFilters {
    /// The namespace; `*` for all. Without it the caller's own, where the caller is a
    /// ServiceAccount.
    pub namespace: Option<String>,
    /// Wait up to 5 seconds until the answer is at least of this revision.
    #[param(minimum = 0)]
    pub min_revision: Option<i64>,
    /// Also what was deleted, with `deleted_at`. Needs the right to read the audit.
    pub include_deleted: Option<bool>,
    /// Rows of a page at most. A page of large rows has fewer: it ends at 1 MiB, and `next_cursor`
    /// goes on behind it.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Only what is in force, or only what is not.
    pub is_active: Option<bool>,
    /// Only the one of this name.
    pub name: Option<String>,
}

impl FromQuery for ListFilters {
    documented_names!(ListFilters);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
            min_revision: query.number("min_revision", 0..=i64::MAX)?,
            include_deleted: query.flag("include_deleted")?,
            limit: query.number("limit", 1..=MAX_LIMIT)?,
            cursor: query.text("cursor")?,
            is_active: query.flag("is_active")?,
            name: query.text("name")?,
        })
    }
}

impl ListFilters {
    /// What it shares with the routes of single rows.
    pub fn common(&self) -> ListParams {
        ListParams {
            namespace: self.namespace.clone(),
            min_revision: self.min_revision,
            include_deleted: self.include_deleted,
        }
    }

    fn takes<V: View>(&self, view: &V) -> bool {
        let common = view.common();
        self.is_active
            .is_none_or(|wanted| wanted == common.is_active)
            && self.name.as_ref().is_none_or(|name| *name == common.name)
    }
}

/// An order of a list.
pub struct Sort<V> {
    /// The word that asks for it; a leading `-` turns it around.
    pub word: &'static str,
    /// What is compared first. Namespace and name decide between equals.
    pub rank: Box<dyn Fn(&V) -> Rank + Send + Sync>,
}

impl<V> Sort<V> {
    /// By namespace and name.
    pub fn by_name() -> Self {
        Self {
            word: "name",
            rank: Box::new(|_| Rank::Name),
        }
    }
}

/// Where a list's rows are looked for; every index is in the order of namespace and name.
pub enum Index {
    /// Among all.
    All,
    /// Among those of a provider.
    OfProvider(Uuid),
    /// Among the models that can do this; among all where the kind is another.
    WithCapability(Capability),
}

/// A caller's request for a list.
pub struct ListRequest<'r, V> {
    /// What it is answered from.
    pub snapshot: &'r Snapshot,
    /// Who asks.
    pub caller: &'r Caller,
    /// What else the request says.
    pub sent: &'r RequestHeaders,
    /// What every list understands.
    pub listing: &'r ListFilters,
    /// The namespaces that it is about.
    pub scope: Scope,
    /// Which of them.
    pub filter: &'r (dyn Fn(&Snapshot, &V) -> bool + Send + Sync),
    /// In which order.
    pub sort: Sort<V>,
}

/// Answers a list whose rows are in this index.
///
/// # Errors
///
/// 403 without the right to list, 400 for a foreign cursor, 503 and 504 where it cannot be
/// answered.
pub async fn list<V: Resource>(
    state: &ApiState,
    request: ListRequest<'_, V>,
    index: Index,
) -> Result<Response<Body>, Problem> {
    request
        .scope
        .require_list(&state.auth, request.caller, V::KIND)
        .await?;
    let after: Option<CursorPlace> = request
        .listing
        .cursor
        .as_deref()
        .map(cursor::read)
        .transpose()?;
    if after
        .as_ref()
        .is_some_and(|place| place.sort != request.sort.word || !place.is_sound())
    {
        return Err(cursor::foreign());
    }
    if request.listing.include_deleted == Some(true) {
        return Box::pin(list_with_deleted(state, request, index, after)).await;
    }
    let snapshot = request.snapshot;
    let asked = list_cache::key(&request.scope, &index, &request.sent.uri);
    if let Some(page) = state.pages.get(snapshot.revision, &asked) {
        return Ok(page.answer(snapshot.revision, &request.sent.headers));
    }
    let (first, prefix) = bounds(&request.scope, after.as_ref(), request.sort.word);
    let found = V::rows(snapshot, &index, &first)
        .take_while(|entry| entry.key.starts_with(&prefix))
        .filter(|entry| request.takes(snapshot, &entry.view))
        .cloned();
    let rows = request.page(found, after.as_ref());
    let (page, own) = written(state, &request, &rows).await?;
    state.pages.put(snapshot.revision, asked, &page);
    Ok(own.answer(snapshot.revision, &request.sent.headers))
}

/// A page written out, for the cache and for who asked, once there is memory for it.
async fn written<V>(
    state: &ApiState,
    request: &ListRequest<'_, V>,
    rows: &PageRows<V>,
) -> Result<(Page, Page), Problem> {
    let reserving = state.memory.reserve(&request.sent.share, rows.size());
    let reserved = Box::pin(reserving).await?;
    Ok(rows.write(request.snapshot.revision).hold(reserved))
}

/// As [`list`], with what was deleted.
async fn list_with_deleted<V: Resource>(
    state: &ApiState,
    request: ListRequest<'_, V>,
    index: Index,
    after: Option<CursorPlace>,
) -> Result<Response<Body>, Problem> {
    let (disclosure, scope) = (&state.disclosure, &request.scope);
    disclosure
        .require_auditor(&state.auth, request.caller, scope, AuditAction::Read)
        .await?;
    let rows = deleted::page(state, &request, &index, after.as_ref()).await?;
    let (_, own) = written(state, &request, &rows).await?;
    Ok(own.answer(request.snapshot.revision, &request.sent.headers))
}

/// What every key of the scope begins with.
pub(in crate::api) fn prefix(scope: &Scope) -> String {
    scope
        .namespace()
        .map_or_else(String::new, |namespace| name_key(namespace, ""))
}

/// The key to start at, and what every key of the scope begins with.
fn bounds(scope: &Scope, after: Option<&CursorPlace>, sort: &str) -> (String, String) {
    let prefix = prefix(scope);
    match after {
        // The index has this order already: the page begins behind the row.
        Some(place) if sort == "name" && place.key > prefix => (format!("{}\0", place.key), prefix),
        _ => (prefix.clone(), prefix),
    }
}

impl<V: Resource> ListRequest<'_, V> {
    /// Whether this row is one of those asked for.
    pub(in crate::api) fn takes(&self, snapshot: &Snapshot, view: &V) -> bool {
        self.listing.takes(view) && (self.filter)(snapshot, view)
    }

    fn place(&self, entry: &Entry<V>) -> CursorPlace {
        CursorPlace {
            sort: self.sort.word.to_owned(),
            rank: (self.sort.rank)(&entry.view),
            key: entry.key.to_string(),
            id: entry.view.common().id,
        }
    }

    /// Rows of a page at most.
    pub(in crate::api) fn limit(&self) -> usize {
        self.listing.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// The page behind this place; by name, `found` begins there and is in order.
    pub(in crate::api) fn page(
        &self,
        found: impl Iterator<Item = Arc<Entry<V>>>,
        after: Option<&CursorPlace>,
    ) -> PageRows<V> {
        let limit = self.limit();
        let mut rows: Vec<_> = if self.sort.word == "name" {
            found.take(limit + 1).collect()
        } else {
            self.sorted(found, after)
        };
        let fits = fitting(rows.get(..limit).unwrap_or(&rows));
        let more = rows.len() > fits;
        rows.truncate(fits);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|last| cursor::write(&self.place(last)));
        PageRows { rows, next_cursor }
    }

    fn sorted(
        &self,
        found: impl Iterator<Item = Arc<Entry<V>>>,
        after: Option<&CursorPlace>,
    ) -> Vec<Arc<Entry<V>>> {
        let mut placed: Vec<_> = found
            .map(|entry| (self.place(&entry), entry))
            .filter(|(place, _)| after.is_none_or(|after| place.order(after) == Ordering::Greater))
            .collect();
        placed.sort_by(|(a, _), (b, _)| a.order(b));
        placed.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// How many of these rows make a page; see [`rows_that_fit`].
pub(super) fn fitting<V>(rows: &[Arc<Entry<V>>]) -> usize {
    rows_that_fit(rows.iter().map(|row| row.json.len()))
}

/// How many of these rows, by their lengths, make a page of at most [`MAX_PAGE_BYTES`]; one at
/// least, where there is one.
fn rows_that_fit(lengths: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    lengths
        .enumerate()
        .take_while(|(place, length)| {
            bytes += length + 1;
            *place == 0 || bytes <= MAX_PAGE_BYTES
        })
        .count()
}

/// The row of this id (a UID, or a name in the namespace asked for), if the caller may see it.
///
/// Nothing that is asked of the kube-apiserver or of PostgreSQL on the way tells a hidden row from
/// an absent one: for what is not there a right is looked at all the same.
///
/// # Errors
///
/// 404 where it is not there or the caller may not see it: both look the same. 403 where the
/// request says `namespace=*` or `include_deleted=true` without the right to.
pub async fn find<V: Resource>(
    state: &ApiState,
    caller: &Caller,
    snapshot: &Snapshot,
    id: &str,
    asked: &ListParams,
) -> Result<Arc<Entry<V>>, Problem> {
    let (auth, table) = (&state.auth, V::table(snapshot));
    let include_deleted = asked.include_deleted == Some(true);
    let uid = uid(id);
    let scope = match uid {
        // A UID is one object's wherever that is.
        Some(_) if asked.namespace.is_none() && !include_deleted => None,
        _ => Some(Scope::of(asked.namespace.as_deref(), caller)?),
    };
    if scope == Some(Scope::All) {
        if uid.is_none() {
            return Err(Problem::new(
                ProblemType::InvalidParameter,
                "namespace: a name is one namespace's; name that one, or ask by the id",
            ));
        }
        Box::pin(Scope::All.require_get(auth, caller, V::KIND)).await?;
    }
    if let Some(scope) = scope.as_ref().filter(|_| include_deleted) {
        let disclosure = &state.disclosure;
        let audited = disclosure.require_auditor(auth, caller, scope, AuditAction::Read);
        Box::pin(audited).await?;
    }
    if let Some(uid) = uid {
        let here = |namespace: &str| scope.as_ref().is_none_or(|scope| scope.holds(namespace));
        let found = table.by_uid(uid);
        match found.filter(|entry| here(&entry.view.common().namespace)) {
            Some(entry) => {
                let common = entry.view.common();
                let place = Some(common.namespace.as_str());
                if auth.may_get(caller, V::KIND, place, &common.name).await? {
                    return Ok(entry.clone());
                }
            }
            None => {
                let place = scope.as_ref().and_then(Scope::namespace);
                let may_get = Box::pin(auth.may_get(caller, V::KIND, place, id)).await?;
                if may_get
                    && let Some(scope) = scope.as_ref().filter(|_| include_deleted)
                    && let Some(entry) =
                        Box::pin(deleted::by_uid(state, caller, scope, uid)).await?
                {
                    return Ok(entry);
                }
            }
        }
    }
    let namespace = match &scope {
        Some(scope) => scope.namespace(),
        None => caller.namespace().map(AsRef::as_ref),
    };
    let by_name = || namespace.and_then(|namespace| table.by_name(namespace, id));
    // What nothing can be named is asked about by nobody's right, nor is a name that is a UID
    // where no row has it: the UID was asked about.
    let asks = match uid {
        Some(_) => include_deleted || by_name().is_some(),
        None => is_object_name(id),
    };
    if asks && auth.may_get(caller, V::KIND, namespace, id).await? {
        if let Some(entry) = by_name() {
            return Ok(entry.clone());
        }
        if let Some(namespace) = namespace.filter(|_| include_deleted)
            && let Some(entry) = Box::pin(deleted::by_name(state, namespace, id)).await?
        {
            return Ok(entry);
        }
    }
    Err(Problem::not_found(V::NOUN))
}

/// Whether an object may be named so: an RFC 1123 subdomain.
pub(in crate::api) fn is_object_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=253).contains(&name.len())
        && name
            .bytes()
            .all(|byte| inner(byte) || matches!(byte, b'-' | b'.'))
        && name.bytes().next().is_some_and(inner)
        && name.bytes().next_back().is_some_and(inner)
}

/// A UID as Kubernetes writes it; nothing else that a UUID may be written as.
pub fn uid(id: &str) -> Option<Uuid> {
    Some(id)
        .filter(|id| id.len() == 36)
        .and_then(|id| Uuid::try_parse(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_the_row_that_would_make_it_too_large() {
        let fit = |lengths: &[usize]| rows_that_fit(lengths.iter().copied());
        assert_eq!(fit(&[]), 0);
        assert_eq!(fit(&[MAX_PAGE_BYTES * 2, 1]), 1);
        assert_eq!(fit(&[1, MAX_PAGE_BYTES * 2, 1]), 1);
        assert_eq!(fit(&[MAX_PAGE_BYTES / 4; 8]), 3);
        assert_eq!(fit(&[1000; 1000]), 1000);
    }
}
