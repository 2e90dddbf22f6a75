//! Checks that are asked for while somebody is away, or ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Method;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{ACTIONS, Site, patiently};
use crate::support::api::answer;
use crate::support::plane::eventually;
use crate::support::process::Process;
use crate::support::vendors::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_leads_a_check_is_pending_until_somebody_does() {
    let mut site = Site::started("unled").await;
    let checker = site.checker().await;
    site.world.stop().await;
    let path = format!("{}?wait_seconds=1", ACTIONS[0]);
    let begun = Instant::now();
    let pending = site.api.post(&checker, &path).await;
    assert_eq!(pending.status, 202, "{}", pending.text);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let body = pending.json();
    assert_eq!(
        (&body["kind"], &body["name"]),
        (&"LlmEndpoint".into(), &"e".into())
    );
    let location = pending.header("location");
    assert_eq!(body["location"], location);
    let row = location.strip_prefix("/api/v1").unwrap();
    assert_eq!(site.api.get(&checker, row).await.json()["id"], body["id"]);
    let at_once = format!("{}?wait_seconds=0", ACTIONS[1]);
    assert_eq!(site.api.post(&checker, &at_once).await.status, 202);

    site.vendor.break_with(500);
    site.world.start().await;
    eventually("the checks are made", async || {
        let row = site.api.get(&checker, row).await.json();
        row["health"]["state"] == "unhealthy"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_killed_leaves_the_check_to_the_next_and_the_caller_hears_of_it() {
    let site = Site::new("killcheck").await;
    let mut controller = Process::controller(&site.world, &[]);
    site.ready().await;
    let checker = site.checker().await;
    site.vendor.fail(Fault::Hang);
    let before = site.vendor.calls();
    let path = format!("{}?wait_seconds=60", ACTIONS[0]);
    let asking = site.api.post(&checker, &path);
    let meanwhile = async {
        eventually("it is under way", async || site.vendor.calls() > before).await;
        controller.kill().await;
        site.vendor.break_with(500);
        Process::controller(&site.world, &[])
    };
    let (told, _next) = tokio::join!(asking, meanwhile);
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(told.json()["health"]["state"], "unhealthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_no_check_is_asked_for() {
    let mut site = Site::started("checkless").await;
    let checker = site.checker().await;
    assert_eq!(
        site.api.post(&checker, &patiently(ACTIONS[0])).await.status,
        200
    );
    site.world.stop().await;
    let mut superuser = PgConnection::connect(&site.world.database.superuser_url)
        .await
        .unwrap();
    let name = &site.world.database.name;
    let close = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false");
    superuser.execute(AssertSqlSafe(close)).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    let end = sqlx::query(end).bind(name);
    end.execute(&mut superuser).await.unwrap();
    let before = site.vendor.calls();
    let begun = Instant::now();
    let refused = site.api.post(&checker, ACTIONS[0]).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.problem(), "database-unavailable");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(site.vendor.calls(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_ends_tells_whoever_waits_that_it_is_pending() {
    let mut site = Site::started("enditwaits").await;
    let checker = site.checker().await;
    site.vendor.fail(Fault::Hang);
    let before = site.vendor.calls();
    let path = format!("{}?wait_seconds=60", ACTIONS[0]);
    let asking = answer(site.api.request(Method::POST, &checker, &path));
    let meanwhile = async {
        eventually("it is under way", async || site.vendor.calls() > before).await;
        site.api.signal(Signal::SIGTERM);
        Instant::now()
    };
    let (told, ended) = tokio::join!(asking, meanwhile);
    assert_eq!(told.status, 202, "{}", told.text);
    assert!(site.api.ended().await.success());
    assert!(ended.elapsed() < Duration::from_secs(5));
}
