//! Coming back behind what was heard: from memory, from PostgreSQL, or anew.

use futures::FutureExt;
use llmplane::crd::Kind;
use sqlx::{Connection, Executor};

use super::{follow, names, open, watcher};
use crate::support::api::{TestApi, models};
use crate::support::events::{Events, Held};
use crate::support::process::{Process, viewer};
use crate::support::rows;
use crate::support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_behind_each_of_its_ids() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let mut revisions = vec![watcher.get("/models").await.revision()];
    for name in ["a", "b", "c", "d"] {
        let at = api.write(models(vec![api.model(provider, name)])).await;
        revisions.push(at.0);
    }
    for (heard, revision) in revisions.iter().enumerate() {
        let id = revision.to_string();
        let mut by_header = open(&api, &watcher.token, "", Some(&id)).await;
        let query = format!("?last_event_id={id}");
        let mut by_query = open(&api, &watcher.token, &query, None).await;
        // The header counts: an EventSource sends both.
        let old = format!("?last_event_id={}", revisions[0]);
        let mut by_both = open(&api, &watcher.token, &old, Some(&id)).await;
        for name in &["a", "b", "c", "d"][heard..] {
            for events in [&mut by_header, &mut by_query, &mut by_both] {
                let told = events.change().await.unwrap();
                assert_eq!(
                    (&*told.name, &told.data["name"]),
                    ("upsert", &(*name).into())
                );
            }
        }
    }
}

/// An API process and a token; rows are written by the test.
async fn process(world: &World, settings: &[(&str, &str)]) -> (Process, String) {
    let api = Process::api(world, settings);
    api.ready().await;
    (api, viewer(world).await)
}

async fn open_at(api: &Process, token: &str, last_id: Option<&str>) -> Events {
    let request = api.request(reqwest::Method::GET, token, "/watch");
    Events::open(match last_id {
        Some(id) => request.header("last-event-id", id),
        None => request,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_loses_nothing_where_the_replica_and_postgresql_restart() {
    let world = World::new("comeback").await;
    let (db, epoch) = world.database.leader().await;
    let mut provider = rows::provider("p");
    provider.namespace = world.ns().to_owned();
    let provider_uid = provider.uid;
    let store = async |names: &[&str], deleted: Vec<uuid::Uuid>| {
        let mut stored = Vec::new();
        for name in names {
            let mut row = rows::model(provider_uid, name);
            row.namespace = world.ns().to_owned();
            stored.push(row);
        }
        let uids: Vec<_> = stored.iter().map(|row| row.uid).collect();
        let write = db.write(epoch, move |tx| {
            async move {
                tx.soft_delete(Kind::Model, &deleted).await?;
                for row in &stored {
                    tx.upsert(row).await?;
                }
                Ok(())
            }
            .boxed()
        });
        let (_, at) = write.await.unwrap();
        (uids, at.unwrap().0)
    };
    db.write(epoch, move |tx| {
        async move { tx.upsert(&provider).await.map(drop) }.boxed()
    })
    .await
    .unwrap();
    let (mut api, token) = process(&world, &[]).await;
    let mut held = Held::default();
    let mut events = open_at(&api, &token, None).await;
    let (uids, at) = store(&["a", "b"], Vec::new()).await;
    follow(&mut events, &mut held, at).await;
    assert_eq!(held.names("LlmModel"), ["a", "b"]);

    api.kill().await;
    assert_eq!(events.until_end().await, []);
    let (_, at) = store(&["c", "d"], vec![uids[0]]).await;
    let (api, _) = (Process::api(&world, &[]), ());
    api.ready().await;
    let mut events = open_at(&api, &token, events.last_id.as_deref()).await;
    let told = events.until_id().await;
    assert_eq!(
        names(&told),
        ["delete", "upsert", "upsert"],
        "from PostgreSQL"
    );
    told.iter().for_each(|event| held.apply(event));
    assert_eq!(held.names("LlmModel"), ["b", "c", "d"]);
    assert_eq!(events.last_id.as_deref(), Some(&*at.to_string()));

    // Every session of PostgreSQL ends, as in its restart; the stream goes on.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = $1 AND pid <> pg_backend_pid()";
    let url = &world.database.superuser_url;
    let mut superuser = sqlx::PgConnection::connect(url).await.unwrap();
    let end = sqlx::query(end).bind(&world.database.name);
    end.execute(&mut superuser).await.unwrap();
    let mut stored = None;
    for _ in 0..50 {
        let row = {
            let mut row = rows::model(provider_uid, "e");
            row.namespace = world.ns().to_owned();
            row
        };
        let write = db.write(epoch, move |tx| {
            async move { tx.upsert(&row).await.map(drop) }.boxed()
        });
        if let Ok((_, at)) = write.await {
            stored = at;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let at = stored.expect("PostgreSQL takes rows again").0;
    follow(&mut events, &mut held, at).await;
    assert_eq!(held.names("LlmModel"), ["b", "c", "d", "e"]);
}

/// Else it would know only at the next heartbeat that it holds what is there.
#[tokio::test(flavor = "multi_thread")]
async fn who_missed_nothing_hears_so_at_once() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let at = api.write(models(vec![api.model(provider, "a")])).await;
    let id = at.to_string();
    let mut before = open(&api, &watcher.token, "", None).await;
    before.until_id().await;
    let mut back = open(&api, &watcher.token, "", Some(&id)).await;
    // One that was opened earlier has its heartbeat first, where both come at their time.
    let told = tokio::select! {
        told = back.next() => told.expect("the stream goes on"),
        told = before.next() => panic!("not at once, but after {told:?}"),
    };
    assert_eq!((&*told.name, told.id.as_deref()), ("heartbeat", Some(&*id)));
    // And once: what happens is told as ever.
    api.write(models(vec![api.model(provider, "b")])).await;
    let told = back.next().await.expect("the stream goes on");
    assert_eq!((&*told.name, &told.data["name"]), ("upsert", &"b".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_any_more_begins_anew() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let known = api.write(models(vec![api.model(provider, "a")])).await;
    // Of another database, or of the future; and a revision that there never was.
    for id in [1, known.0 - 100, known.0 + 1_000_000] {
        let mut events = open(&api, &watcher.token, "", Some(&id.to_string())).await;
        let told = events.until_id().await;
        assert_eq!(
            names(&told),
            ["reset", "upsert", "upsert", "heartbeat"],
            "{id}"
        );
        assert_eq!(events.last_id.as_deref(), Some(&*known.0.to_string()));
    }
}

/// Whoever has forgotten everything, and then was cut off, holds nothing that could be gone on with.
#[tokio::test(flavor = "multi_thread")]
async fn what_broke_off_while_it_began_anew_begins_anew() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let known = api.write(models(vec![api.model(provider, "a")])).await;
    let known = known.0.to_string();
    let unknown = Some("1");
    let mut broken = open(&api, &watcher.token, "", unknown).await;
    broken.last_id = Some(known);
    assert_eq!(broken.next().await.expect("an event").name, "reset");
    let last_id = broken.last_id.clone();
    drop(broken);
    // Without it, or as some send it who hold none.
    for last_id in [last_id.as_deref(), Some("")] {
        let mut again = open(&api, &watcher.token, "", last_id).await;
        let told = again.until_id().await;
        assert_eq!(names(&told), ["reset", "upsert", "upsert", "heartbeat"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compacted_begins_anew_and_open_streams_hear_of_a_restored_database() {
    let world = World::new("compacted").await;
    let (db, epoch) = world.database.leader().await;
    let before = db.feed_state().await.unwrap().revision;
    let mut provider = rows::provider("p");
    provider.namespace = world.ns().to_owned();
    let uid = provider.uid;
    db.write(epoch, move |tx| {
        async move { tx.upsert(&provider).await.map(drop) }.boxed()
    })
    .await
    .unwrap();
    db.write(epoch, |tx| {
        let compact = tx.changes_compact(std::time::Duration::ZERO, 1, 1000);
        async move { compact.await.map(drop) }.boxed()
    })
    .await
    .unwrap();
    let (api, token) = process(&world, &[]).await;
    let mut events = open_at(&api, &token, Some(&before.0.to_string())).await;
    let told = events.until_id().await;
    assert_eq!(names(&told), ["reset", "upsert", "heartbeat"]);

    // As after a restore: the revision that this replica holds is gone.
    let statement = format!(
        "DELETE FROM changes;
         UPDATE feed SET revision = revision - 1000;
         INSERT INTO changes (revision, kind, uid) SELECT revision, 'provider', '{uid}' FROM feed"
    );
    let statement = sqlx::AssertSqlSafe(statement);
    world.owner().await.execute(statement).await.unwrap();
    let told = events.change().await.unwrap();
    assert_eq!(told.name, "reset");
    let mut held = Held::default();
    for event in events.until_id().await {
        held.apply(&event);
    }
    assert_eq!(held.names("LlmProvider"), ["p"]);
}
