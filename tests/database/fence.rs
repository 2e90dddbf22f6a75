//! Only the newest leader writes.

use futures::FutureExt;
use llmplane::db::{Db, DbError, DeclaredProvider, Epoch, UpsertedRow, WriteResult};
use sqlx::Row;
use tokio::sync::oneshot;

use crate::support::database::{TestDatabase, soon};
use crate::support::rows;

async fn store(db: &Db, epoch: Epoch, row: &DeclaredProvider) -> WriteResult<UpsertedRow> {
    let row = row.clone();
    db.write(epoch, |tx| async move { tx.upsert(&row).await }.boxed())
        .await
}

#[tokio::test]
async fn a_former_leader_writes_nothing() {
    let database = TestDatabase::migrated().await;
    let (former, old_epoch) = database.leader().await;
    let provider = rows::provider("kept");
    store(&former, old_epoch, &provider).await.unwrap();
    let endpoint = rows::endpoint(provider.uid, "e");
    let uid = endpoint.uid;
    let write = former.write(old_epoch, |tx| {
        async move { tx.upsert(&endpoint).await }.boxed()
    });
    write.await.unwrap();

    let (current, new_epoch) = database.leader().await;
    assert!(new_epoch > old_epoch);
    let before = current.feed_state().await.unwrap();

    let refused = store(&former, old_epoch, &rows::provider("late")).await;
    assert!(matches!(refused, Err(DbError::Fenced)), "{refused:?}");
    let verdict = rows::verdict(llmplane::crd::reasons::Reason::ProbeFailed, "late");
    let refused = former
        .write_unversioned(old_epoch, move |tx| {
            async move { tx.endpoint_verdict_set(uid, &verdict).await }.boxed()
        })
        .await;
    assert!(matches!(refused, Err(DbError::Fenced)), "{refused:?}");

    assert_eq!(current.feed_state().await.unwrap(), before);
    let rows = current.provider_rows_all(true).await.unwrap();
    assert_eq!(rows.len(), 1);
    let stored = current.endpoint_row(uid).await.unwrap().unwrap();
    assert_eq!(stored.found.verdict, None);
    store(&current, new_epoch, &rows::provider("next"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_paused_leaders_transaction_is_ended_and_its_locks_with_it() {
    let database = TestDatabase::migrated().await;
    let (former, old_epoch) = database.leader().await;
    let provider = rows::provider("contended");
    let mut changed = provider.clone();
    changed.description = Some("by the former leader".to_owned());
    store(&former, old_epoch, &provider).await.unwrap();

    let (written, has_written) = oneshot::channel();
    let (resume, resumed) = oneshot::channel::<()>();
    let paused = tokio::spawn(async move {
        former
            .write(old_epoch, move |tx| {
                async move {
                    tx.upsert(&changed).await?;
                    written.send(()).unwrap();
                    resumed.await.unwrap();
                    Ok(())
                }
                .boxed()
            })
            .await
    });
    soon(has_written).await.unwrap();

    let (current, epoch) = soon(database.leader()).await;
    let mut taken_over = provider.clone();
    taken_over.description = Some("by the new leader".to_owned());
    soon(store(&current, epoch, &taken_over)).await.unwrap();
    resume.send(()).unwrap();

    assert!(soon(paused).await.unwrap().is_err());
    let row = current.provider_row(provider.uid).await.unwrap().unwrap();
    assert_eq!(row.description.as_deref(), Some("by the new leader"));
}

#[tokio::test]
async fn leading_raises_the_revision_to_the_clock() {
    let database = TestDatabase::migrated().await;
    let before = jiff::Timestamp::now().as_millisecond();

    let (db, epoch) = database.leader().await;
    let state = db.feed_state().await.unwrap();
    assert_eq!(state.epoch, epoch);
    assert!(state.revision.0 >= before, "{state:?}");

    let (_, revision) = store(&db, epoch, &rows::provider("a")).await.unwrap();
    assert_eq!(revision.unwrap().0, state.revision.0 + 1);
}

#[tokio::test]
async fn a_leader_that_outlived_a_restore_is_fenced() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    store(&db, epoch, &rows::provider("a")).await.unwrap();
    store(&db, epoch, &rows::provider("b")).await.unwrap();
    let mut owner = database.connect("llmplane_owner").await;
    sqlx::query("UPDATE feed SET revision = revision - 1")
        .execute(&mut owner)
        .await
        .unwrap();

    let refused = store(&db, epoch, &rows::provider("c")).await;
    assert!(matches!(refused, Err(DbError::Fenced)), "{refused:?}");
}

#[tokio::test]
async fn a_visible_change_cannot_go_without_a_revision() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = rows::provider("hidden");

    let refused = db
        .write_unversioned(epoch, |tx| {
            async move { tx.upsert(&provider).await }.boxed()
        })
        .await;
    assert!(matches!(refused, Err(DbError::Other(_))), "{refused:?}");
    assert_eq!(db.provider_rows_all(true).await.unwrap(), []);
}

#[tokio::test]
async fn idle_transactions_are_ended_after_five_seconds() {
    let database = TestDatabase::migrated().await;
    let db = database.controller().await;
    let timeout: String = sqlx::query("SHOW idle_in_transaction_session_timeout")
        .fetch_one(db.pool())
        .await
        .unwrap()
        .get(0);
    assert_eq!(timeout, "5s");
}

#[tokio::test]
async fn another_cluster_is_refused_unless_it_adopts() {
    let database = TestDatabase::migrated().await;
    let db = database.controller().await;
    db.cluster_claim("cluster-a", false).await.unwrap();
    db.cluster_claim("cluster-a", false).await.unwrap();

    let refused = db.cluster_claim("cluster-b", false).await;
    assert!(
        matches!(&refused, Err(DbError::OtherCluster { recorded, .. }) if recorded == "cluster-a"),
        "{refused:?}"
    );

    db.cluster_claim("cluster-b", true).await.unwrap();
    let state = db.feed_state().await.unwrap();
    assert_eq!(state.cluster_uid.as_deref(), Some("cluster-b"));
}
