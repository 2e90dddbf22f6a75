//! Readers see every change, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use llmplane::db::{
    Changes, Db, DbError, Epoch, FeedListener, Revision, UpsertedRow, Woken, WriteTx,
};
use sqlx::Row;

use crate::support::database::{TestDatabase, soon};
use crate::support::rows;

async fn store(db: &Db, epoch: Epoch, name: &str) -> Revision {
    let row = rows::provider(name);
    let (_, revision) = db
        .write(epoch, |tx| async move { tx.upsert(&row).await }.boxed())
        .await
        .unwrap();
    revision.unwrap()
}

async fn compact(db: &Db, epoch: Epoch, keep: Duration) -> Result<u64, DbError> {
    db.write_unversioned(epoch, move |tx| {
        tx.changes_compact(keep, 1_000_000, 1000).boxed()
    })
    .await
}

#[tokio::test]
async fn revisions_become_visible_in_order_under_concurrent_writers() {
    const WRITERS: usize = 12;
    const WRITES: usize = 25;
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let start = db.feed_state().await.unwrap().revision;

    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        // Connections of their own, so that the order is the database's doing.
        let db = database.controller().await;
        writers.spawn(async move {
            let mut revisions = BTreeSet::new();
            for write in 0..WRITES {
                revisions.insert(store(&db, epoch, &format!("p-{writer}-{write}")).await);
            }
            revisions
        });
    }

    let reader = database.api().await;
    let (mut seen, mut newest) = (Vec::new(), start);
    let mut names = BTreeSet::new();
    let mut position = start;
    soon(async {
        while seen.len() < WRITERS * WRITES {
            let fresh: Vec<i64> =
                sqlx::query("SELECT revision FROM changes WHERE revision > $1 ORDER BY revision")
                    .bind(newest.0)
                    .fetch_all(reader.pool())
                    .await
                    .unwrap()
                    .iter()
                    .map(|row| row.get(0))
                    .collect();
            newest = fresh.last().map_or(newest, |last| Revision(*last));
            seen.extend(fresh);
            let Changes::Rows { rows, to } = reader.read_changes(position).await.unwrap() else {
                panic!("the feed still holds {position}");
            };
            assert!(rows.providers.iter().all(|row| row.revision <= to.0));
            names.extend(rows.providers.into_iter().map(|row| row.name.clone()));
            position = to;
        }
    })
    .await;

    let taken: BTreeSet<Revision> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), WRITERS * WRITES, "no revision is used twice");
    let seen: Vec<Revision> = seen.into_iter().map(Revision).collect();
    let expected: Vec<Revision> = taken.into_iter().collect();
    assert_eq!(seen, expected, "none became visible after a later one");
    let Changes::Rows { rows, .. } = reader.read_changes(position).await.unwrap() else {
        panic!("the feed still holds {position}");
    };
    names.extend(rows.providers.into_iter().map(|row| row.name.clone()));
    assert_eq!(names.len(), WRITERS * WRITES);
}

#[tokio::test]
async fn what_is_already_so_takes_no_revision() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = rows::provider("p");
    let endpoint = rows::endpoint(provider.uid, "e");
    let credential = rows::credential(provider.uid, "c");
    let model = rows::model(provider.uid, "m");
    let store_all = || {
        let all = (
            provider.clone(),
            endpoint.clone(),
            credential.clone(),
            model.clone(),
        );
        db.write(epoch, |tx| {
            async move {
                Ok([
                    tx.upsert(&all.0).await?,
                    tx.upsert(&all.1).await?,
                    tx.upsert(&all.2).await?,
                    tx.upsert(&all.3).await?,
                ])
            }
            .boxed()
        })
    };

    let (changed, revision) = store_all().await.unwrap();
    assert!(changed.iter().all(|stored| stored.changed));
    let first = db.read_all().await.unwrap();
    assert_eq!(revision, Some(first.revision), "they share one revision");

    let (changed, revision) = store_all().await.unwrap();
    assert_eq!((changed, revision), (Default::default(), None));
    assert_eq!(db.read_all().await.unwrap(), first);
}

#[tokio::test]
async fn a_notification_wakes_the_listener_and_a_lost_connection_is_made_anew() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let mut listener = FeedListener::new(&database.api().await);
    assert_eq!(soon(listener.next()).await, Woken::Connected);

    let revision = store(&db, epoch, "a").await;
    assert_eq!(soon(listener.next()).await, Woken::Told(revision));

    let mut superuser = database.connect("postgres").await;
    let ended = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = $1 AND query LIKE 'LISTEN%'",
    )
    .bind(&database.name)
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(soon(listener.next()).await, Woken::Connected);
    let revision = store(&db, epoch, "b").await;
    assert_eq!(soon(listener.next()).await, Woken::Told(revision));
}

#[tokio::test]
async fn a_reader_behind_the_compaction_reads_everything_again() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let first = store(&db, epoch, "a").await;
    let last = store(&db, epoch, "b").await;
    let kept = compact(&db, epoch, Duration::from_secs(3600)).await;
    assert_eq!(kept.unwrap(), 0, "nothing is an hour old");

    let forgotten = compact(&db, epoch, Duration::ZERO).await.unwrap();
    assert!(forgotten >= 2, "{forgotten}");
    assert_eq!(db.read_changes(first).await.unwrap(), Changes::Reset);
    let Changes::Rows { rows, to } = db.read_changes(last).await.unwrap() else {
        panic!("the newest revision is always held");
    };
    assert_eq!((rows.providers.len(), to), (0, last));
}

#[tokio::test]
async fn who_comes_back_is_told_which_objects_changed_if_they_are_not_too_many() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let first = store(&db, epoch, "a").await;
    store(&db, epoch, "b").await;
    let third = store(&db, epoch, "c").await;
    let last = store(&db, epoch, "d").await;
    let api = database.api().await;
    let names = async |from, to, at_most| {
        let objects = api.changed_objects(from, to, at_most).await.unwrap()?;
        let places = objects.into_iter().map(|object| object.place.unwrap().1);
        Some(places.collect::<BTreeSet<_>>())
    };
    let some = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    assert_eq!(names(first, third, 2).await, some(&["b", "c"]));
    assert_eq!(names(first, last, 2).await, None, "there are three");
    assert_eq!(names(last, last, 2).await, some(&[]));
    let never = Revision(last.0 + 100);
    assert_eq!(names(first, never, 9).await, None);
    assert_eq!(names(Revision(12_345), last, 9).await, None);
    compact(&db, epoch, Duration::ZERO).await.unwrap();
    assert_eq!(names(first, last, 9).await, None);
}

#[tokio::test]
async fn a_reader_of_another_history_reads_everything_again() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let revision = store(&db, epoch, "a").await;
    for unknown in [Revision(revision.0 + 100), Revision(12_345)] {
        assert_eq!(db.read_changes(unknown).await.unwrap(), Changes::Reset);
    }
}

#[tokio::test]
async fn a_reader_follows_a_change_of_leader_without_a_reset() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let before = store(&db, epoch, "a").await;
    let (db, epoch) = database.leader().await;

    let Changes::Rows { rows, to } = db.read_changes(before).await.unwrap() else {
        panic!("the feed holds {before}");
    };
    assert!(rows.providers.is_empty() && to > before);
    store(&db, epoch, "b").await;
    let Changes::Rows { rows, .. } = db.read_changes(to).await.unwrap() else {
        panic!("the feed holds {to}");
    };
    assert_eq!(rows.providers.len(), 1);
}

#[tokio::test]
async fn writes_that_queue_share_a_revision_and_a_bad_one_fails_alone() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let first = db.write(epoch, move |_: &mut WriteTx| {
        async move {
            begun.send(()).unwrap();
            finished.await.unwrap();
            Ok(())
        }
        .boxed()
    });
    let mut first = Box::pin(first);
    assert!(futures::poll!(&mut first).is_pending());
    soon(has_begun).await.unwrap();

    let same = rows::provider("same");
    let queued = (0..10).map(|n| {
        let mut row = rows::provider(&format!("p-{n}"));
        if n == 4 {
            row.description = Some("\0".to_owned());
        }
        if n > 7 {
            row = same.clone();
        }
        db.write(epoch, |tx| async move { tx.upsert(&row).await }.boxed())
    });
    let queued: Vec<_> = queued.collect();
    // Every write is in the queue once it was polled; the first still holds the turn.
    let mut queued = futures::future::join_all(queued);
    assert!(futures::poll!(&mut queued).is_pending());
    finish.send(()).unwrap();
    assert_eq!(soon(first).await.unwrap(), ((), None));
    let outcomes = soon(queued).await;

    assert!(matches!(outcomes[4], Err(DbError::Unstorable(_))));
    let good: Vec<_> = outcomes.into_iter().filter_map(Result::ok).collect();
    assert_eq!(good.len(), 9);
    let revisions: BTreeSet<_> = good.iter().filter_map(|(_, revision)| *revision).collect();
    assert_eq!(revisions.len(), 1, "{good:?}");
    assert_eq!(good[8], (UpsertedRow::default(), None), "it was already so");
    assert_eq!(db.read_all().await.unwrap().rows.providers.len(), 8);
}

#[tokio::test]
async fn the_feed_is_cut_at_its_length_too_oldest_first_a_batch_at_a_time() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let mut revisions = Vec::new();
    for n in 0..6 {
        revisions.push(store(&db, epoch, &format!("p-{n}")).await);
    }
    let cut = async |batch| {
        let day = Duration::from_secs(86_400);
        db.write_unversioned(epoch, move |tx| tx.changes_compact(day, 3, batch).boxed())
            .await
            .unwrap()
    };
    assert_eq!(cut(1).await, 1);
    while cut(2).await > 0 {}
    for (n, revision) in revisions.into_iter().enumerate() {
        let held = db.read_changes(revision).await.unwrap() != Changes::Reset;
        assert_eq!(held, n >= 3, "{n}");
    }
}

#[tokio::test]
async fn a_transaction_that_took_long_leaves_no_hole_in_the_feed() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let (first, slow) = (store(&db, epoch, "p").await, store(&db, epoch, "q").await);
    // It began long before the one whose revision comes before its own.
    let mut owner = database.connect("llmplane_owner").await;
    sqlx::query("UPDATE changes SET changed_at = now() - interval '2 days' WHERE revision = $1")
        .bind(slow.0)
        .execute(&mut owner)
        .await
        .unwrap();
    store(&db, epoch, "r").await;
    compact(&db, epoch, Duration::from_secs(86_400))
        .await
        .unwrap();
    let Changes::Rows { rows, .. } = db.read_changes(first).await.unwrap() else {
        panic!("the feed still holds {first}");
    };
    let names: Vec<_> = rows.providers.iter().map(|row| &*row.name).collect();
    assert_eq!(names, ["q", "r"]);
}
