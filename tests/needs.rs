//! What agents ask for, counted by day, and told to auditors.

use std::collections::BTreeMap;

use futures::FutureExt;
use llmplane::db::{Db, NeedCount};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::api::{TestApi, models};
use crate::support::database::TestDatabase;
use crate::support::plane::eventually;
use crate::support::process::Process;
use crate::support::world::World;

fn asked(namespace: &str, need: Value, count: i64) -> NeedCount {
    NeedCount {
        namespaces: Some(json!([[namespace]])),
        need: Some(need),
        count,
    }
}

/// Counts by need, and what is counted together.
async fn told(db: &Db, days: i32) -> (BTreeMap<String, i64>, i64) {
    let rows = db.needs(None, days, &[], 10_000).await.unwrap();
    let apart = rows
        .into_iter()
        .map(|row| (row.need.to_string(), row.count));
    let together = db.needs_counted_together(days).await.unwrap();
    (apart.collect(), together)
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors_see_what_was_asked_for_and_how_often() {
    let api = TestApi::start().await;
    let provider = api.provider("p").await;
    api.write(models(vec![api.model(provider, "m")])).await;
    let agent = api
        .account("agent", &["list"], &["llmmodels", "llmendpoints"])
        .await;
    let asked = [
        (json!({ "model": "m", "purpose": "one" }), 3),
        (
            json!({ "capabilities": ["Vision", "Chat"], "currency": "USD" }),
            1,
        ),
        (
            json!({ "currency": "USD", "capabilities": ["Chat", "Vision"], "prefer": "price" }),
            2,
        ),
        (json!({ "class": "nothing" }), 1),
    ];
    for (body, times) in &asked {
        for _ in 0..*times {
            agent.post("/resolve", body.to_string()).await;
        }
    }
    // What is no question, or is not allowed, is none.
    agent.post("/resolve", "{}").await;
    agent
        .post("/resolve?namespace=kube-system", r#"{"model": "m"}"#)
        .await;

    let auditor = api.auditor().await;
    let expected = [
        (json!({ "model": "m" }), 3),
        (
            json!({ "capabilities": ["Chat", "Vision"], "currency": "USD", "prefer": "price" }),
            3,
        ),
        (json!({ "class": "nothing" }), 1),
    ];
    eventually("all are counted", async || {
        let counts: Vec<(Value, i64)> = (auditor.get("/needs").await.items().into_iter())
            .map(|item| (item["need"].clone(), item["count"].as_i64().unwrap()))
            .collect();
        counts.len() == expected.len() && expected.iter().all(|one| counts.contains(one))
    })
    .await;
    let whole = auditor.get("/needs?days=1").await;
    assert_eq!(whole.json()["counted_together"], Value::Null);
    let items = whole.items();
    for item in &items {
        assert_eq!(item["namespaces"], json!([[api.namespace.name]]));
        assert_eq!(item["last_day"].as_str().unwrap().len(), "2026-03-04".len());
    }
    let paged: Vec<Value> = (auditor.pages("/needs?limit=1").await.iter())
        .flat_map(|page| page.items())
        .collect();
    assert_eq!(paged, items);

    for (path, status) in [
        ("/needs?namespace=elsewhere", 403),
        ("/needs?namespace=*", 403),
        ("/needs?days=0", 400),
        ("/needs?cursor=x", 400),
    ] {
        assert_eq!(auditor.get(path).await.status, status, "{path}");
    }
    assert_eq!(api.viewer().await.get("/needs").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_ends_leaves_no_request_uncounted() {
    let world = World::started("needs").await;
    let mut api = Process::api(&world, &[]);
    api.ready().await;
    let token = world
        .account("agent", &["list"], &["llmmodels", "llmendpoints"], &[])
        .await;
    for number in 0..40 {
        let asked = json!({ "model": format!("m{}", number % 4) });
        assert_eq!(api.resolve(&token, asked).await.status, 404);
    }
    api.signal(Signal::SIGTERM);
    assert!(api.ended().await.success());
    let (counts, together) = told(&world.database.api().await, 1).await;
    let expected = (0..4).map(|number| (json!({ "model": format!("m{number}") }).to_string(), 10));
    assert_eq!(counts, expected.collect());
    assert_eq!(together, 0);
}

#[tokio::test]
async fn a_day_has_so_many_needs_and_a_namespace_so_many_of_them() {
    let database = TestDatabase::migrated().await;
    let db = database.api().await;
    let need = |number: usize| json!({ "model": format!("m{number}") });
    let greedy: Vec<_> = (0..600).map(|n| asked("greedy", need(n), 2)).collect();
    db.needs_count(&greedy).await.unwrap();
    let (counts, together) = told(&db, 1).await;
    assert_eq!((counts.len(), together), (500, 200));

    let long = asked("team", json!({ "model": "m".repeat(2048) }), 7);
    let strange = NeedCount {
        namespaces: None,
        need: None,
        count: 5,
    };
    db.needs_count(&[long, strange]).await.unwrap();
    assert_eq!(told(&db, 1).await.1, 212);

    for place in 0..4 {
        let others: Vec<_> = (0..450)
            .map(|n| asked(&format!("team-{place}"), need(10_000 * (place + 1) + n), 1))
            .collect();
        db.needs_count(&others).await.unwrap();
    }
    let (counts, together) = told(&db, 1).await;
    assert_eq!((counts.len(), together), (2000, 212 + 300));
    // What is known is counted on.
    db.needs_count(&[asked("greedy", need(0), 3)])
        .await
        .unwrap();
    let all: i64 = told(&db, 1).await.0.values().sum();
    assert_eq!(all, 500 * 2 + 1500 + 3);
}

#[tokio::test]
async fn counts_are_added_up_over_days_and_forgotten_in_time() {
    let database = TestDatabase::migrated().await;
    let db = database.api().await;
    let mut owner = database.connect("llmplane_owner").await;
    for days_ago in [40, 36, 34, 29, 3] {
        db.needs_count(&[asked("team", json!({ "model": "m" }), days_ago)])
            .await
            .unwrap();
        let aged = format!(
            "UPDATE resolve_needs SET day = day - {days_ago} WHERE day = (now() AT TIME ZONE 'UTC')::date"
        );
        owner.execute(sqlx::AssertSqlSafe(aged)).await.unwrap();
    }
    let sum = async |days| told(&db, days).await.0.values().sum::<i64>();
    assert_eq!(sum(30).await, 29 + 3);
    assert_eq!(sum(400).await, 40 + 36 + 34 + 29 + 3);
    let (controller, epoch) = database.leader().await;
    let mut removed = 0;
    loop {
        let forget = controller.write_unversioned(epoch, |tx| tx.needs_forget(1).boxed());
        match forget.await.unwrap() {
            0 => break,
            count => removed += count,
        }
    }
    // Each day has its row of what is counted together too.
    assert_eq!(removed, 4);
    assert_eq!(sum(400).await, 34 + 29 + 3);
}
