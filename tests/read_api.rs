//! What the read API answers, over sockets, from rows that a controller would store.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::Timestamp;
use llmplane::crd::ProviderType;
use llmplane::crd::model::{Capability, Lifecycle, ModelCapability, PriceTier};
use llmplane::crd::reasons::Reason;
use llmplane::db::{CheckKind, NewProbe};
use llmplane::local::state::Component;
use serde_json::{Value, json};

use crate::support::api::{TestApi, answer, apiserver_proxy, models};
use crate::support::plane::{Plane, eventually};
use crate::support::rows;

const COMMON: &str = "id namespace name is_active created_at updated_at conditions";

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
            tx.upsert(&endpoint).await?;
            tx.upsert(&credential).await?;
            tx.credential_version_insert(&version).await?;
            tx.upsert(&model).await.map(drop)
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
         expires_at quota_limit quota_unit quota_period priority validity federation",
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
        "provider_id endpoint_ids model_id base_model display_name version type context_window \
         max_input_tokens max_output_tokens embedding_dimensions input_modalities output_modalities \
         currency input_price output_price cache_read_price cache_write_price reasoning_price \
         audio_input_price audio_output_price batch_input_price batch_output_price image_price \
         request_price price_tiers limits capabilities recommended_for default_parameters status \
         deprecated_at retires_at replacement_model_id availability origin labels",
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
async fn prices_are_those_of_the_call_that_is_asked_for() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("first").await;
    let price = |text: &str| Some(text.to_owned());
    let model = |name: &str, input: &str, output: Option<&str>| {
        let mut model = api.model(provider, name);
        (
            model.price_tiers,
            model.cache_read_price,
            model.request_price,
        ) = (vec![], None, None);
        model.input_price = price(input);
        model.output_price = output.map(str::to_owned);
        model
    };
    let flat = model("flat", "0.003", Some("0.010"));
    let mut tiered = model("tiered", "0.001", Some("0.004"));
    tiered.price_tiers = vec![PriceTier {
        from_input_tokens: 200_000,
        input_per1k_tokens: price("0.006"),
        output_per1k_tokens: price("0.020"),
        ..PriceTier::default()
    }];
    let mut cached = model("cached", "0.005", Some("0.010"));
    cached.cache_read_price = price("0.0005");
    let mut half_known = model("half-known", "0.001", None);
    half_known.price_tiers = vec![PriceTier {
        from_input_tokens: 200_000,
        output_per1k_tokens: price("0.001"),
        ..PriceTier::default()
    }];
    api.write(models(vec![flat, tiered, cached, half_known]))
        .await;

    for (query, names) in [
        (
            "max_input_price=0.003&currency=USD",
            &["flat", "half-known", "tiered"][..],
        ),
        // Of the tier that the prompt reaches; what that leaves out is unknown.
        (
            "max_input_price=0.003&currency=USD&prompt_tokens=200000",
            &["flat"],
        ),
        (
            "max_input_price=0.003&currency=USD&prompt_tokens=199999",
            &["flat", "half-known", "tiered"],
        ),
        // On the average of the call: half of it is in the cache.
        (
            "max_input_price=0.003&currency=USD&prompt_tokens=1000&cached_tokens=500",
            &["cached", "flat", "half-known", "tiered"],
        ),
        (
            "max_input_price=0.00275&currency=USD&prompt_tokens=1000&cached_tokens=500",
            &["cached", "half-known", "tiered"],
        ),
        (
            "max_input_price=0.00274&currency=USD&prompt_tokens=1000&cached_tokens=500",
            &["half-known", "tiered"],
        ),
        // 1,000 tokens of prompt and 100 of answer: 0.0014, 0.004, 0.006; one is not known.
        (
            "sort=price&prompt_tokens=1000&output_tokens=100",
            &["tiered", "flat", "cached", "half-known"],
        ),
        (
            "sort=-price&prompt_tokens=1000&output_tokens=100",
            &["cached", "flat", "tiered", "half-known"],
        ),
        (
            "sort=price&prompt_tokens=1000",
            &["half-known", "tiered", "flat", "cached"],
        ),
        (
            "sort=price&prompt_tokens=200000&output_tokens=1",
            &["flat", "cached", "tiered", "half-known"],
        ),
    ] {
        let found = viewer.get(&format!("/models?{query}")).await;
        assert_eq!(found.names(), names, "{query}");
        let found = viewer
            .get(&format!("/models/by-capability/Chat?{query}"))
            .await;
        assert_eq!(found.names(), names, "{query}");
        // A page at a time the order is the same.
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = viewer
                .get(&format!("/models?{query}&limit=1{cursor}"))
                .await;
            paged.extend(page.names().iter().map(ToString::to_string));
            match page.json()["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(paged, names, "{query}");
    }
    for (query, words) in [
        ("prompt_tokens=5&cached_tokens=6", "cached_tokens: "),
        ("cached_tokens=1&output_tokens=1", "cached_tokens: "),
        (
            "prompt_tokens=0",
            "prompt_tokens: a typical call has at least one token",
        ),
        (
            "prompt_tokens=-1",
            "prompt_tokens: expected a whole number from 0",
        ),
        (
            "output_tokens=x",
            "output_tokens: expected a whole number from 0",
        ),
    ] {
        let refused = viewer.get(&format!("/models?{query}")).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (400, "invalid-parameter".to_owned())
        );
        assert!(
            refused.detail().contains(words),
            "{query}: {}",
            refused.detail()
        );
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
    let ahead = viewer.get("/models").await.revision() + 3_600_000;
    // What may come is waited for, and what is no revision is not.
    for (revision, waits) in [(ahead, true), (i64::MAX, false)] {
        let asked = Instant::now();
        let path = format!("/models?min_revision={revision}");
        let late = viewer.get(&path).await;
        assert_eq!(
            (late.status, late.problem().as_str()),
            (504, "revision-timeout")
        );
        assert!(!waits || asked.elapsed().as_secs() >= 4, "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_looked_at_before_a_revision_is_waited_for() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let mut credential = rows::credential(provider, "main");
    credential.namespace = api.namespace.name.clone();
    api.write(move |tx| async move { tx.upsert(&credential).await.map(drop) }.boxed())
        .await;
    let stranger = api.account("stranger", &[], &[]).await;
    let half = api.account("half", &["get"], &["llmproviders"]).await;
    let ahead = viewer.get("/models").await.revision() + 3_600_000;
    let ahead = |path: &str| format!("{path}?min_revision={ahead}");
    let absent = uuid::Uuid::new_v4();
    let paths = [
        format!("/providers/{provider}"),
        "/providers/openai".to_owned(),
        "/providers/openai/endpoints".to_owned(),
        "/providers/absent".to_owned(),
        format!("/models/{absent}"),
        "/endpoints/absent/health".to_owned(),
        "/credentials/main".to_owned(),
    ];
    // What is there looks like what is not; nobody waits for it.
    for path in &paths {
        let hidden = stranger.get(&ahead(path)).await;
        assert_eq!(
            (hidden.status, hidden.problem().as_str()),
            (404, "not-found"),
            "{path}"
        );
    }
    let waits = paths.iter().map(|path| {
        let path = ahead(path);
        let viewer = &viewer;
        async move { viewer.get(&path).await }
    });
    for late in futures::future::join_all(waits).await {
        assert_eq!(
            (late.status, late.problem().as_str()),
            (504, "revision-timeout"),
            "{}",
            late.text
        );
    }
    // A further right of the route's is one of them.
    for (caller, path) in [
        (&half, "/providers/openai/endpoints"),
        (&half, "/providers/openai/credentials"),
        (&viewer, "/credentials/main/holders"),
    ] {
        let refused = caller.get(&ahead(path)).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (403, "forbidden"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_shown_newest_first_page_by_page() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let mut endpoint = rows::endpoint(provider, "main");
    endpoint.namespace = api.namespace.name.clone();
    let uid = endpoint.uid;
    api.write(move |tx| async move { tx.upsert(&endpoint).await.map(drop) }.boxed())
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

/// Statements of the feed, which polls; no request makes one of them.
fn is_the_feeds(statement: &str) -> bool {
    let statement = statement.trim_start();
    let begins = ["BEGIN", "ROLLBACK", "LISTEN", "SET "];
    statement.is_empty()
        || begins.iter().any(|word| statement.starts_with(word))
        || statement.contains("FROM feed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_read_asks_neither_the_apiserver_nor_postgresql() {
    let proxy = apiserver_proxy().await;
    let (api, postgres) = TestApi::behind_both(&proxy).await;
    let viewer = api.viewer().await;
    let narrow = api
        .account("narrow", &["get", "list"], &["llmmodels"])
        .await;
    let provider = api.provider("openai").await;
    let model = api.model(provider, "gpt");
    let by_uid = format!("/models/{}", model.uid);
    api.write(models(vec![model])).await;
    let reads = [
        (&viewer, "/providers"),
        (&viewer, "/providers/openai"),
        (&viewer, "/providers/openai/endpoints"),
        (&viewer, "/providers/openai/credentials"),
        (&viewer, "/models?sort=-price"),
        (&narrow, "/models"),
        (&narrow, &by_uid),
        (&narrow, "/models/gpt"),
        (&narrow, "/models/by-capability/Chat"),
    ];
    let read_all = async || {
        for (caller, path) in reads {
            assert_eq!(caller.get(path).await.status, 200, "{path}");
        }
    };
    let asked_first = proxy.requests();
    read_all().await;
    assert!(proxy.requests() > asked_first, "the proxy is passed");
    let (asked, executed) = (proxy.requests(), postgres.executed().len());
    for _ in 0..10 {
        read_all().await;
    }
    assert_eq!(proxy.requests(), asked);
    let executed = postgres.executed().split_off(executed);
    let requests: Vec<_> = executed.iter().filter(|text| !is_the_feeds(text)).collect();
    assert_eq!(requests, [""; 0]);
    assert!(executed.len() < 10 * reads.len() / 2, "{executed:#?}");

    // A statement of a request shows.
    let before = postgres.executed().len();
    let probes = viewer.get("/endpoints/nobody/health").await;
    assert_eq!(probes.status, 404);
    let auditor = api.auditor().await;
    let deleted = auditor.get("/models?include_deleted=true").await;
    assert_eq!(deleted.status, 200);
    let executed = postgres.executed().split_off(before);
    assert!(
        executed.iter().any(|text| !is_the_feeds(text)),
        "{executed:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_nested_too_deeply_to_be_read_hide_their_model_alone() {
    let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let provider = api.provider("openai").await;
    let mut deep = api.model(provider, "deep");
    // As deep as a declaration may be.
    deep.default_parameters = nested(32).as_object().cloned();
    let bottomless = api.model(provider, "bottomless");
    let uid = bottomless.uid;
    api.write(models(vec![deep, bottomless])).await;
    assert_eq!(viewer.get("/models").await.names(), ["bottomless", "deep"]);
    let shown = viewer.get("/models/deep").await.json();
    assert_eq!(shown["default_parameters"], nested(32));

    let mut owner = api.database.connect("llmplane_owner").await;
    let parameters = format!("{}1{}", "{\"a\":".repeat(300), "}".repeat(300));
    sqlx::query("UPDATE models SET default_parameters = $1::text::jsonb WHERE uid = $2")
        .bind(parameters)
        .bind(uid)
        .execute(&mut owner)
        .await
        .unwrap();
    // The feed has the row read again.
    for statement in [
        "UPDATE feed SET revision = revision + 1",
        "INSERT INTO changes (revision, kind, uid) SELECT feed.revision, 'model', uid FROM feed, models WHERE name = 'bottomless'",
    ] {
        sqlx::query(statement).execute(&mut owner).await.unwrap();
    }
    api.write(models(vec![api.model(provider, "later")])).await;
    assert_eq!(viewer.get("/models").await.names(), ["deep", "later"]);
    assert_eq!(viewer.get("/models/bottomless").await.status, 404);
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
    let (viewer, auditor) = (api.viewer().await, api.auditor().await);
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
    for path in [
        "/providers?include_deleted=true",
        "/models?include_deleted=true&sort=-price",
        "/providers/openai/credentials?include_deleted=true",
        "/models/nobody?include_deleted=true",
        "/models/00000000-0000-4000-8000-000000000000?include_deleted=true",
    ] {
        let unanswered = auditor.get(path).await;
        assert_eq!(
            (unanswered.status, unanswered.problem().as_str()),
            (503, "database-unavailable"),
            "{path}"
        );
        assert_eq!(unanswered.header("retry-after"), "1", "{path}");
        assert_eq!(unanswered.header("etag"), "", "{path}");
    }
    let live = auditor.get("/models/gpt?include_deleted=true").await;
    assert_eq!(live.status, 200, "what is live is in memory");
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
    let mut row = rows::provider("openai");
    row.uid = provider;
    row.namespace.clone_from(&api.namespace.name);
    let both = [api.model(provider, "gpt"), api.model(provider, "new")];
    eventually("a write goes through", async || {
        let Ok(epoch) = api.db.lead("after the crash").await else {
            return false;
        };
        let (row, both) = (row.clone(), both.clone());
        let write = api.db.write(epoch, move |tx| {
            async move {
                tx.upsert(&row).await?;
                for model in &both {
                    tx.upsert(model).await?;
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
    drop((viewer, auditor));
    drop(api);
    llmplane::local::down(plane.state_dir(), true)
        .await
        .unwrap();
}
