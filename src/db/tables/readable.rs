//! Rows that this binary cannot read, such as one with a word of a newer release. They are left out
//! and named, so that one of them holds up nothing else.

use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::crd::Kind;
use crate::db::DbError;

/// What reads the rows of these objects.
pub(in crate::db) type Reader<R> =
    for<'c> fn(&'c mut PgConnection, &'c [Uuid]) -> BoxFuture<'c, Result<Vec<R>, DbError>>;

/// The rows of these objects that can be read, in no order; the others are added to `unreadable`.
/// Found by halving: it costs by what cannot be read.
pub(in crate::db) async fn readable<R>(
    connection: &mut PgConnection,
    kind: Kind,
    uids: &[Uuid],
    read: Reader<R>,
    unreadable: &mut Vec<(Kind, Uuid)>,
) -> Result<Vec<R>, DbError> {
    let mut rows = Vec::new();
    let mut parts = vec![uids];
    while let Some(part) = parts.pop() {
        match (read(connection, part).await, part) {
            (Ok(read), _) => rows.extend(read),
            (Err(DbError::Unreadable(why)), [uid]) => {
                tracing::warn!(%kind, %uid, why, "a row cannot be read and is left out; a newer release may have written it");
                unreadable.push((kind, *uid));
            }
            (Err(DbError::Unreadable(_)), part) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            (Err(error), _) => return Err(error),
        }
    }
    Ok(rows)
}
