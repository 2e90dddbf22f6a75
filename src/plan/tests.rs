//! What manifests do to objects, and what is told of needs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::needs::{AskedFor, Needs, NeedsError};
use super::objects::{Objects, Place, Prune};
use crate::crd::Kind;

fn model(name: &str, meta: Value, spec: Value) -> (Place, Value) {
    let place = Place {
        kind: Kind::Model,
        namespace: "team".to_owned(),
        name: name.to_owned(),
    };
    let mut object = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
        "metadata": { "name": name },
        "spec": { "providerRef": { "name": "p" }, "modelId": name },
    });
    for (part, more) in [("metadata", meta), ("spec", spec)] {
        let fields = object[part].as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
    }
    (place, object)
}

fn objects(all: &[(Place, Value)]) -> Objects {
    let mut objects = Objects::default();
    for (place, object) in all {
        assert!(objects.put(place.clone(), object), "{object}");
    }
    objects
}

fn fields(live: &(Place, Value), file: &(Place, Value)) -> Vec<String> {
    let live = objects(std::slice::from_ref(live));
    let file = objects(std::slice::from_ref(file));
    let applied = live.apply(&file, None, Timestamp::UNIX_EPOCH);
    let changed = applied.changed.iter().flat_map(|(_, fields)| fields);
    changed.map(|change| change.text()).collect()
}

#[test]
fn what_a_manifest_leaves_out_goes_unless_another_has_set_it() {
    let live = model(
        "m",
        json!({ "labels": { "a": "1", "b": "2" } }),
        json!({ "contextWindow": 8192, "displayName": "M" }),
    );
    let file = model(
        "m",
        json!({ "labels": { "a": "3" } }),
        json!({ "displayName": "N" }),
    );
    let expected = [
        r#"metadata.labels.a: "1" -> "3""#,
        r#"metadata.labels.b: "2" -> nothing"#,
        "spec.contextWindow: 8192 -> nothing",
        r#"spec.displayName: "M" -> "N""#,
    ];
    assert_eq!(fields(&live, &file), expected);

    let applied = json!({
        "metadata": { "labels": { "b": "2" } }, "spec": { "displayName": "M", "version": "1" },
    });
    let last = "kubectl.kubernetes.io/last-applied-configuration";
    let mut noted = live;
    noted.1["metadata"]["annotations"][last] = applied.to_string().into();
    let expected = [
        r#"metadata.labels.a: "1" -> "3""#,
        r#"metadata.labels.b: "2" -> nothing"#,
        r#"spec.displayName: "M" -> "N""#,
    ];
    assert_eq!(fields(&noted, &file), expected);
    assert_eq!(fields(&file, &file), [] as [String; 0]);
}

#[test]
fn what_is_pruned_has_the_labels_and_was_made_by_somebody() {
    let label = |value: &str| json!({ "labels": { "app": value } });
    let made = json!({ "labels": { "app": "llm", "llmplane.dev/generated-by": "model-sync" } });
    let nothing = json!({});
    let live = objects(&[
        model("kept", label("llm"), nothing.clone()),
        model("gone", label("llm"), nothing.clone()),
        model("foreign", label("other"), nothing.clone()),
        model("made", made, nothing.clone()),
    ]);
    let files = objects(&[model("kept", label("llm"), nothing)]);
    let gone = |prune: Option<Prune>| -> Vec<String> {
        let applied = live.apply(&files, prune.as_ref(), Timestamp::UNIX_EPOCH);
        assert_eq!(applied.after.len() + applied.gone.len(), 4);
        applied.gone.into_iter().map(|place| place.name).collect()
    };
    assert_eq!(gone(None), [] as [String; 0]);
    assert_eq!(gone(Some(Prune::default())), ["foreign", "gone"]);
    let labels = [("app".to_owned(), "llm".to_owned())].into();
    assert_eq!(gone(Some(Prune { labels })), ["gone"]);
}

#[test]
fn needs_are_read_from_one_file_or_from_all_pages() {
    let page = |next: Value| {
        let item =
            json!({ "namespaces": [["team"], ["a", "b"]], "need": { "model": "m" }, "count": 2 });
        json!({ "items": [item], "next_cursor": next, "days": 30, "revision": 3 }).to_string()
    };
    let (first, last) = (page("x".into()), page(Value::Null));
    assert!(matches!(
        Needs::read(std::slice::from_ref(&first)),
        Err(NeedsError::Part)
    ));
    assert!(matches!(
        Needs::read(&["[]".to_owned()]),
        Err(NeedsError::Form(_))
    ));
    let needs = Needs::read(&[first, last]).unwrap();
    assert_eq!((needs.requests(), needs.days), (4, 30));
    assert_eq!(needs.items[0].places(), "team, else a, b");
    let asked = |need: Value| AskedFor {
        namespaces: vec![vec!["*".to_owned()]],
        need,
        count: 1,
        last_day: None,
    };
    let keyed = asked(json!({ "class": "smart", "with_secret": true }));
    assert_eq!(keyed.title(), r#"class "smart", with a key"#);
    assert_eq!(keyed.places(), "all namespaces");
    assert!(keyed.request().unwrap().with_key);
    assert!(
        asked(json!({ "of": "a later release" }))
            .request()
            .is_none()
    );
}
