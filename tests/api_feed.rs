//! What keeps the read API's snapshot current, and what does not keep it from that.

use futures::FutureExt;
use futures::future::join_all;
use llmplane::db::DeclaredModel;
use sqlx::{AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

use crate::support::api::{TestApi, models};
use crate::support::plane::eventually;
use crate::support::process::Process;
use crate::support::rows;
use crate::support::world::World;

async fn provider(api: &TestApi) -> Uuid {
    let mut row = rows::provider("p");
    row.namespace.clone_from(&api.namespace.name);
    let uid = row.uid;
    api.write(move |tx| async move { tx.upsert(&row).await.map(drop) }.boxed())
        .await;
    uid
}

fn model(api: &TestApi, provider: Uuid, name: &str) -> DeclaredModel {
    let mut model = rows::model(provider, name);
    model.namespace.clone_from(&api.namespace.name);
    model
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_newer_release_is_left_out_and_the_others_go_on() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = provider(&api).await;
    let (kept, odd) = (model(&api, provider, "kept"), model(&api, provider, "odd"));
    let uid = odd.uid;
    api.write(models(vec![kept, odd])).await;
    let mut owner = api.database.connect("llmplane_owner").await;
    let set_lifecycle = |word: &str| {
        format!(
            "UPDATE models SET lifecycle = '{word}' WHERE uid = '{uid}';
             UPDATE feed SET revision = revision + 1;
             INSERT INTO changes (revision, kind, uid) SELECT revision, 'model', '{uid}' FROM feed"
        )
    };
    owner
        .execute("ALTER TABLE models DROP CONSTRAINT models_lifecycle_check")
        .await
        .unwrap();
    let newer = AssertSqlSafe(set_lifecycle("Someday"));
    owner.execute(newer).await.unwrap();
    api.write(models(vec![model(&api, provider, "later")]))
        .await;

    assert_eq!(viewer.get("/models").await.names(), ["kept", "later"]);
    let left_out = "llmplane_api_snapshot_unreadable";
    assert_eq!(api.metric(left_out).await, 1.0);
    // Whoever reads everything reads the same.
    let all = api.database.api().await.read_all().await.unwrap();
    let mut names: Vec<_> = all.rows.models.iter().map(|row| &*row.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["kept", "later"]);
    assert_eq!(all.rows.unreadable.len(), 1);

    let known = AssertSqlSafe(set_lifecycle("Available"));
    owner.execute(known).await.unwrap();
    eventually("it is shown once it can be read", async || {
        viewer.get("/models").await.names() == ["kept", "later", "odd"]
    })
    .await;
    assert_eq!(api.metric(left_out).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_postgresql_do_not_make_the_snapshot_old() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = provider(&api).await;
    let mut endpoint = rows::endpoint(provider, "e");
    endpoint.namespace.clone_from(&api.namespace.name);
    let health = format!("/endpoints/{}/health", endpoint.uid);
    api.write(move |tx| async move { tx.upsert(&endpoint).await.map(drop) }.boxed())
        .await;
    assert_eq!(viewer.get(&health).await.status, 200);
    let mut owner = api.database.connect("llmplane_owner").await;
    let mut lock = owner.begin().await.unwrap();
    lock.execute("LOCK TABLE health_probes IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();

    let waiting = join_all((0..60).map(|_| viewer.get(&health)));
    let following = async {
        for name in ["a", "b", "c"] {
            api.write(models(vec![model(&api, provider, name)])).await;
            let answer = viewer.get("/models").await;
            assert_eq!(answer.header("llmplane-snapshot-age"), "");
        }
    };
    let (waited, ()) = tokio::join!(waiting, following);
    for answer in waited {
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert_eq!(answer.header("retry-after"), "1");
    }
    lock.rollback().await.unwrap();
    assert_eq!(viewer.get(&health).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_no_controller_has_led_is_not_taken_for_an_empty_one() {
    let world = World::new("unled").await;
    let api = Process::api(&world, &[]);
    eventually("it says what it waits for", async || {
        let (status, said) = api.admin("/readyz").await;
        status == 503 && said.contains("no controller has led")
    })
    .await;
    world.db().await.lead("test").await.unwrap();
    api.ready().await;
}
