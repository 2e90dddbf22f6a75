//! The one way to write: a transaction that ends as the fence demands.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use uuid::Uuid;

use super::deadline::{traced, within};
use crate::crd::Kind;
use crate::db::{Db, DbError, Epoch, Revision};

/// How long a write may take in all before its connection is given up.
pub(in crate::db) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a write answers: the closure's value, and the revision that made it visible, if anything
/// visible changed.
pub type WriteResult<T> = Result<(T, Option<Revision>), DbError>;

/// A write transaction. Its methods are in the tables' files; each compares before it writes, so
/// that what is already so takes no revision.
pub struct WriteTx {
    pub(in crate::db) tx: Transaction<'static, Postgres>,
    pub(in crate::db) changed: BTreeSet<(Kind, Uuid)>,
    pub(in crate::db) wrote: bool,
}

impl WriteTx {
    /// Notes a visible change of an object.
    pub(in crate::db) fn changed(&mut self, kind: Kind, uid: Uuid) {
        self.changed.insert((kind, uid));
    }

    /// Notes a write that readers of the feed do not see.
    pub(in crate::db) fn wrote(&mut self) {
        self.wrote = true;
    }
}

impl Db {
    /// As [`Db::write`], for what takes no revision (verdicts, probes, listed models), in a
    /// transaction of its own.
    ///
    /// # Errors
    ///
    /// As [`Db::write`]; [`DbError::Other`], and nothing written, if `f` changed something visible.
    pub async fn write_unversioned<T, F>(&self, epoch: Epoch, f: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut WriteTx) -> BoxFuture<'t, Result<T, DbError>> + Send + 'static,
    {
        let written = traced(
            "transaction",
            within(WRITE_TIMEOUT, async {
                let mut tx = self.begin(epoch).await?;
                let value = f(&mut tx).await?;
                if let Some((kind, uid)) = tx.changed.first() {
                    return Err(DbError::Other(format!(
                        "a write without a revision changed the {kind} {uid}"
                    )));
                }
                self.end(tx, epoch).await?;
                Ok(value)
            }),
        );
        self.noted(written.await)
    }

    /// The transaction carries its epoch in `application_name`, by which a new leader finds and
    /// ends the transactions of older ones.
    pub(in crate::db) async fn begin(&self, epoch: Epoch) -> Result<WriteTx, DbError> {
        let begin = format!(
            "BEGIN; SET LOCAL application_name = '{}{epoch}'",
            Db::LEADER
        );
        // Safe: a constant and a number.
        let tx = self.pool.begin_with(AssertSqlSafe(begin)).await?;
        Ok(WriteTx {
            tx,
            changed: BTreeSet::new(),
            wrote: false,
        })
    }

    pub(in crate::db) async fn end(
        &self,
        tx: WriteTx,
        epoch: Epoch,
    ) -> Result<Option<Revision>, DbError> {
        if !tx.changed.is_empty() {
            return self.end_with_revision(tx, epoch).await.map(Some);
        }
        let WriteTx { mut tx, wrote, .. } = tx;
        if wrote {
            sqlx::query_scalar!("SELECT epoch FROM feed WHERE epoch = $1 FOR SHARE", epoch.0)
                .fetch_optional(&mut *tx)
                .await?
                .ok_or(DbError::Fenced)?;
            tx.commit().await?;
        } else {
            tx.rollback().await?;
        }
        Ok(None)
    }

    /// One statement takes the revision, marks the rows with it, appends to the feed and notifies:
    /// the feed's row is locked for no longer than that and the commit.
    async fn end_with_revision(&self, tx: WriteTx, epoch: Epoch) -> Result<Revision, DbError> {
        let WriteTx {
            mut tx, changed, ..
        } = tx;
        let (kinds, uids): (Vec<String>, Vec<Uuid>) = changed
            .into_iter()
            .map(|(kind, uid)| (kind.as_str().to_owned(), uid))
            .unzip();
        let revision = sqlx::query_scalar!(
            r#"WITH next AS (
                   UPDATE feed SET revision = revision + 1 WHERE epoch = $1 RETURNING revision
               ), change AS (
                   SELECT kind, uid FROM unnest($2::text[], $3::uuid[]) AS c (kind, uid)
               ), marked_providers AS (
                   UPDATE providers t SET revision = next.revision FROM next, change c
                   WHERE c.kind = 'provider' AND t.uid = c.uid
               ), marked_endpoints AS (
                   UPDATE endpoints t SET revision = next.revision FROM next, change c
                   WHERE c.kind = 'endpoint' AND t.uid = c.uid
               ), marked_credentials AS (
                   UPDATE credentials t SET revision = next.revision FROM next, change c
                   WHERE c.kind = 'credential' AND t.uid = c.uid
               ), marked_models AS (
                   UPDATE models t SET revision = next.revision FROM next, change c
                   WHERE c.kind = 'model' AND t.uid = c.uid
               ), marked_model_classes AS (
                   UPDATE model_classes t SET revision = next.revision FROM next, change c
                   WHERE c.kind = 'modelclass' AND t.uid = c.uid
               ), appended AS (
                   INSERT INTO changes (revision, kind, uid)
                   SELECT next.revision, c.kind, c.uid FROM next, change c
               ), told AS (
                   SELECT pg_notify('llmplane_feed', next.revision::text) FROM next
               )
               SELECT next.revision FROM next, told"#,
            epoch.0,
            &kinds,
            &uids,
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(DbError::Fenced)?;
        // A database restored from a backup still knows this epoch, but not what was committed
        // since: going on would use revisions twice. A new leader raises them first.
        if revision <= self.committed.load(Ordering::Acquire) {
            return Err(DbError::Fenced);
        }
        tx.commit().await?;
        self.committed.fetch_max(revision, Ordering::AcqRel);
        Ok(Revision(revision))
    }
}
