//! What `include_deleted` adds to the read API's answers, and for whom.

use std::collections::BTreeSet;

use futures::FutureExt;
use llmplane::crd::Kind;
use llmplane::crd::credential::VersionState;
use serde_json::Value;
use sqlx::Executor;
use uuid::Uuid;

use crate::support::api::{Answer, TestApi, models};
use crate::support::rows;

fn id(row: &Value) -> Uuid {
    row["id"].as_str().unwrap().parse().unwrap()
}

fn ids(pages: &[Answer]) -> Vec<Uuid> {
    pages
        .iter()
        .flat_map(Answer::items)
        .map(|row| id(&row))
        .collect()
}

fn is_deleted(row: &Value) -> bool {
    row["deleted_at"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_are_for_who_may_read_the_audit() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let kinds = ["llmproviders", "auditlogs"];
    let auditor = api.account("narrow", &["get", "list"], &kinds).await;
    let gone = api.provider("gone").await;
    api.delete(Kind::Provider, &[gone]).await;
    let live = api.provider("gone").await;

    assert_eq!(ids(&[viewer.get("/providers").await]), [live]);
    assert_eq!(viewer.get(&format!("/providers/{gone}")).await.status, 404);
    for path in ["", &format!("/{gone}"), "/gone", "/nothing"] {
        let path = format!("/providers{path}?include_deleted=true");
        let refused = viewer.get(&path).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (403, "forbidden"),
            "{path}"
        );
    }

    let all = auditor.get("/providers?include_deleted=true").await;
    let seen: BTreeSet<_> = all
        .items()
        .iter()
        .map(|row| (id(row), is_deleted(row)))
        .collect();
    assert_eq!(seen, BTreeSet::from([(gone, true), (live, false)]));
    let one = format!("/providers/{gone}?include_deleted=true");
    assert!(is_deleted(&auditor.get(&one).await.json()));
    // Who reads the audit does not thereby read every kind.
    let models = auditor.get("/models?include_deleted=true").await;
    assert_eq!(models.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_and_deleted_rows_come_in_one_order_page_by_page() {
    let api = TestApi::start().await;
    let auditor = api.auditor().await;
    let provider = api.provider("openai").await;
    // By their bytes; a dictionary has another order. Who takes a name ends its former bearer.
    let names = ["ab", "a", "a-b", "c", "a", "a.b", "b", "a-b", "a"];
    let rows: Vec<_> = names.map(|name| api.model(provider, name)).into();
    let mut order: Vec<_> = rows.iter().map(|row| (row.name.clone(), row.uid)).collect();
    order.sort();
    let by_name: Vec<_> = order.iter().map(|(_, uid)| *uid).collect();
    let gone = [rows[5].uid, rows[6].uid, rows[7].uid];
    api.write(models(rows)).await;
    api.delete(Kind::Model, &gone).await;
    let live = auditor.get("/models").await;
    assert_eq!(live.names(), ["a", "ab", "c"]);

    for limit in 1..=10 {
        let path = format!("/models?include_deleted=true&limit={limit}");
        let pages = auditor.pages(&path).await;
        let found: Vec<_> = pages
            .iter()
            .map(|page| ids(std::slice::from_ref(page)))
            .collect();
        assert_eq!(found, by_name.chunks(limit).collect::<Vec<_>>(), "{path}");
        let deleted = pages.iter().flat_map(Answer::items).filter(is_deleted);
        assert_eq!(deleted.count(), 6, "{path}");
    }
    for sort in [
        "-name",
        "created_at",
        "-created_at",
        "context_window",
        "price",
        "-price",
    ] {
        let path = format!("/models?include_deleted=true&sort={sort}");
        let at_once = ids(&[auditor.get(&path).await]);
        assert_eq!(BTreeSet::from_iter(&at_once), BTreeSet::from_iter(&by_name));
        let pages = auditor.pages(&format!("{path}&limit=2")).await;
        assert_eq!(ids(&pages), at_once, "{path}");
    }
    for (filter, count) in [
        ("name=a", 3),
        ("is_active=true", 3),
        ("name=a&is_active=false", 2),
        ("name=nobody", 0),
    ] {
        let path = format!("/models?include_deleted=true&limit=1&{filter}");
        let pages = auditor.pages(&path).await;
        assert_eq!(ids(&pages).len(), count, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_since_the_snapshot_is_shown_once_as_deleted() {
    let api = TestApi::start().await;
    let auditor = api.auditor().await;
    let provider = api.provider("openai").await;
    api.write(models(
        ["a", "b", "c"].map(|name| api.model(provider, name)).into(),
    ))
    .await;
    // The feed says nothing of it, so that the snapshot goes on holding the row.
    let mut owner = api.database.connect("llmplane_owner").await;
    owner
        .execute("UPDATE models SET deleted_at = now(), is_active = false WHERE name = 'b'")
        .await
        .unwrap();
    assert_eq!(auditor.get("/models").await.names(), ["a", "b", "c"]);
    for query in ["limit=1", "limit=2", "limit=3", "sort=-name", "sort=-price"] {
        let pages = auditor
            .pages(&format!("/models?include_deleted=true&{query}"))
            .await;
        let rows = pages.iter().flat_map(Answer::items);
        let mut seen: Vec<_> = rows
            .map(|row| (row["name"].as_str().unwrap().to_owned(), is_deleted(&row)))
            .collect();
        seen.sort();
        let named = |name: &str, deleted| (name.to_owned(), deleted);
        assert_eq!(
            seen,
            [named("a", false), named("b", true), named("c", false)],
            "{query}"
        );
    }
    let active = auditor
        .get("/models?include_deleted=true&is_active=true")
        .await;
    assert_eq!(active.names(), ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_between_two_pages_is_on_one_of_them() {
    let api = TestApi::start().await;
    let auditor = api.auditor().await;
    let provider = api.provider("openai").await;
    for sort in ["name", "-name", "created_at", "-price"] {
        let rows: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| api.model(provider, name))
            .into();
        let uids: Vec<_> = rows.iter().map(|row| row.uid).collect();
        api.write(models(rows)).await;
        let path = format!("/models?include_deleted=true&sort={sort}&is_active=true");
        assert_eq!(auditor.get(&path).await.items().len(), 4);
        let path = format!("/models?include_deleted=true&sort={sort}");
        // Those of the rounds before are deleted too.
        let all = ids(&[auditor.get(&path).await]);
        let half = all.len() / 2;
        let page = auditor.get(&format!("{path}&limit={half}")).await;
        api.delete(Kind::Model, &uids).await;
        let cursor = page.next_cursor().unwrap();
        let rest = auditor.get(&format!("{path}&cursor={cursor}")).await;
        assert_eq!(ids(&[page, rest.clone()]), all, "{sort}");
        assert!(rest.items().iter().all(is_deleted), "{sort}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_object_is_found_by_its_name_where_no_live_one_has_it() {
    let api = TestApi::start().await;
    let auditor = api.auditor().await;
    let (older, newer) = (api.provider("twice").await, Uuid::new_v4());
    let mut row = rows::provider("twice");
    (row.uid, row.namespace) = (newer, api.namespace.name.clone());
    let mut child = rows::endpoint(older, "of-the-older");
    child.namespace = api.namespace.name.clone();
    // The one is deleted after the other.
    api.write(move |tx| {
        async move {
            tx.upsert(&child).await?;
            tx.upsert(&row).await.map(drop)
        }
        .boxed()
    })
    .await;
    let by_name = async || auditor.get("/providers/twice?include_deleted=true").await;
    let live = by_name().await.json();
    assert_eq!((id(&live), is_deleted(&live)), (newer, false));
    api.delete(Kind::Provider, &[newer]).await;
    let last = by_name().await.json();
    assert_eq!((id(&last), is_deleted(&last)), (newer, true));

    assert_eq!(auditor.get("/providers/twice").await.status, 404);
    let children = auditor
        .get(&format!(
            "/providers/{older}/endpoints?include_deleted=true"
        ))
        .await;
    assert_eq!(children.names(), ["of-the-older"]);
    let children = auditor
        .get("/providers/twice/endpoints?include_deleted=true")
        .await;
    assert_eq!(children.names(), [""; 0]);
    for absent in ["never", "%00", "Twice"] {
        let answer = auditor
            .get(&format!("/providers/{absent}?include_deleted=true"))
            .await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (404, "not-found"),
            "{absent}"
        );
    }
    // The audit's right shows nothing that the caller might not get.
    let blind = api.account("blind", &["get"], &["auditlogs"]).await;
    let hidden = blind.get("/providers/twice?include_deleted=true").await;
    let absent = blind.get("/providers/never?include_deleted=true").await;
    assert_eq!((hidden.status, &hidden.text), (404, &absent.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_credential_keeps_its_versions_and_its_mask() {
    let api = TestApi::start().await;
    let auditor = api.auditor().await;
    let provider = api.provider("openai").await;
    let mut credential = rows::credential(provider, "key");
    credential.namespace = api.namespace.name.clone();
    let uid = credential.uid;
    api.write(move |tx| {
        async move {
            tx.upsert(&credential).await?;
            let former = rows::key_version(uid, 1, VersionState::Previous);
            tx.credential_version_insert(&former).await?;
            let current = rows::key_version(uid, 2, VersionState::Current);
            tx.credential_version_insert(&current).await
        }
        .boxed()
    })
    .await;
    api.delete(Kind::Credential, &[uid]).await;
    let list = auditor
        .get("/providers/openai/credentials?include_deleted=true")
        .await;
    let by_uid = auditor
        .get(&format!("/credentials/{uid}?include_deleted=true"))
        .await;
    let by_name = auditor.get("/credentials/key?include_deleted=true").await;
    assert_eq!(list.items(), [by_uid.json()]);
    assert_eq!(by_uid.json(), by_name.json());
    let row = by_uid.json();
    assert!(is_deleted(&row));
    assert_eq!(row["masked_key"], "sk-…1234");
    let versions = row["versions"].as_array().unwrap();
    let states = versions
        .iter()
        .map(|version| (&version["version"], &version["state"]));
    let expected = [2, 1].map(|number| (Value::from(number), Value::from("Destroyed")));
    assert!(
        states.eq(expected.iter().map(|(number, state)| (number, state))),
        "{row}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_that_cannot_be_read_are_left_out() {
    let api = TestApi::start().await;
    let auditor = api.auditor().await;
    let provider = api.provider("openai").await;
    let rows = ["a", "b", "c"].map(|name| api.model(provider, name));
    let uids = rows.each_ref().map(|row| row.uid);
    api.write(models(rows.into())).await;
    api.delete(Kind::Model, &uids).await;
    let mut owner = api.database.connect("llmplane_owner").await;
    owner
        .execute(
            "ALTER TABLE models DROP CONSTRAINT models_lifecycle_check;
             UPDATE models SET lifecycle = 'Someday' WHERE name IN ('a', 'b')",
        )
        .await
        .unwrap();
    for query in ["limit=1", "limit=3", "sort=-name"] {
        let pages = auditor
            .pages(&format!("/models?include_deleted=true&{query}"))
            .await;
        let names: Vec<_> = pages.iter().flat_map(Answer::names).collect();
        assert_eq!(names, ["c"], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_looks_at_a_bounded_number_of_deleted_rows() {
    let api = TestApi::start().await;
    let auditor = api.auditor().await;
    let provider = api.provider("openai").await;
    api.write(models(vec![api.model(provider, "template")]))
        .await;
    let mut owner = api.database.connect("llmplane_owner").await;
    owner
        .execute(
            "INSERT INTO models SELECT deleted.* FROM models m, generate_series(1, 11000) n, jsonb_populate_record(m,
                 jsonb_build_object('uid', gen_random_uuid(), 'name', 'm-' || n, 'deleted_at', now(), 'is_active', false)) deleted;
             UPDATE models SET type = 'Rerank' WHERE name = 'm-9999'",
        )
        .await
        .unwrap();
    let list = "/models?include_deleted=true&limit=2";

    // In order of their names no more is read than is shown, but for what the filters leave out.
    let page = auditor.get(list).await;
    assert_eq!(page.names(), ["m-1", "m-10"]);
    let pages = auditor.pages(&format!("{list}&type=Rerank")).await;
    let names: Vec<_> = pages.iter().map(Answer::names).collect();
    assert_eq!(names, [vec![], vec!["m-9999".to_owned()]]);

    let sorted = format!("{list}&sort=-created_at");
    let refused = auditor.get(&sorted).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (400, "invalid-parameter")
    );
    assert!(
        refused.detail().starts_with("sort: more than 10000"),
        "{}",
        refused.text
    );
    let narrow = auditor.get(&format!("{sorted}&name=m-7")).await;
    assert_eq!(narrow.names(), ["m-7"]);
    owner
        .execute("DELETE FROM models WHERE uid IN (SELECT uid FROM models WHERE deleted_at IS NOT NULL LIMIT 1000)")
        .await
        .unwrap();
    assert_eq!(
        auditor.get(&sorted).await.items().len(),
        2,
        "10,000 are sorted"
    );
}
