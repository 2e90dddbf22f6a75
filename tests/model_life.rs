//! The end of a model's life, its prices and its labels: from what is declared, or what a vendor lists, to
//! conditions, Events and answers.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api;
use crate::support::fake_vendor::FakeVendor;
use crate::support::plane::eventually;
use crate::support::process::{Process, viewer};
use crate::support::world::World;

const KEY: &str = "sk-life-0123456789abcdef";

fn after(hours: i64) -> String {
    let time = Timestamp::now() + SignedDuration::from_hours(hours);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A provider `p` at this vendor, with an endpoint and a key that are Ready.
async fn world(vendor: &FakeVendor, prefix: &str) -> World {
    let world = World::started(prefix).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    world
}

async fn declare(world: &World, id: &str, more: Value) {
    let mut spec = json!({ "providerRef": { "name": "p" }, "modelId": id });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    world.apply("LlmModel", id, spec).await;
}

/// Waits for an Event about a model with this reason and these words.
async fn told(world: &World, model: &str, reason: &str, words: &str) {
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.ns());
    eventually(
        &format!("{model} is told of: {reason}: {words}"),
        async || {
            let listed = events.list(&ListParams::default()).await.unwrap();
            listed.items.iter().any(|event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(model)
                    && event.note.as_deref().unwrap_or_default().contains(words)
            })
        },
    )
    .await;
}

async fn resolved(api: &Process, token: &str, body: Value) -> api::Answer {
    let request = api.request(Method::POST, token, "/resolve");
    api::answer(request.json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_warns_before_it_retires_and_is_given_to_nobody_from_its_day() {
    let ids = ["month", "week", "day", "gone", "next"];
    let vendor = FakeVendor::start(&[KEY], &ids).await;
    let world = world(&vendor, "retires").await;
    let api = Process::api(&world, &[]);
    api.ready().await;
    let next = json!({ "modelId": "next" });
    for (id, hours, left) in [
        ("month", 20 * 24, "30 days"),
        ("week", 5 * 24, "7 days"),
        ("day", 12, "1 day"),
    ] {
        declare(
            &world,
            id,
            json!({ "retiresAt": after(hours), "replacement": next }),
        )
        .await;
        world
            .says("LlmModel", id, "Available", "True", "RetiresSoon")
            .await;
        world.ready("LlmModel", id).await;
        told(&world, id, "RetiresSoon", &format!("in less than {left};")).await;
    }
    declare(
        &world,
        "gone",
        json!({ "retiresAt": after(-24), "replacement": next }),
    )
    .await;
    world
        .says("LlmModel", "gone", "Available", "False", "Retired")
        .await;
    world
        .says("LlmModel", "gone", "Ready", "False", "Retired")
        .await;
    told(&world, "gone", "Retired", "move its users to next").await;

    let token = viewer(&world).await;
    let found = async || {
        let body = json!({ "capabilities": [], "exclude": ["month", "week", "day"] });
        resolved(&api, &token, body).await
    };
    eventually("the retired model is left out", async || {
        let told = found().await.json()["considered"].clone();
        (told.as_array().into_iter().flatten())
            .any(|one| one["model"] == "gone" && one["reason"] == "Retired")
    })
    .await;
    let by_name = resolved(&api, &token, json!({ "model": "gone" })).await;
    assert_eq!(
        (by_name.status, by_name.problem()),
        (404, "no-model".to_owned())
    );
    assert_eq!(by_name.json()["considered"][0]["reason"], "Retired");
    let detail = by_name.json()["considered"][0]["detail"].to_string();
    assert!(detail.contains("use next in its place"), "{detail}");

    // What ends before a time, by the time or by the day.
    let names = async |before: &str| {
        let answer = api
            .get(&token, &format!("/models?retires_before={before}"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.names()
    };
    assert_eq!(names(&after(24)).await, ["day", "gone"]);
    assert_eq!(names("2099-01-01").await, ["day", "gone", "month", "week"]);
    assert_eq!(names("2001-01-01").await, [""; 0]);
    let refused = api.get(&token, "/models?retires_before=soon").await;
    assert_eq!(refused.status, 400);
    assert!(refused.detail().contains("2027-01-31"), "{}", refused.text);
}

/// What the vendor lists is the row's, with its origin, and ends a model that is declared without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_list_ends_a_model_and_a_declared_time_comes_before_it() {
    let vendor = FakeVendor::start(&[KEY], &["over", "kept"]).await;
    for entry in &mut vendor.shop().models {
        entry["deprecation"] = "2020-01-31T12:00:00Z".into();
        entry["deprecation_replacement_model"] = "other".into();
    }
    let world = world(&vendor, "listedend").await;
    declare(&world, "over", json!({})).await;
    declare(&world, "kept", json!({ "retiresAt": after(90 * 24) })).await;
    world
        .says("LlmModel", "over", "Ready", "False", "Retired")
        .await;
    let message = world.message("LlmModel", "over", "Available").await;
    assert_eq!(
        message,
        "it retired at 2020-01-31T12:00:00Z, by the vendor; move its users to other"
    );
    world
        .says("LlmModel", "kept", "Available", "True", "ModelListed")
        .await;
    let effective = world.get("LlmModel", "over").await["status"]["effective"].clone();
    assert_eq!(effective["retiresAt"], "2020-01-31T12:00:00Z");
    assert_eq!(effective["origin"]["retiresAt"], "vendor");
    let rows = world.db().await.model_rows_all(false).await.unwrap();
    let row = rows.iter().find(|row| row.name == "over").unwrap();
    assert_eq!(row.replacement_model_id.as_deref(), Some("other"));
    assert_eq!(json!(row.origin["retires_at"]), "vendor");
}

/// The replacement's own end is said, also where that is declared later.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_is_retired_itself_is_said_where_it_stands() {
    let vendor = FakeVendor::start(&[KEY], &["old", "next"]).await;
    let world = world(&vendor, "replaced").await;
    let replacement = json!({ "modelId": "next" });
    declare(
        &world,
        "old",
        json!({ "retiresAt": after(48), "replacement": replacement }),
    )
    .await;
    world
        .says("LlmModel", "old", "Available", "True", "RetiresSoon")
        .await;
    let message = async || world.message("LlmModel", "old", "Available").await;
    assert!(message().await.contains("move its users to next"));
    declare(&world, "next", json!({ "retiresAt": after(-48) })).await;
    eventually("the replacement's end is said", async || {
        message()
            .await
            .contains("its replacement next has retired itself")
    })
    .await;
}

/// From the resource to the row: every price, the tiers, limits, forms and labels.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_of_a_model_is_in_its_row_and_found_by_it() {
    let vendor = FakeVendor::start(&[KEY], &["a", "b"]).await;
    let mut world = World::new("described").await;
    let mut settings = world.settings();
    settings.label_prefixes = vec!["acme.example".parse().unwrap()];
    world.start_with(settings).await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    let api = Process::api(&world, &[]);
    api.ready().await;
    let price = |price: &str| Value::from(price);
    let spec = json!({
        "providerRef": { "name": "p" }, "modelId": "a", "baseModel": "gpt-4o",
        "embeddingDimensions": 1024, "modalities": { "input": ["Text", "Image"], "output": ["Text"] },
        "limits": [{ "unit": "Requests", "limit": 500, "period": "Minute" }, { "unit": "ConcurrentRequests", "limit": 5 }],
        "pricing": {
            "currency": "USD", "inputPer1kTokens": "0.001", "outputPer1kTokens": "0.01", "cacheReadPer1kTokens": "0.0001",
            "perRequest": "0.005",
            "tiers": [{ "fromInputTokens": 1000, "inputPer1kTokens": "0.002", "outputPer1kTokens": "0.02" }],
        },
    });
    let labels =
        json!({ "acme.example/team": "search", "app.kubernetes.io/part-of": "x", "stage": "test" });
    let object = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
        "metadata": { "name": "a", "namespace": world.ns(), "labels": labels }, "spec": spec,
    });
    world.apply_object("LlmModel", object).await;
    let flat = json!({ "pricing": { "currency": "USD", "inputPer1kTokens": "0.0015", "outputPer1kTokens": "0.015" } });
    declare(&world, "b", flat).await;
    world.ready("LlmModel", "a").await;
    world.ready("LlmModel", "b").await;
    let token = viewer(&world).await;
    eventually("both rows are there", async || {
        api.get(&token, "/models").await.names().len() == 2
    })
    .await;
    let row = api.get(&token, "/models/a").await.json();
    assert_eq!(row["base_model"], "gpt-4o");
    assert_eq!(row["input_modalities"], json!(["Text", "Image"]));
    assert_eq!(
        row["limits"][1],
        json!({ "unit": "ConcurrentRequests", "limit": 5, "period": null })
    );
    assert_eq!(
        (&row["cache_read_price"], &row["cache_write_price"]),
        (&price("0.0001"), &Value::Null)
    );
    assert_eq!(row["price_tiers"][0]["from_input_tokens"], 1000);
    assert_eq!(row["price_tiers"][0]["output_price"], "0.02");
    assert_eq!(
        row["labels"],
        json!({ "acme.example/team": "search", "app.kubernetes.io/part-of": "x" })
    );
    assert_eq!(row["origin"]["price_tiers"], "declared");
    // What the catalog knows of the model behind it, and not what that costs elsewhere.
    assert_eq!(row["origin"]["context_window"], "catalog");

    for (query, names) in [
        ("base_model=gpt-4o", vec!["a"]),
        ("input_modality=Image&output_modality=Text", vec!["a"]),
        ("input_modality=Video", vec![]),
        ("embedding_dimensions=1024", vec!["a"]),
        ("embedding_dimensions=1023", vec![]),
        (
            "selector=acme.example/team%3Dsearch,stage%3Dtest",
            vec!["a"],
        ),
        ("selector=stage%3Dproduction", vec![]),
    ] {
        let answer = api.get(&token, &format!("/models?{query}")).await;
        assert_eq!(
            (answer.status, answer.names()),
            (200, names.iter().map(|n| (*n).to_owned()).collect()),
            "{query}"
        );
    }
    for (query, word) in [
        ("selector=stage", "stage=production"),
        ("input_modality=Smell", "Text"),
        ("embedding_dimensions=0", "embedding_dimensions"),
    ] {
        let refused = api.get(&token, &format!("/models?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.text.contains(word), "{}", refused.text);
    }

    // A short prompt is cheaper at a (but for what a call costs), a long one at b, and a cached one at a again.
    let best = async |prompt: u64, cached: u64| {
        let need = json!({ "currency": "USD", "prompt_tokens": prompt, "cached_tokens": cached, "output_tokens": 100 });
        resolved(&api, &token, need).await.json()["model"]["name"].clone()
    };
    assert_eq!(best(100_000, 0).await, "b");
    assert_eq!(best(999, 900).await, "b");
    let dear = json!({ "max_input_price": "0.001", "currency": "USD", "prompt_tokens": 999 });
    assert_eq!(
        resolved(&api, &token, dear).await.json()["model"]["name"],
        "a"
    );
    let dear = json!({ "max_input_price": "0.001", "currency": "USD", "prompt_tokens": 1000 });
    let none = resolved(&api, &token, dear).await;
    assert_eq!(none.status, 404);
    assert!(none.text.contains("PriceTooHigh"), "{}", none.text);
}
