//! What the read API answers, over sockets, from rows that a controller would store.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use llmplane::crd::model::{Capability, Lifecycle, ModelCapability};
use llmplane::crd::reasons::Reason;
use llmplane::crd::{Kind, ProviderType};
use llmplane::db::{CheckKind, ModelUpsert, NewProbe, ProviderUpsert};
use llmplane::local::state::Component;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::api::{Caller, TestApi, answer, models};
use crate::support::plane::{Plane, eventually};
use crate::support::rows;

const COMMON: &str = "id namespace name is_active created_at updated_at conditions";

impl TestApi {
    fn model(&self, provider: Uuid, name: &str) -> ModelUpsert {
        ModelUpsert {
            namespace: self.namespace.name.clone(),
            ..rows::model(provider, name)
        }
    }
}

fn fields(row: &Value) -> BTreeSet<&str> {
    row.as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn has_exactly(row: &Value, own: &str) {
    let expected: BTreeSet<_> = COMMON.split(' ').chain(own.split_whitespace()).collect();
    assert_eq!(fields(row), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_have_the_documented_fields_and_no_others() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let mut endpoint = rows::endpoint(provider, "main");
    endpoint.namespace = api.namespace.name.clone();
    let mut credential = rows::credential(provider, "key");
    credential.namespace = api.namespace.name.clone();
    let version = rows::key_version(
        credential.uid,
        1,
        llmplane::crd::credential::VersionState::Current,
    );
    let model = api.model(provider, "gpt");
    api.write(move |tx| {
        async move {
            tx.endpoint_upsert(&endpoint).await?;
            tx.credential_upsert(&credential).await?;
            tx.credential_version_insert(&version).await?;
            tx.model_upsert(&model).await.map(drop)
        }
        .boxed()
    })
    .await;

    let provider = viewer.get("/providers/openai").await.json();
    has_exactly(&provider, "type display_name description");
    assert_eq!(provider["type"], "OpenAI");
    assert_eq!(provider["created_at"], "2026-03-04T05:06:07Z");
    assert_eq!(
        provider["conditions"][0]["lastTransitionTime"],
        "2026-03-04T05:06:07Z"
    );

    let endpoint = viewer.get("/endpoints/main").await.json();
    has_exactly(
        &endpoint,
        "provider_id display_name base_url api_version region timeout_connect timeout_read \
         retry_count retry_interval_ms is_default priority health",
    );
    assert_eq!(
        endpoint["health"],
        json!({"state": "unknown", "since": null, "reason": "NotCheckedYet"})
    );

    let credential = viewer.get("/credentials/key").await.json();
    has_exactly(
        &credential,
        "provider_id endpoint_ids alias description masked_key fingerprint version versions \
         expires_at quota_limit quota_unit quota_period priority validity",
    );
    let shown = fields(&credential["versions"][0]);
    assert_eq!(
        shown,
        BTreeSet::from(["fingerprint", "since", "state", "version"])
    );
    assert_eq!(credential["quota_unit"], "Requests");

    let model = viewer.get("/models/gpt").await.json();
    has_exactly(
        &model,
        "provider_id endpoint_ids model_id display_name version type context_window \
         max_input_tokens max_output_tokens currency input_price output_price capabilities \
         recommended_for default_parameters status availability origin",
    );
    assert_eq!(model["origin"], json!({"context_window": "catalog"}));
    assert_eq!(model["status"], "available");
    assert_eq!(model["default_parameters"], json!({"temperature": 0.2}));

    let same = viewer
        .get(&format!("/models/{}", model["id"].as_str().unwrap()))
        .await;
    assert_eq!(same.json(), model, "by id as by name");
    for (list, row) in [
        ("/providers", &provider),
        ("/providers/openai/endpoints", &endpoint),
        ("/providers/openai/credentials", &credential),
        ("/models", &model),
    ] {
        let list = viewer.get(list).await;
        assert_eq!(list.json()["items"], json!([row]));
        assert_eq!(list.json()["next_cursor"], Value::Null);
        assert_eq!(list.json()["revision"], list.revision());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_take_what_they_say_and_all_of_them_at_once() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let (first, second) = (api.provider("first").await, api.provider("second").await);
    let capability = |name, score| ModelCapability { name, score };
    let mut cheap = api.model(first, "cheap");
    cheap.input_price = Some("0.001".to_owned());
    cheap.context_window = Some(8_000);
    let mut strong = api.model(first, "strong");
    strong.input_price = Some("0.0100".to_owned());
    strong.capabilities = vec![
        capability(Capability::Chat, Some(3)),
        capability(Capability::Vision, None),
    ];
    let mut old = api.model(second, "old");
    old.lifecycle = Lifecycle::Deprecated;
    old.currency = Some("EUR".to_owned());
    old.is_active = false;
    let mut unpriced = api.model(second, "unpriced");
    (unpriced.currency, unpriced.input_price, unpriced.type_) = (None, None, None);
    api.write(models(vec![cheap, strong, old, unpriced])).await;

    let by_id = format!("provider={second}");
    for (query, names) in [
        ("", &["cheap", "old", "strong", "unpriced"][..]),
        ("provider=first", &["cheap", "strong"]),
        (&by_id, &["old", "unpriced"]),
        ("provider=nobody", &[]),
        ("type=Chat", &["cheap", "old", "strong"]),
        ("status=deprecated", &["old"]),
        ("is_active=false", &["old"]),
        ("name=cheap", &["cheap"]),
        ("capability=Vision", &["strong"]),
        ("capability=Vision&capability=Chat", &["strong"]),
        ("capability=Vision&capability=Embedding", &[]),
        ("capability=Chat&min_score=4", &["cheap", "old", "unpriced"]),
        ("capability=Vision&min_score=1", &[]),
        ("min_context_window=8001", &["old", "strong", "unpriced"]),
        ("max_input_price=0.01&currency=USD", &["cheap", "strong"]),
        (
            "max_input_price=0.0099999999999999999&currency=USD",
            &["cheap"],
        ),
        ("currency=EUR", &["old"]),
        ("sort=-price", &["old", "strong", "cheap", "unpriced"]),
        ("sort=context_window&limit=1", &["cheap"]),
        ("sort=-name", &["unpriced", "strong", "old", "cheap"]),
        (
            "capability=Chat&sort=score",
            &["strong", "cheap", "old", "unpriced"],
        ),
    ] {
        assert_eq!(
            viewer.get(&format!("/models?{query}")).await.names(),
            names,
            "{query}"
        );
    }
    let vision = viewer.get("/models/by-capability/Vision").await;
    assert_eq!(vision.names(), ["strong"]);
    let by_type = viewer.get("/providers?type=Anthropic").await;
    assert_eq!(by_type.names(), [""; 0]);
    assert_eq!(
        viewer
            .get("/providers?type=OpenAI&name=first")
            .await
            .names(),
        ["first"]
    );
    assert_eq!(ProviderType::OpenAI.as_str(), "OpenAI");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_its_name() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    for (path, kind, says) in [
        ("/models?limit=-1", "invalid-parameter", "limit"),
        ("/models?limit=0", "invalid-parameter", "1 to 1000"),
        ("/models?limit=1001", "invalid-parameter", "limit"),
        (
            "/models?min_revision=x",
            "invalid-parameter",
            "min_revision",
        ),
        ("/models?offset=3", "unknown-parameter", "offset"),
        (
            "/models/x?capability=Chat",
            "unknown-parameter",
            "capability",
        ),
        ("/providers?sort=name", "unknown-parameter", "sort"),
        ("/models?cursor=xyz", "invalid-parameter", "cursor"),
        ("/models?sort=size", "invalid-parameter", "-price"),
        ("/models?type=Chatty", "invalid-parameter", "Rerank"),
        ("/models?status=gone", "invalid-parameter", "maintenance"),
        (
            "/models?is_active=yes",
            "invalid-parameter",
            "true or false",
        ),
        ("/models?max_input_price=1", "invalid-parameter", "currency"),
        (
            "/models?max_input_price=-1&currency=USD",
            "invalid-parameter",
            "decimal",
        ),
        ("/models?min_score=3", "invalid-parameter", "capability"),
        (
            "/models?namespace=a&namespace=b",
            "invalid-parameter",
            "more than once",
        ),
        (
            "/models/gpt?namespace=*",
            "invalid-parameter",
            "one namespace",
        ),
    ] {
        let refused = viewer.get(path).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, kind),
            "{path}"
        );
        assert!(refused.detail().contains(says), "{path}: {}", refused.text);
    }
    let unknown = viewer.get("/models/by-capability/Telepathy").await;
    assert_eq!(unknown.status, 400);
    for capability in Capability::ALL {
        assert!(unknown.detail().contains(capability.as_str()));
    }
    for path in [
        "/models/%2e%2e%2f%2e%2e%2fetc",
        "/models/%ff",
        "/models/nobody",
        "/nothing",
        "/endpoints/00000000-0000-4000-8000-000000000000/health",
    ] {
        let absent = viewer.get(path).await;
        assert_eq!(
            (absent.status, absent.problem().as_str()),
            (404, "not-found"),
            "{path}"
        );
    }
    let url = format!("{}/api/v1/models", api.url);
    let posted = answer(reqwest::Client::new().post(url)).await;
    assert_eq!(
        (posted.status, posted.problem().as_str()),
        (405, "method-not-allowed")
    );
    assert!(posted.header("allow").contains("GET"));
    let described = answer(reqwest::Client::new().get(format!("{}/openapi.json", api.url))).await;
    assert_eq!(described.json()["openapi"], "3.1.0");
}

async fn walk(viewer: &Caller<'_>, query: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = viewer
            .get(&format!("/models?limit=3&{query}{cursor}"))
            .await;
        names.extend(page.names());
        match &page.json()["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return names,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_walk_every_row_once_in_every_order() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let rows = (0..10).map(|number| {
        let mut model = api.model(provider, &format!("m-{number}"));
        // Equal, different and unknown values.
        model.context_window = (number % 4 > 0).then_some(1000 * (number % 4));
        model.input_price = (number % 3 > 0).then(|| format!("0.{}", number % 3));
        model
    });
    api.write(models(rows.collect())).await;
    let everything: BTreeSet<_> = (0..10).map(|number| format!("m-{number}")).collect();
    for sort in ["name", "created_at", "context_window", "price", "score"] {
        for minus in ["", "-"] {
            let query = format!("sort={minus}{sort}&capability=Chat");
            let walked = walk(&viewer, &query).await;
            assert_eq!(walked.len(), 10, "{query}");
            let seen: BTreeSet<_> = walked.iter().cloned().collect();
            assert_eq!(seen, everything, "{query}");
            let at_once = viewer.get(&format!("/models?{query}")).await.names();
            assert_eq!(walked, at_once, "{query}");
        }
    }
    let page = viewer.get("/models?limit=3&sort=price").await;
    let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
    let foreign = viewer
        .get(&format!("/models?sort=name&cursor={cursor}"))
        .await;
    assert_eq!(foreign.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_neither_repeats_nor_hides_when_rows_come_and_go() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let first = api.model(provider, "b");
    let gone = first.uid;
    let rows = ["d", "f", "h"].map(|name| api.model(provider, name));
    api.write(models([vec![first], rows.to_vec()].concat()))
        .await;
    let page = viewer.get("/models?limit=2").await;
    assert_eq!(page.names(), ["b", "d"]);
    let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();

    let (before, after) = (api.model(provider, "a"), api.model(provider, "g"));
    api.write(move |tx| {
        async move {
            tx.soft_delete(Kind::Model, &[gone]).await?;
            tx.model_upsert(&before).await?;
            tx.model_upsert(&after).await.map(drop)
        }
        .boxed()
    })
    .await;
    let rest = viewer
        .get(&format!("/models?limit=10&cursor={cursor}"))
        .await;
    assert_eq!(rest.names(), ["f", "g", "h"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_answer_is_not_sent_again() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let mut model = api.model(provider, "gpt");
    api.write(models(vec![model.clone()])).await;
    for path in ["/models", "/models/gpt"] {
        let tag = viewer.get(path).await.header("etag").to_owned();
        let again = viewer.get_with(path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), tag);
        assert!(again.revision() > 0);
    }
    let list = viewer.get("/models").await.header("etag").to_owned();
    let one = viewer.get("/models/gpt").await.header("etag").to_owned();
    api.provider("another").await;
    let untouched = viewer
        .get_with("/models", &[("if-none-match", &list)])
        .await;
    assert_eq!(
        untouched.status, 304,
        "another kind's change leaves the list as it was"
    );
    model.display_name = Some("GPT".to_owned());
    api.write(models(vec![model])).await;
    for (path, tag) in [("/models", &list), ("/models/gpt", &one)] {
        assert_eq!(
            viewer
                .get_with(path, &[("if-none-match", tag)])
                .await
                .status,
            200
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_reads_its_own_write_and_nobody_waits_for_ever() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    for number in 0..10 {
        let name = format!("m-{number}");
        let row = api.model(provider, &name);
        let (_, revision) = api.db.write(api.epoch, models(vec![row])).await.unwrap();
        let path = format!("/models/{name}?min_revision={}", revision.unwrap());
        let answer = viewer.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.revision() >= revision.unwrap().0);
    }
    let asked = Instant::now();
    let late = viewer
        .get(&format!("/models?min_revision={}", i64::MAX))
        .await;
    assert_eq!(
        (late.status, late.problem().as_str()),
        (504, "revision-timeout")
    );
    assert!((4..8).contains(&asked.elapsed().as_secs()));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_are_for_who_may_read_the_audit() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let kinds = ["llmproviders", "auditlogs"];
    let auditor = api.account("auditor", &["get", "list"], &kinds).await;
    let gone = api.provider("gone").await;
    api.write(move |tx| {
        async move { tx.soft_delete(Kind::Provider, &[gone]).await.map(drop) }.boxed()
    })
    .await;
    api.provider("gone").await;

    assert_eq!(viewer.get("/providers").await.names(), ["gone"]);
    assert_eq!(viewer.get(&format!("/providers/{gone}")).await.status, 404);
    let refused = viewer.get("/providers?include_deleted=true").await;
    assert_eq!(refused.status, 403);
    let hidden = viewer
        .get(&format!("/providers/{gone}?include_deleted=true"))
        .await;
    assert_eq!(hidden.status, 403);
    let live = viewer.get("/providers/gone?include_deleted=true").await;
    assert_eq!(live.status, 403, "as the list does");

    let all = auditor.get("/providers?include_deleted=true").await;
    assert_eq!(all.names(), ["gone", "gone"]);
    let items = all.json()["items"].clone();
    let deleted = |row: &&Value| row["deleted_at"].is_string();
    let deleted: Vec<_> = items.as_array().unwrap().iter().filter(deleted).collect();
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["id"], gone.to_string());
    let one = auditor
        .get(&format!("/providers/{gone}?include_deleted=true"))
        .await;
    assert!(one.json()["deleted_at"].is_string());
    let page = auditor.get("/providers?include_deleted=true&limit=1").await;
    let cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
    let rest = auditor
        .get(&format!(
            "/providers?include_deleted=true&limit=1&cursor={cursor}"
        ))
        .await;
    assert_ne!(rest.json()["items"][0]["id"], page.json()["items"][0]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_shown_newest_first_page_by_page() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let mut endpoint = rows::endpoint(provider, "main");
    endpoint.namespace = api.namespace.name.clone();
    let uid = endpoint.uid;
    api.write(move |tx| async move { tx.endpoint_upsert(&endpoint).await.map(drop) }.boxed())
        .await;
    let now = Timestamp::now();
    let probe = move |number: i32| NewProbe {
        checked_at: now - Duration::from_secs(60 * u64::try_from(number).unwrap()),
        subject: uid,
        kind: CheckKind::Probe,
        endpoint_uid: None,
        fingerprint: None,
        reason: Reason::ProbeSucceeded.as_str().to_owned(),
        success: Some(true),
        message: "it answered".to_owned(),
        latency_ms: number,
        http_status: Some(200),
        request_id: None,
    };
    api.db
        .write_unversioned(api.epoch, move |tx| {
            async move {
                for number in 0..5 {
                    tx.health_probe_insert(&probe(number)).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = viewer
            .get(&format!("/endpoints/main/health?limit=2{cursor}"))
            .await;
        let page = page.json();
        assert_eq!(page["health"]["state"], "unknown");
        for probe in page["items"].as_array().unwrap() {
            assert!(probe["checked_at"].is_string());
            seen.push(probe["latency_ms"].as_i64().unwrap());
        }
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);

    let path = "/endpoints/main/health";
    let tag = viewer.get(path).await.header("etag").to_owned();
    api.provider("another").await;
    let headers = [("if-none-match", tag.as_str())];
    assert_eq!(viewer.get_with(path, &headers).await.status, 304);
    api.db
        .write_unversioned(api.epoch, move |tx| {
            async move { tx.health_probe_insert(&probe(5)).await }.boxed()
        })
        .await
        .unwrap();
    assert_eq!(viewer.get_with(path, &headers).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_read_asks_neither_the_apiserver_nor_postgresql() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    api.write(models(vec![api.model(provider, "gpt")])).await;
    let paths = ["/models", "/models/gpt", "/models/by-capability/Chat"];
    for path in paths {
        assert_eq!(viewer.get(path).await.status, 200);
    }
    let asked = async || {
        let tokens = api.metric("llmplane_api_token_reviews_total").await;
        tokens + api.metric("llmplane_api_access_reviews_total").await
    };
    let before = asked().await;
    for path in paths.iter().cycle().take(60) {
        assert_eq!(viewer.get(path).await.status, 200);
    }
    assert_eq!(asked().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_anew_where_the_feed_forgot() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    api.write(models(vec![
        api.model(provider, "kept"),
        api.model(provider, "lost"),
    ]))
    .await;
    // As after a restore: rows are others, and the feed never heard of our revision.
    let mut connection = api.database.connect("llmplane_owner").await;
    for statement in [
        "UPDATE models SET deleted_at = now() WHERE name = 'lost'",
        "DELETE FROM changes",
        "UPDATE feed SET revision = revision - 1",
        "INSERT INTO changes (revision, kind, uid) SELECT revision, 'feed', gen_random_uuid() FROM feed",
    ] {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    eventually("the restored rows are shown", async || {
        viewer.get("/models").await.names() == ["kept"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_is_served_and_says_its_age_while_postgresql_is_away() {
    let plane: &'static Plane = Box::leak(Box::new(Plane::private().await));
    let api = TestApi::on(plane).await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    api.write(models(vec![api.model(provider, "gpt")])).await;
    assert_eq!(
        viewer.get("/models").await.header("llmplane-snapshot-age"),
        ""
    );

    plane.kill(Component::Postgres).await;
    eventually("the answers say that they are old", async || {
        let answer = viewer.get("/models").await;
        assert_eq!(answer.names(), ["gpt"]);
        !answer.header("llmplane-snapshot-age").is_empty()
    })
    .await;
    let history = viewer.get("/providers?include_deleted=true").await;
    assert_eq!(history.status, 403, "rights are looked at first");
    assert_eq!(api.ready().await.0, 200);

    plane.heal().await;
    eventually("the age is gone", async || {
        viewer
            .get("/models")
            .await
            .header("llmplane-snapshot-age")
            .is_empty()
    })
    .await;
    // The plane does not wait for its disk, so that the crash may have lost the last rows; then a
    // leader's revision is behind what it has committed, and another has to lead.
    let row = ProviderUpsert {
        uid: provider,
        namespace: api.namespace.name.clone(),
        ..rows::provider("openai")
    };
    let both = [api.model(provider, "gpt"), api.model(provider, "new")];
    eventually("a write goes through", async || {
        let Ok(epoch) = api.db.lead("after the crash").await else {
            return false;
        };
        let (row, both) = (row.clone(), both.clone());
        let write = api.db.write(epoch, move |tx| {
            async move {
                tx.provider_upsert(&row).await?;
                for model in &both {
                    tx.model_upsert(model).await?;
                }
                Ok(())
            }
            .boxed()
        });
        write.await.is_ok()
    })
    .await;
    eventually("it is shown", async || {
        viewer.get("/models").await.names() == ["gpt", "new"]
    })
    .await;
    drop(viewer);
    drop(api);
    llmplane::local::down(plane.state_dir(), true)
        .await
        .unwrap();
}
