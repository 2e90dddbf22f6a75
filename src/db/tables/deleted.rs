//! Rows that are marked as deleted, until they are purged. Nobody holds them in memory: they are
//! read a page at a time, by indices of deleted rows alone.

use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::crd::Kind;
use crate::db::feed::changes::{self, ChangedRows, Uids};
use crate::db::{Db, DbError};

/// Comes after every namespace and name, which are of lower-case letters, digits, `-` and `.`.
const LAST: &str = "~";

/// Where a row stands in the order of namespace, name and UID, all by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowPlace {
    /// The object's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Uuid,
}

/// Which deleted rows.
#[derive(Clone, Debug)]
pub struct DeletedRange {
    after: RowPlace,
    /// The last namespace, and the last name in it.
    to: (String, String),
    provider: Option<Uuid>,
}

impl DeletedRange {
    /// Those of all namespaces.
    pub fn everywhere() -> Self {
        Self::between(("", ""), (LAST, LAST))
    }

    /// Those of a namespace.
    pub fn of_namespace(namespace: &str) -> Self {
        Self::between((namespace, ""), (namespace, LAST))
    }

    /// Those that had this name.
    pub fn of_name(namespace: &str, name: &str) -> Self {
        Self::between((namespace, name), (namespace, name))
    }

    /// Those of a provider among them, where there is one to say. A provider is no provider's, nor is a class.
    pub fn of_provider(self, provider: Option<Uuid>) -> Self {
        Self { provider, ..self }
    }

    /// Those behind this place among them.
    pub fn behind(self, place: RowPlace) -> Self {
        let after = self.after.max(place);
        Self { after, ..self }
    }

    fn between((namespace, name): (&str, &str), (to_namespace, to_name): (&str, &str)) -> Self {
        Self {
            after: RowPlace {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                // Before every UID.
                uid: Uuid::nil(),
            },
            to: (to_namespace.to_owned(), to_name.to_owned()),
            provider: None,
        }
    }
}

/// Deleted rows of a range, from its beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletedRows {
    /// The rows, in no order.
    pub rows: ChangedRows,
    /// How far the range was read; none where that is to its end.
    pub reached: Option<RowPlace>,
}

impl Db {
    /// The first `at_most` deleted rows of a kind in a range, of one moment.
    pub async fn deleted_rows(
        &self,
        kind: Kind,
        range: &DeletedRange,
        at_most: usize,
    ) -> Result<DeletedRows, DbError> {
        self.in_time(async {
            let mut tx = self.begin_reading().await?;
            let mut places = places(&mut tx, kind, range, at_most).await?;
            let more = places.len() > at_most;
            places.truncate(at_most);
            let rows = rows_of(&mut tx, kind, places.iter().map(|place| place.uid)).await?;
            tx.rollback().await?;
            let reached = places.pop().filter(|_| more);
            Ok(DeletedRows { rows, reached })
        })
        .await
    }

    /// Of the objects of this name the one that was deleted last, of one moment; nothing where none
    /// was.
    pub async fn deleted_row_of_name(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<ChangedRows, DbError> {
        self.in_time(async {
            let mut tx = self.begin_reading().await?;
            let uid = last_of_name(&mut tx, kind, namespace, name).await?;
            let rows = rows_of(&mut tx, kind, uid).await?;
            tx.rollback().await?;
            Ok(rows)
        })
        .await
    }

    /// An object, deleted or not, of one moment.
    pub async fn object_row(&self, kind: Kind, uid: Uuid) -> Result<ChangedRows, DbError> {
        self.in_time(async {
            let mut tx = self.begin_reading().await?;
            let rows = rows_of(&mut tx, kind, [uid]).await?;
            tx.rollback().await?;
            Ok(rows)
        })
        .await
    }

    /// Everything that is read in it is of one moment: a credential has the versions that belong to
    /// it.
    async fn begin_reading(&self) -> Result<Transaction<'static, Postgres>, DbError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(self.pool.begin_with(begin).await?)
    }
}

async fn rows_of(
    connection: &mut PgConnection,
    kind: Kind,
    wanted: impl IntoIterator<Item = Uuid>,
) -> Result<ChangedRows, DbError> {
    let mut uids = Uids::default();
    uids[kind as usize].extend(wanted);
    changes::of(connection, &uids).await
}

/// One more than asked for, if there are: that tells whether this is the end.
async fn places(
    connection: &mut PgConnection,
    kind: Kind,
    range: &DeletedRange,
    at_most: usize,
) -> Result<Vec<RowPlace>, DbError> {
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX).saturating_add(1);
    let DeletedRange {
        after,
        to,
        provider,
    } = range;
    macro_rules! places {
        ($table:literal $(, $of_provider:literal, $provider:expr)?) => {
            sqlx::query_as!(
                RowPlace,
                "SELECT namespace, name, uid FROM "
                    + $table
                    + r#" WHERE deleted_at IS NOT NULL
                            AND (namespace COLLATE "C", name COLLATE "C", uid) > ($1, $2, $3)
                            AND (namespace COLLATE "C", name COLLATE "C") <= ($4, $5)"#
                    $(+ $of_provider)?
                    + r#" ORDER BY namespace COLLATE "C", name COLLATE "C", uid LIMIT $6"#,
                after.namespace,
                after.name,
                after.uid,
                to.0,
                to.1,
                limit,
                $($provider,)?
            )
            .fetch_all(connection)
            .await?
        };
    }
    Ok(match (kind, provider) {
        (Kind::Provider, _) => places!("providers"),
        (Kind::Endpoint, None) => places!("endpoints"),
        (Kind::Endpoint, Some(uid)) => places!("endpoints", " AND provider_uid = $7", uid),
        (Kind::Credential, None) => places!("credentials"),
        (Kind::Credential, Some(uid)) => places!("credentials", " AND provider_uid = $7", uid),
        (Kind::Model, None) => places!("models"),
        (Kind::Model, Some(uid)) => places!("models", " AND provider_uid = $7", uid),
        (Kind::ModelClass, _) => places!("model_classes"),
    })
}

async fn last_of_name(
    connection: &mut PgConnection,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<Option<Uuid>, DbError> {
    macro_rules! last_of_name {
        ($table:literal) => {
            sqlx::query_scalar!(
                "SELECT uid FROM "
                    + $table
                    + r#" WHERE deleted_at IS NOT NULL
                            AND namespace COLLATE "C" = $1 AND name COLLATE "C" = $2
                            ORDER BY deleted_at DESC, uid DESC LIMIT 1"#,
                namespace,
                name,
            )
            .fetch_optional(connection)
            .await?
        };
    }
    Ok(match kind {
        Kind::Provider => last_of_name!("providers"),
        Kind::Endpoint => last_of_name!("endpoints"),
        Kind::Credential => last_of_name!("credentials"),
        Kind::Model => last_of_name!("models"),
        Kind::ModelClass => last_of_name!("model_classes"),
    })
}
