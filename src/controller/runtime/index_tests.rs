use serde_json::json;

use super::*;

fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: serde_json::Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": "llmplane.dev/v1alpha1",
        "kind": kind,
        "metadata": {
            "namespace": "team", "name": name, "uid": format!("uid-{name}"),
            "generation": 1, "resourceVersion": "1",
        },
        "spec": spec,
    }))
    .unwrap()
}

fn provider(name: &str) -> LlmProvider {
    object("LlmProvider", name, json!({ "type": "OpenAI" }))
}

fn endpoint(name: &str, provider: &str) -> LlmEndpoint {
    object(
        "LlmEndpoint",
        name,
        json!({ "providerRef": { "name": provider } }),
    )
}

fn credential(name: &str, provider: &str, secret: &str) -> LlmCredential {
    object(
        "LlmCredential",
        name,
        json!({ "providerRef": { "name": provider }, "secretRef": { "name": secret } }),
    )
}

fn model(name: &str, provider: &str, id: &str) -> LlmModel {
    object(
        "LlmModel",
        name,
        json!({ "providerRef": { "name": provider }, "modelId": id }),
    )
}

fn secret(name: &str, version: &str) -> SecretMeta {
    serde_json::from_value(json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": { "namespace": "team", "name": name, "resourceVersion": version },
    }))
    .unwrap()
}

fn names(wakes: &[Wake]) -> Vec<String> {
    wakes
        .iter()
        .map(|w| format!("{}/{}", w.key.kind, w.key.name))
        .collect()
}

#[test]
fn a_provider_wakes_its_children_whatever_the_order_of_creation() {
    let mut index = Index::default();
    index.apply(endpoint("e", "p"));
    index.apply(credential("c", "p", "s"));
    index.apply(model("m", "p", "gpt"));
    index.apply(model("other", "q", "gpt"));
    assert_eq!(
        names(&index.apply(provider("p"))),
        ["provider/p", "endpoint/e", "credential/c", "model/m"]
    );
}

#[test]
fn a_status_or_a_mark_of_a_tool_wakes_nobody() {
    let mut index = Index::default();
    index.apply(provider("p"));
    index.apply(endpoint("e", "p"));
    let mut labelled = endpoint("e", "p");
    labelled.metadata.resource_version = Some("2".into());
    labelled.metadata.labels =
        Some([("kustomize.toolkit.fluxcd.io/name".into(), "b".into())].into());
    assert!(index.apply(labelled).is_empty());
}

#[test]
fn a_change_of_the_kinds_own_condition_wakes_the_provider_alone() {
    let mut index = Index::default();
    index.apply(provider("p"));
    index.apply(model("sibling", "p", "a"));
    index.apply(endpoint("e", "p"));
    let mut healthy = endpoint("e", "p");
    healthy.status = serde_json::from_value(json!({ "conditions": [{
        "type": "Healthy", "status": "True", "reason": "ProbeSucceeded", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] }))
    .unwrap();
    let wakes = index.apply(healthy.clone());
    assert_eq!(names(&wakes), ["provider/p"]);
    assert!(wakes[0].after > std::time::Duration::ZERO);
    assert!(index.apply(healthy).is_empty());
}

#[test]
fn a_new_request_for_checks_wakes_the_object() {
    let mut index = Index::default();
    index.apply(endpoint("e", "p"));
    let mut asked = endpoint("e", "p");
    asked.metadata.annotations =
        Some([(ANNOTATION_RECONCILE_REQUESTED_AT.into(), "now".into())].into());
    assert!(names(&index.apply(asked)).contains(&"endpoint/e".to_owned()));
}

#[test]
fn a_deleted_endpoint_wakes_itself_its_siblings_and_what_uses_it() {
    let mut index = Index::default();
    index.apply(endpoint("a", "p"));
    index.apply(endpoint("b", "p"));
    index.apply(credential("c", "p", "s"));
    index.apply(model("m", "p", "gpt"));
    assert_eq!(
        names(&index.delete::<LlmEndpoint>("team", "a")),
        [
            "provider/p",
            "endpoint/a",
            "endpoint/b",
            "credential/c",
            "model/m"
        ]
    );
    assert!(index.delete::<LlmEndpoint>("team", "a").is_empty());
}

#[test]
fn a_model_wakes_those_of_its_old_and_its_new_id() {
    let mut index = Index::default();
    index.apply(model("old", "p", "one"));
    index.apply(model("new", "p", "two"));
    index.apply(model("m", "p", "one"));
    let mut moved = model("m", "p", "two");
    moved.metadata.generation = Some(2);
    assert_eq!(
        names(&index.apply(moved)),
        ["provider/p", "model/m", "model/new", "model/old"]
    );
    assert_eq!(index.models_like_id("team", "p", "one").len(), 1);
}

#[test]
fn a_secret_wakes_its_credentials_once_for_each_version() {
    let mut index = Index::default();
    index.apply(credential("c", "p", "s"));
    assert_eq!(
        names(&index.apply_secret(secret("s", "1"))),
        ["credential/c"]
    );
    assert!(index.apply_secret(secret("s", "1")).is_empty());
    assert_eq!(names(&index.delete_secret("team", "s")), ["credential/c"]);
}

#[test]
fn a_complete_list_removes_what_is_not_in_it_and_leaves_other_namespaces() {
    let mut index = Index::default();
    index.apply(provider("gone"));
    index.apply(provider("undecodable"));
    let mut elsewhere = provider("elsewhere");
    elsewhere.metadata.namespace = Some("other".into());
    index.apply(elsewhere);
    let undecodable = [("team".to_owned(), "undecodable".to_owned())].into();
    let wakes = index.replace(Some("team"), vec![provider("p")], &undecodable);
    assert_eq!(names(&wakes), ["provider/gone", "provider/p"]);
    let left = index.names::<LlmProvider>("team").len() + index.names::<LlmProvider>("other").len();
    assert_eq!(left, 3);
}

#[test]
fn a_status_that_was_written_does_not_replace_what_the_watch_brought_since() {
    let mut index = Index::default();
    let read = provider("p");
    let mut newer = provider("p");
    newer.metadata.resource_version = Some("3".into());
    index.apply(newer);
    let mut written = provider("p");
    written.metadata.resource_version = Some("2".into());
    index.refresh(&read, written);
    let held = index.get::<LlmProvider>("team", "p").unwrap();
    assert_eq!(held.resource_version().as_deref(), Some("3"));
}

#[test]
fn a_key_that_rotates_wakes_its_provider_while_it_stays_valid() {
    let with_key = |fingerprint: &str, version: &str| {
        let mut credential = credential("c", "p", "s");
        credential.metadata.resource_version = Some(version.into());
        credential.status = serde_json::from_value(json!({
            "fingerprint": fingerprint,
            "conditions": [{
                "type": "Valid", "status": "True", "reason": "KeyAccepted", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }))
        .unwrap();
        credential
    };
    let mut index = Index::default();
    index.apply(provider("p"));
    index.apply(with_key("f1", "1"));
    assert_eq!(names(&index.apply(with_key("f1", "2"))), [""; 0]);
    assert_eq!(names(&index.apply(with_key("f2", "3"))), ["provider/p"]);
}

#[test]
fn a_model_that_is_taken_over_wakes_itself_and_its_twins() {
    let mut index = Index::default();
    let generated_by = Some([(LABEL_GENERATED_BY.to_owned(), "model-sync".to_owned())].into());
    let mut generated = model("a", "p", "gpt");
    generated.metadata.labels = generated_by;
    index.apply(generated);
    index.apply(model("b", "p", "gpt"));
    let woken = names(&index.apply(model("a", "p", "gpt")));
    assert!(woken.contains(&"model/a".to_owned()), "{woken:?}");
    assert!(woken.contains(&"model/b".to_owned()), "{woken:?}");
}

#[test]
fn a_label_is_a_part_of_what_is_declared() {
    let mut index = Index::default();
    index.apply(provider("p"));
    index.apply(model("m", "p", "id"));
    let mut labelled = model("m", "p", "id");
    labelled.metadata.labels = Some([("stage".to_owned(), "production".to_owned())].into());
    let woken = names(&index.apply(labelled.clone()));
    assert!(woken.contains(&"model/m".to_owned()), "{woken:?}");
    assert!(index.apply(labelled).is_empty());
    let mut labelled = provider("p");
    labelled.metadata.labels = Some([("stage".to_owned(), "production".to_owned())].into());
    let woken = names(&index.apply(labelled.clone()));
    assert!(woken.contains(&"provider/p".to_owned()), "{woken:?}");
    assert!(index.apply(labelled).is_empty());
}

#[test]
fn a_list_wakes_what_changed_before_what_is_in_force_as_it_is_declared() {
    let listed = |name: &str, observed: i64, asked: bool| -> LlmProvider {
        let mut object = serde_json::to_value(provider(name)).unwrap();
        object["status"] = json!({ "conditions": [{
            "type": "Ready", "status": "True", "reason": "Reconciled", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": observed,
        }] });
        if asked {
            object["metadata"]["annotations"] =
                json!({ "llmplane.dev/reconcile-requested-at": "now" });
        }
        serde_json::from_value(object).unwrap()
    };
    let mut index = Index::default();
    let all = vec![
        listed("asked", 1, true),
        listed("changed", 0, false),
        provider("new"),
        listed("same", 1, false),
    ];
    let wakes = index.replace(Some("team"), all, &HashSet::new());
    let news = |wake: &Wake| (wake.key.name.clone(), wake.is_news);
    let news: Vec<(String, bool)> = wakes.iter().map(news).collect();
    let wanted = [
        ("asked", true),
        ("changed", true),
        ("new", true),
        ("same", false),
    ];
    assert_eq!(
        news,
        wanted.map(|(name, is_news)| (name.to_owned(), is_news))
    );
    // Whoever is woken for two reasons is woken for the better one.
    let key = || provider("same").key();
    let both = distinct(vec![Wake::now(key()).behind_news(), Wake::now(key())]);
    assert_eq!(both, [Wake::now(key())]);
}

#[test]
fn a_request_that_was_answered_or_taken_back_asks_for_nothing() {
    let asking = |asked: Option<&str>| {
        let mut object = provider("p");
        let named = |asked: &str| {
            let name = "llmplane.dev/reconcile-requested-at".to_owned();
            [(name, asked.to_owned())].into()
        };
        object.metadata.annotations = asked.map(named);
        object
    };
    for (asked, handled, is_wanted) in [
        (None, None, false),
        (None, Some("1"), false),
        (Some("1"), None, true),
        (Some("1"), Some("1"), false),
        (Some("2"), Some("1"), true),
    ] {
        let object = asking(asked);
        assert_eq!(
            is_asked(&object, handled),
            is_wanted,
            "{asked:?} {handled:?}"
        );
    }
}
