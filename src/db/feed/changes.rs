//! The change feed as its readers see it.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::crd::Kind;
use crate::db::tables::readable::readable;
use crate::db::tables::{credential_versions, live, object};
use crate::db::transactions::deadline::within;
use crate::db::{
    CredentialRow, CredentialVersionRow, Db, DbError, EndpointRow, ModelClassRow, ModelRow,
    ProviderRow, Revision, WriteTx,
};

/// How long reading everything may take.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long reading what changed may take.
const CHANGES_TIMEOUT: Duration = Duration::from_secs(5);

/// The rows of a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangedRows {
    /// Providers.
    pub providers: Vec<ProviderRow>,
    /// Endpoints.
    pub endpoints: Vec<EndpointRow>,
    /// Credentials.
    pub credentials: Vec<CredentialRow>,
    /// All versions of the credentials above.
    pub credential_versions: Vec<CredentialVersionRow>,
    /// Models.
    pub models: Vec<ModelRow>,
    /// Model classes.
    pub model_classes: Vec<ModelClassRow>,
    /// Objects whose rows this binary cannot read: they are in none of the above.
    pub unreadable: Vec<(Kind, Uuid)>,
}

/// Everything that is live.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The live rows.
    pub rows: ChangedRows,
    /// The revision that they are of.
    pub revision: Revision,
}

/// What happened since a revision.
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// The objects that changed, as they are now; a deleted one has its `deleted_at` set.
    Rows {
        /// The rows, each at most once.
        rows: Box<ChangedRows>,
        /// The revision that they are of.
        to: Revision,
    },
    /// The feed does not hold that revision (compaction, a restore, another database): read
    /// everything again.
    Reset,
}

/// An object that changed between two revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedObject {
    /// Which kind.
    pub kind: Kind,
    /// Its UID.
    pub uid: Uuid,
    /// Its namespace and name; none where no row says them any more.
    pub place: Option<(String, String)>,
}

impl Db {
    /// Everything that is live, of one moment.
    pub async fn read_all(&self) -> Result<Snapshot, DbError> {
        within(WHOLE_TIMEOUT, async {
            let mut tx = self.moment().await?;
            let revision = newest(&mut tx).await?;
            let rows = match all(&mut tx).await {
                Err(DbError::Unreadable(_)) => all_readable(&mut tx).await?,
                rows => rows?,
            };
            tx.rollback().await?;
            Ok(Snapshot { rows, revision })
        })
        .await
    }

    /// The objects that changed after `from`, of one moment.
    pub async fn read_changes(&self, from: Revision) -> Result<Changes, DbError> {
        within(CHANGES_TIMEOUT, self.changes_of_a_moment(from)).await
    }

    /// Which objects changed after `from` and up to `to`, each once; none where the feed does not hold both,
    /// or where there are more than `at_most`. For the API's account.
    pub async fn changed_objects(
        &self,
        from: Revision,
        to: Revision,
        at_most: usize,
    ) -> Result<Option<Vec<ChangedObject>>, DbError> {
        self.in_time(async {
            let rows = sqlx::query!(
                r#"SELECT EXISTS (SELECT FROM changes WHERE revision = $1)
                       AND EXISTS (SELECT FROM changes WHERE revision = $2) AS "whole!",
                       c.kind AS "kind?: Kind", c.uid AS "uid?", CASE c.kind
                           WHEN 'provider' THEN (SELECT ARRAY[namespace, name] FROM providers o WHERE o.uid = c.uid)
                           WHEN 'endpoint' THEN (SELECT ARRAY[namespace, name] FROM endpoints o WHERE o.uid = c.uid)
                           WHEN 'credential' THEN (SELECT ARRAY[namespace, name] FROM credentials o WHERE o.uid = c.uid)
                           WHEN 'model' THEN (SELECT ARRAY[namespace, name] FROM models o WHERE o.uid = c.uid)
                           WHEN 'modelclass' THEN (SELECT ARRAY[namespace, name] FROM model_classes o WHERE o.uid = c.uid)
                       END AS place
                   FROM feed LEFT JOIN (
                       SELECT DISTINCT kind, uid FROM changes
                       WHERE revision > $1 AND revision <= $2 AND kind <> 'feed' LIMIT $3
                   ) c ON true"#,
                from.0,
                to.0,
                i64::try_from(at_most).unwrap_or(i64::MAX).saturating_add(1),
            )
            .fetch_all(&self.pool)
            .await?;
            let mut objects = Vec::new();
            for row in rows {
                if !row.whole {
                    return Ok(None);
                }
                if let (Some(kind), Some(uid)) = (row.kind, row.uid) {
                    let place = row.place.and_then(|place| place.try_into().ok());
                    let place = place.map(|[namespace, name]: [String; 2]| (namespace, name));
                    objects.push(ChangedObject { kind, uid, place });
                }
            }
            Ok((objects.len() <= at_most).then_some(objects))
        })
        .await
    }

    async fn changes_of_a_moment(&self, from: Revision) -> Result<Changes, DbError> {
        let mut tx = self.moment().await?;
        let Changed { to, whole, uids } = changed(&mut tx, from).await?;
        if !whole {
            return Ok(Changes::Reset);
        }
        let rows = of(&mut tx, &uids).await?;
        tx.rollback().await?;
        Ok(Changes::Rows {
            rows: Box::new(rows),
            to,
        })
    }

    /// The API's account has a timeout that suits single rows; everything takes longer.
    async fn moment(&self) -> Result<Transaction<'static, Postgres>, DbError> {
        Ok(self
            .pool
            .begin_with(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'",
            )
            .await?)
    }
}

impl WriteTx {
    /// Forgets the changes of revisions that came before the first one of the last `keep`, and
    /// before the newest `most` changes, but never the newest revision; about `batch` changes at
    /// once. Answers how many: where there are some, there may be more. Readers that are further
    /// behind read everything again.
    ///
    /// It is always the oldest revisions that go, whole, so that a reader who finds his own
    /// revision finds every later one too.
    pub async fn changes_compact(
        &mut self,
        keep: Duration,
        most: i64,
        batch: i64,
    ) -> Result<u64, DbError> {
        let keep = PgInterval::try_from(Duration::from_secs(keep.as_secs()))
            .map_err(|error| DbError::Other(error.to_string()))?;
        let forgotten = sqlx::query!(
            r#"WITH kept AS (
                   SELECT least(feed.revision, greatest(
                       coalesce((SELECT min(revision) FROM changes WHERE changed_at >= now() - $1::interval),
                                feed.revision),
                       coalesce((SELECT revision FROM changes ORDER BY revision DESC OFFSET $2::bigint - 1 LIMIT 1), 0)
                   )) AS first FROM feed
               ), oldest AS (
                   SELECT revision FROM changes, kept WHERE revision < kept.first ORDER BY revision LIMIT $3
               )
               DELETE FROM changes WHERE revision <= (SELECT max(revision) FROM oldest)"#,
            keep,
            most,
            batch,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected();
        if forgotten > 0 {
            self.wrote();
        }
        Ok(forgotten)
    }
}

async fn all(connection: &mut PgConnection) -> Result<ChangedRows, DbError> {
    Ok(ChangedRows {
        providers: object::all(connection, false).await?,
        endpoints: object::all(connection, false).await?,
        credentials: object::all(connection, false).await?,
        credential_versions: credential_versions::all_live(connection).await?,
        models: object::all(connection, false).await?,
        model_classes: object::all(connection, false).await?,
        unreadable: Vec::new(),
    })
}

async fn all_readable(connection: &mut PgConnection) -> Result<ChangedRows, DbError> {
    let mut uids = Uids::default();
    for kind in Kind::ALL {
        let live = live::live(connection, kind, None).await?;
        uids[kind as usize] = live.into_iter().map(|object| object.uid).collect();
    }
    of(connection, &uids).await
}

/// The rows of these objects, deleted or not; of a moment, where the connection reads one.
pub(in crate::db) async fn of(
    connection: &mut PgConnection,
    [providers, endpoints, credentials, models, model_classes]: &Uids,
) -> Result<ChangedRows, DbError> {
    let mut left_out = Vec::new();
    macro_rules! rows {
        ($kind:ident, $read:path, $uids:expr) => {
            readable(
                connection,
                Kind::$kind,
                $uids,
                |connection, uids| Box::pin($read(connection, uids)),
                &mut left_out,
            )
            .await?
        };
    }
    let mut rows = ChangedRows {
        providers: rows!(Provider, object::by_uid, providers),
        endpoints: rows!(Endpoint, object::by_uid, endpoints),
        credentials: rows!(Credential, object::by_uid, credentials),
        credential_versions: Vec::new(),
        models: rows!(Model, object::by_uid, models),
        model_classes: rows!(ModelClass, object::by_uid, model_classes),
        unreadable: Vec::new(),
    };
    let credentials: Vec<Uuid> = rows.credentials.iter().map(|row| row.uid).collect();
    rows.credential_versions = rows!(Credential, credential_versions::of, &credentials);
    // Without its versions a credential would look as if it had no key.
    rows.credentials
        .retain(|row| !left_out.contains(&(Kind::Credential, row.uid)));
    rows.unreadable = left_out;
    Ok(rows)
}

async fn newest(connection: &mut PgConnection) -> Result<Revision, DbError> {
    let revision = sqlx::query_scalar!("SELECT revision FROM feed")
        .fetch_one(connection)
        .await?;
    Ok(Revision(revision))
}

/// UIDs by kind, in the order of [`Kind::ALL`].
pub(in crate::db) type Uids = [Vec<Uuid>; Kind::ALL.len()];

/// What changed after a revision.
struct Changed {
    /// The newest revision.
    to: Revision,
    /// Whether the feed still holds the revision that was asked for, and so all later ones.
    whole: bool,
    uids: Uids,
}

async fn changed(connection: &mut PgConnection, from: Revision) -> Result<Changed, DbError> {
    let rows = sqlx::query!(
        r#"SELECT feed.revision, EXISTS (SELECT FROM changes WHERE revision = $1) AS "whole!",
                  c.kind AS "kind?: Kind", c.uid AS "uid?"
           FROM feed LEFT JOIN (
               SELECT DISTINCT kind, uid FROM changes WHERE revision > $1 AND kind <> 'feed'
           ) c ON true"#,
        from.0,
    )
    .fetch_all(connection)
    .await?;
    let mut changed = Changed {
        to: from,
        whole: false,
        uids: Default::default(),
    };
    for row in rows {
        (changed.to, changed.whole) = (Revision(row.revision), row.whole);
        if let (Some(kind), Some(uid)) = (row.kind, row.uid) {
            changed.uids[kind as usize].push(uid);
        }
    }
    Ok(changed)
}
