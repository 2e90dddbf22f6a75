//! What was deleted: rows that the snapshot does not hold any more, read from PostgreSQL.
//!
//! A list that asks for them is the snapshot's rows and PostgreSQL's deleted ones in one order. What
//! was deleted since the snapshot is in both: it is shown once, as deleted, for PostgreSQL is asked
//! after the snapshot was taken. Nothing is lost in between, whatever is deleted meanwhile.

use std::cmp::Ordering;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::answer::PageRows;
use super::cursor::{self, CursorPlace, Rank};
use super::list_query::{Index, ListRequest, Resource, fitting, is_object_name, prefix};
use crate::api::ApiState;
use crate::api::auth::{Caller, Scope};
use crate::api::problem::{Problem, ProblemType};
use crate::db::{ChangedRows, Db, DeletedRange, RowPlace};
use crate::snapshot::{Entry, View, name_key, split_name_key};

/// Deleted rows of a reading, after a first one of a page's size.
const BATCH: usize = 1000;

/// Deleted rows that a request looks at, about.
const MAX_SORTED_ROWS: usize = 10_000;

/// Bytes of deleted rows that are sorted, about.
const MAX_SORTED_BYTES: usize = 16 << 20;

/// Requests that read deleted rows at once; more wait, as long as they may wait for PostgreSQL.
const MAX_READS: usize = 4;

/// How long a request waits for its turn to read.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// Whose turn it is to read deleted rows: a request may hold thousands of them.
#[derive(Debug)]
pub(in crate::api) struct DeletedReads(Semaphore);

impl Default for DeletedReads {
    fn default() -> Self {
        Self(Semaphore::new(MAX_READS))
    }
}

impl DeletedReads {
    async fn take(&self) -> Result<SemaphorePermit<'_>, Problem> {
        match tokio::time::timeout(TURN_TIMEOUT, self.0.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Problem::new(
                ProblemType::Overloaded,
                "too many requests for deleted rows at once; try again",
            )),
        }
    }
}

type Row<V> = Arc<Entry<V>>;

/// The page behind this place.
///
/// # Errors
///
/// 400 for a cursor that is not of such a list and for more deleted rows than are sorted, 503
/// without PostgreSQL.
pub(in crate::api) async fn page<V: Resource>(
    state: &ApiState,
    request: &ListRequest<'_, V>,
    index: &Index,
    after: Option<&CursorPlace>,
) -> Result<PageRows<V>, Problem> {
    let _turn = state.deleted_reads.take().await?;
    let db = &state.db;
    match request.sort.word {
        "name" => Box::pin(page_by_name(db, request, index, after)).await,
        _ => Box::pin(page_sorted(db, request, index, after)).await,
    }
}

/// Reads no more than the page takes. Where filters leave out nearly all, the page ends before it is
/// full, and its cursor says how far it was looked.
async fn page_by_name<V: Resource>(
    db: &Db,
    request: &ListRequest<'_, V>,
    index: &Index,
    after: Option<&CursorPlace>,
) -> Result<PageRows<V>, Problem> {
    let snapshot = request.snapshot;
    let mut range = range(request, index);
    if let Some(after) = after {
        range = range.behind(row_place(after)?);
    }
    let is_behind =
        |row: &&Row<V>| after.is_none_or(|after| place_of(row) > (&after.key, after.id));
    let from = after.map_or("", |after| &after.key);
    let mut live = live(request, index, from).filter(is_behind).peekable();
    // One more than the page has tells that there is another.
    let wanted = request.limit() + 1;
    let (mut rows, mut looked_at) = (Vec::with_capacity(wanted), 0);
    loop {
        let size = if looked_at == 0 { wanted } else { BATCH };
        let batch = db.deleted_rows(V::KIND, &range, size).await?;
        looked_at += size;
        let end = batch
            .reached
            .as_ref()
            .map(|reached| (name_key(&reached.namespace, &reached.name), reached.uid));
        let is_within = |row: &&Row<V>| match &end {
            Some((key, uid)) => place_of(row) <= (key, *uid),
            None => true,
        };
        let live = iter::from_fn(|| live.next_if(is_within));
        let found = merged(live, in_order(&batch.rows)?.into_iter());
        let taken = found.filter(|row| request.takes(snapshot, &row.view));
        rows.extend(taken.take(wanted - rows.len()));
        let is_full = rows.len() == wanted || fitting(&rows) < rows.len();
        match (batch.reached, end) {
            (Some(reached), _) if !is_full && looked_at < MAX_SORTED_ROWS => {
                range = range.behind(reached);
            }
            (Some(_), Some((key, id))) if !is_full => {
                let reached = CursorPlace {
                    sort: request.sort.word.to_owned(),
                    rank: Rank::Name,
                    key,
                    id,
                };
                let next_cursor = Some(cursor::write(&reached));
                return Ok(PageRows { rows, next_cursor });
            }
            _ => return Ok(request.page(rows.into_iter(), after)),
        }
    }
}

/// Reads all that there is to sort.
async fn page_sorted<V: Resource>(
    db: &Db,
    request: &ListRequest<'_, V>,
    index: &Index,
    after: Option<&CursorPlace>,
) -> Result<PageRows<V>, Problem> {
    let snapshot = request.snapshot;
    let (mut range, mut deleted, mut bytes) = (range(request, index), Vec::new(), 0);
    loop {
        let batch = db.deleted_rows(V::KIND, &range, BATCH).await?;
        let rows = in_order::<V>(&batch.rows)?;
        bytes += rows.iter().map(|row| row.json.len()).sum::<usize>();
        deleted.extend(rows);
        match batch.reached {
            None => break,
            Some(_) if deleted.len() >= MAX_SORTED_ROWS || bytes >= MAX_SORTED_BYTES => {
                return Err(too_many());
            }
            Some(reached) => range = range.behind(reached),
        }
    }
    let found = merged(live(request, index, ""), deleted.into_iter());
    let taken = found.filter(|row| request.takes(snapshot, &row.view));
    Ok(request.page(taken, after))
}

fn too_many() -> Problem {
    Problem::parameter(
        "sort",
        format!(
            "more than {MAX_SORTED_ROWS} rows or 16 MiB of them are deleted here, too many to sort: name one namespace, or sort by name"
        ),
    )
}

/// The row of this UID if it is of these namespaces and the caller might get it were it there.
///
/// # Errors
///
/// 503 without PostgreSQL, or where the caller's right cannot be looked up.
pub(in crate::api) async fn by_uid<V: Resource>(
    state: &ApiState,
    caller: &Caller,
    scope: &Scope,
    uid: Uuid,
) -> Result<Option<Row<V>>, Problem> {
    let rows = state.db.object_row(V::KIND, uid).await?;
    let Some(found) = in_order::<V>(&rows)?.pop() else {
        return Ok(None);
    };
    let common = found.view.common();
    if !scope.holds(&common.namespace) {
        return Ok(None);
    }
    let place = Some(common.namespace.as_str());
    let may_get = state.auth.may_get(caller, V::KIND, place, &common.name);
    Ok(may_get.await?.then_some(found))
}

/// Of the objects that had this name the one that was deleted last.
///
/// # Errors
///
/// 503 without PostgreSQL.
pub(in crate::api) async fn by_name<V: Resource>(
    state: &ApiState,
    namespace: &str,
    name: &str,
) -> Result<Option<Row<V>>, Problem> {
    let rows = state.db.deleted_row_of_name(V::KIND, namespace, name);
    Ok(in_order(&rows.await?)?.pop())
}

/// What of the deleted rows a request is about.
fn range<V: Resource>(request: &ListRequest<'_, V>, index: &Index) -> DeletedRange {
    let name = request.listing.name.as_deref();
    let range = match (request.scope.namespace(), name) {
        (None, _) => DeletedRange::everywhere(),
        (Some(namespace), Some(name)) if is_object_name(name) => {
            DeletedRange::of_name(namespace, name)
        }
        (Some(namespace), _) => DeletedRange::of_namespace(namespace),
    };
    range.of_provider(match index {
        Index::OfProvider(provider) => Some(*provider),
        Index::All | Index::WithCapability(_) => None,
    })
}

/// What of the snapshot's rows a request is about, from this key on.
fn live<'s, V: Resource>(
    request: &ListRequest<'s, V>,
    index: &Index,
    from: &str,
) -> impl Iterator<Item = &'s Row<V>> + Send + use<'s, V> {
    let prefix = prefix(&request.scope);
    let from = from.max(prefix.as_str());
    V::rows(request.snapshot, index, from).take_while(move |row| row.key.starts_with(&prefix))
}

/// Where PostgreSQL goes on behind a place of this order.
fn row_place(place: &CursorPlace) -> Result<RowPlace, Problem> {
    let (namespace, name) = split_name_key(&place.key)
        .filter(|(_, name)| !name.contains('\0'))
        .ok_or_else(cursor::foreign)?;
    Ok(RowPlace {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: place.id,
    })
}

/// Two rows of one object stand in one place.
fn place_of<V: View>(row: &Row<V>) -> (&str, Uuid) {
    (&row.key, row.view.common().id)
}

/// These rows by namespace, name and UID.
fn in_order<V: Resource>(rows: &ChangedRows) -> Result<Vec<Row<V>>, Problem> {
    let entries = V::of_rows(rows).into_iter().map(Entry::new);
    let rows = entries.map(|entry| entry.map(Arc::new));
    let mut rows: Vec<_> = rows.collect::<Result<_, _>>().map_err(|error| {
        tracing::error!(%error, "a row cannot be written as JSON");
        Problem::internal()
    })?;
    rows.sort_by(|a, b| place_of(a).cmp(&place_of(b)));
    Ok(rows)
}

/// Both in their one order. Of an object that is in both the deleted row is taken.
fn merged<'s, V: View>(
    live: impl Iterator<Item = &'s Row<V>>,
    deleted: impl Iterator<Item = Row<V>>,
) -> impl Iterator<Item = Row<V>> {
    let (mut live, mut deleted) = (live.peekable(), deleted.peekable());
    iter::from_fn(move || {
        let order = match (live.peek(), deleted.peek()) {
            (Some(live), Some(deleted)) => place_of(live).cmp(&place_of(deleted)),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => live.next().cloned(),
            Ordering::Equal => live.next().and_then(|_| deleted.next()),
            Ordering::Greater => deleted.next(),
        }
    })
}
