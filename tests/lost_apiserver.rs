//! The kube-apiserver is lost, comes back without its history, cuts watches in the middle, or holds
//! objects that do not decode: nothing is missed, nobody waits for the bad one, and nothing is
//! written that need not be.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use llmplane::{crd::crds, local::state::Component};
use serde_json::{Value, json};

use crate::support::{
    etcd,
    fake_vendor::FakeVendor,
    gate::{ApiserverProxy, Gate},
    plane::{Plane, eventually},
    process::Process,
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const UNTOUCHED: [(&str, &str); 3] = [
    ("LlmEndpoint", "e"),
    ("LlmCredential", "c"),
    ("LlmModel", "untouched"),
];

async fn declare(world: &World, vendor: &FakeVendor) {
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("untouched", "gpt-a").await;
    world.model("deleted", "gpt-b").await;
    for (kind, name) in UNTOUCHED {
        world.ready(kind, name).await;
    }
    world.ready("LlmModel", "deleted").await;
    eventually("the provider's summary is complete", async || {
        let status = world.get("LlmProvider", "p").await["status"].clone();
        status["models"]["available"] == 2 && status["credentials"]["valid"] == 1
    })
    .await;
}

async fn versions(world: &World) -> Vec<Value> {
    let mut versions = Vec::new();
    for (kind, name) in UNTOUCHED {
        versions.push(world.get(kind, name).await["metadata"]["resourceVersion"].clone());
    }
    versions
}

/// A model came, one went, and the provider was changed.
async fn change(world: &World) {
    world.model("new", "gpt-c").await;
    world.delete("LlmModel", "deleted").await;
    world
        .provider("p", json!({ "displayName": "meanwhile" }))
        .await;
}

async fn caught_up(world: &World) {
    let db = world.db().await;
    eventually("rows are what is declared", async || {
        let models = db.model_rows_all(false).await.unwrap();
        let mut names: Vec<_> = models.into_iter().map(|row| row.name.clone()).collect();
        names.sort();
        let provider = db.provider_rows_all(false).await.unwrap().remove(0);
        names == ["new", "untouched"] && provider.display_name.as_deref() == Some("meanwhile")
    })
    .await;
    world.ready("LlmModel", "new").await;
    world.ready("LlmProvider", "p").await;
    eventually("the summary is complete", async || {
        world.get("LlmProvider", "p").await["status"]["models"]["total"] == 2
    })
    .await;
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apiserver_that_comes_back_without_its_history_is_listed_anew() {
    let plane: &'static Plane = Box::leak(Box::new(Plane::private().await));
    let vendor = FakeVendor::start(&[KEY], &["gpt-a", "gpt-b", "gpt-c"]).await;
    let world = World::on(plane, "compacted").await;
    let kubeconfig = plane.kubeconfig_of(Component::Controller);
    let proxy = ApiserverProxy::start(Gate::new(None), &kubeconfig).await;
    let through = [("KUBECONFIG", proxy.kubeconfig().to_str().unwrap())];
    let mut controller = Process::controller(&world, &through);
    declare(&world, &vendor).await;
    let before = versions(&world).await;

    proxy.sever();
    eventually("the controller says what it waits for", async || {
        let (status, said) = controller.admin("/readyz").await;
        status == 503 && said.contains("kube-apiserver: ")
    })
    .await;
    assert_eq!(controller.metric("llmplane_apiserver_up").await, Some(0.0));
    change(&world).await;
    etcd::compact(plane).await;
    plane.restart_apiserver().await;
    proxy.mend();

    caught_up(&world).await;
    eventually("watches were told that their history is gone", async || {
        proxy.expired() > 0
    })
    .await;
    controller.ready().await;
    assert_eq!(controller.metric("llmplane_apiserver_up").await, Some(1.0));
    assert_eq!(versions(&world).await, before, "needless writes");
    let log = controller.log();
    let said = log.lines().filter(|line| line.contains("does not answer"));
    assert_eq!(said.count(), 1, "{log}");
    assert!(controller.runs());
    controller.kill().await;
    drop(world);
    llmplane::local::down(plane.state_dir(), true)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_cut_in_the_middle_of_an_event_loses_none() {
    let vendor = FakeVendor::start(&[KEY], &["gpt-a", "gpt-b", "gpt-c"]).await;
    let world = World::new("cut").await;
    let kubeconfig = world.plane.kubeconfig_of(Component::Controller);
    let proxy = ApiserverProxy::start(Gate::new(None), &kubeconfig).await;
    let through = [("KUBECONFIG", proxy.kubeconfig().to_str().unwrap())];
    let mut controller = Process::controller(&world, &through);
    declare(&world, &vendor).await;
    let before = versions(&world).await;

    proxy.cut_events(5);
    change(&world).await;
    caught_up(&world).await;
    assert!(proxy.cut() >= 3, "{} events were cut", proxy.cut());
    assert_eq!(versions(&world).await, before, "needless writes");
    assert!(controller.runs(), "{}", controller.log());
}

async fn take_any_model(plane: &Plane, any: bool) {
    take_any(plane, "LlmModel", any).await;
}

/// What the apiserver takes for a kind from now on: the shipped schema, or anything.
async fn take_any(plane: &Plane, kind: &str, any: bool) {
    let api: Api<CustomResourceDefinition> = Api::all(plane.client().await);
    let mut crd = crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind)
        .unwrap();
    if any {
        let version = &mut crd.spec.versions[0];
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        version.schema.as_mut().unwrap().open_api_v3_schema =
            Some(serde_json::from_value(anything).unwrap());
        version.selectable_fields = None;
    }
    let name = crd.metadata.name.clone().unwrap();
    let params = PatchParams::apply("llmplane-local").force();
    api.patch(&name, &params, &Patch::Apply(&crd))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_does_not_decode_is_told_once_and_stops_nobody() {
    let plane: &'static Plane = Box::leak(Box::new(Plane::private().await));
    let vendor = FakeVendor::start(&[KEY], &["gpt-a", "gpt-b"]).await;
    let world = World::on(plane, "undecodable").await;
    let mut controller = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("turned", "gpt-a").await;
    world.ready("LlmModel", "turned").await;

    take_any_model(plane, true).await;
    let bad =
        json!({ "providerRef": { "name": "p" }, "modelId": "gpt-a", "contextWindow": "wide" });
    eventually("the apiserver takes anything", async || {
        world
            .try_apply(
                "LlmModel",
                json!({ "metadata": { "name": "turned" }, "spec": bad.clone() }),
            )
            .await
            .is_ok()
    })
    .await;
    world.apply("LlmModel", "born", bad).await;
    take_any_model(plane, false).await;
    let undecodable = "llmplane_undecodable_objects_total";
    eventually("both are counted", async || {
        controller.metric(undecodable).await == Some(2.0)
    })
    .await;

    world.model("good", "gpt-b").await;
    world.ready("LlmModel", "good").await;
    let db = world.db().await;
    let live = async || {
        let models = db.model_rows_all(false).await.unwrap();
        let mut names: Vec<_> = models.into_iter().map(|row| row.name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(
        live().await,
        ["good", "turned"],
        "what was stored stays as it was"
    );

    // A relist sees both again, which is no news.
    plane.restart_apiserver().await;
    world.model("later", "gpt-b2").await;
    eventually("the watch goes on", async || live().await.len() == 3).await;
    assert_eq!(controller.metric(undecodable).await, Some(2.0));
    let log = controller.log();
    for name in ["born", "turned"] {
        let named = |line: &&str| line.contains("does not decode") && line.contains(name);
        assert_eq!(log.lines().filter(named).count(), 1, "{name}: {log}");
    }

    // The former's invalid field is the test's own, so that applying without it removes it.
    // Server-side apply cannot read what is stored; an edit can.
    let edit = json!({ "spec": { "contextWindow": null } }).to_string();
    let names = ["-n", world.ns(), "llmmodel", "turned"];
    let edit = ["patch", "--type=merge", "-p", &edit];
    let edited = plane.kubectl(&[&edit[..], &names].concat()).await;
    assert!(edited.status.success(), "{edited:?}");
    world.ready("LlmModel", "turned").await;
    assert!(controller.runs(), "{}", controller.log());
    controller.kill().await;
    drop(world);
    llmplane::local::down(plane.state_dir(), true)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_provider_that_does_not_decode_all_stays_and_what_is_deleted_goes() {
    let plane: &'static Plane = Box::leak(Box::new(Plane::private().await));
    let vendor = FakeVendor::start(&[KEY], &["gpt-a", "gpt-b"]).await;
    let world = World::on(plane, "parent").await;
    let mut controller = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("kept", "gpt-a").await;
    world.model("turned", "gpt-b").await;
    for (kind, name) in [
        ("LlmEndpoint", "e"),
        ("LlmCredential", "c"),
        ("LlmModel", "kept"),
        ("LlmModel", "turned"),
    ] {
        world.ready(kind, name).await;
    }
    controller.kill().await;
    let provider = json!({ "type": "OpenAICompatible", "enabled": "perhaps" });
    let model = json!({ "providerRef": { "name": "p" }, "modelId": 7 });
    for (kind, name, spec) in [
        ("LlmProvider", "p", provider),
        ("LlmModel", "turned", model),
    ] {
        take_any(plane, kind, true).await;
        eventually("the apiserver takes anything", async || {
            let object = json!({ "metadata": { "name": name }, "spec": spec.clone() });
            world.try_apply(kind, object).await.is_ok()
        })
        .await;
        take_any(plane, kind, false).await;
    }
    let mut controller = Process::controller(&world, &[]);
    eventually("the three that are understood wait", async || {
        let (_, text) = controller.admin("/metrics").await;
        let waiting = text.lines().filter(|line| {
            line.starts_with("llmplane_reconciles_total") && line.contains("\"waiting\"")
        });
        waiting.count() == 3
    })
    .await;
    let db = world.db().await;
    let active = async || {
        let endpoints = db.endpoint_rows_all(false).await.unwrap();
        let credentials = db.credential_rows_all(false).await.unwrap();
        let models = db.model_rows_all(false).await.unwrap();
        let models = models
            .into_iter()
            .map(|row| (row.name.clone(), row.is_active));
        let mut all: Vec<_> = endpoints
            .into_iter()
            .map(|r| (r.name.clone(), r.is_active))
            .collect();
        all.extend(
            credentials
                .into_iter()
                .map(|r| (r.name.clone(), r.is_active)),
        );
        all.extend(models);
        all.sort();
        all
    };
    let of = |names: &[&str]| -> Vec<_> { names.iter().map(|n| (n.to_string(), true)).collect() };
    assert_eq!(active().await, of(&["c", "e", "kept", "turned"]));

    world.delete("LlmModel", "turned").await;
    eventually("the row of what was never understood goes", async || {
        active().await == of(&["c", "e", "kept"])
    })
    .await;
    let edit = json!({ "spec": { "enabled": null, "displayName": "again" } }).to_string();
    let names = ["-n", world.ns(), "llmprovider", "p"];
    let edit = ["patch", "--type=merge", "-p", &edit];
    let edited = plane.kubectl(&[&edit[..], &names].concat()).await;
    assert!(edited.status.success(), "{edited:?}");
    world.model("new", "gpt-b").await;
    world.ready("LlmModel", "new").await;
    assert!(controller.runs(), "{}", controller.log());
    controller.kill().await;
    drop(world);
    llmplane::local::down(plane.state_dir(), true)
        .await
        .unwrap();
}
