//! How answers are printed: whole, as documents, as names, for all namespaces, in colours.

use serde_json::{Value, json};

use super::terminal::in_terminal;
use super::{KEY, NEXT, anywhere, are_names, json_of, kubectl_llm, said, tells};
use crate::support::{fake_vendor::FakeVendor, plane::eventually, world::World};

const REFUSED: &str = "sk-canary-Wv9refused13579246";

/// A model that waits for a key that the vendor refuses.
async fn refused(prefix: &str) -> (World, FakeVendor) {
    let vendor = FakeVendor::start(&[KEY, NEXT], &["gpt-a"]).await;
    let world = World::started(prefix).await;
    world.secret("s", REFUSED).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "gpt-a").await;
    let wanted = ["KeyRejected", "waiting for it: LlmModel/m"];
    tells(&world, &["status"], 1, &wanted).await;
    (world, vendor)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_waits_is_named_however_much_it_is() {
    let (world, _vendor) = refused("pluginmany").await;
    let names: Vec<String> = (10..40).map(|number| format!("m-{number}")).collect();
    for name in &names {
        world.model(name, "gpt-a").await;
    }
    let wanted: Vec<String> = names
        .iter()
        .map(|name| format!("LlmModel/{name}"))
        .collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let told = tells(&world, &["status"], 1, &wanted).await;
    assert!(!told.contains("more"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_says_what_json_says() {
    let (world, _vendor) = refused("pluginyaml").await;
    for args in [&["status"][..], &["tree"], &["tree", "m"], &["why", "c"]] {
        eventually(&format!("{args:?} is the same in both"), async || {
            let json = json_of(&kubectl_llm(&world, &[args, &["-o", "json"]].concat(), "").await);
            let yaml = kubectl_llm(&world, &[args, &["-o", "yaml"]].concat(), "").await;
            assert_eq!(yaml.status.code(), Some(1));
            assert!(!said(&yaml).starts_with(['{', '[']), "{}", said(&yaml));
            let yaml: Value = serde_saphyr::from_str(&said(&yaml)).unwrap();
            assert!(json[0].is_object() || json["name"] == "c", "{json}");
            yaml == json
        })
        .await;
    }
    let checked = kubectl_llm(&world, &["check", "c", "-o", "yaml"], "").await;
    let checked: Value = serde_saphyr::from_str(&said(&checked)).unwrap();
    let ready = |condition: &&Value| condition["type"] == "Ready";
    let ready = checked.as_array().unwrap().iter().find(ready).unwrap();
    assert_eq!(ready["reason"], "KeyRejected", "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_that_kubectl_takes() {
    let (world, _vendor) = refused("pluginname").await;
    let everything = "llmprovider.llmplane.dev/p\nllmendpoint.llmplane.dev/e\n\
                      llmcredential.llmplane.dev/c\nllmmodel.llmplane.dev/m\n";
    for (args, code, input, expected) in [
        (&["status"][..], 1, "", "llmcredential.llmplane.dev/c\n"),
        (&["tree"], 1, "", everything),
        (&["why", "m"], 1, "", "llmmodel.llmplane.dev/m\n"),
        (&["check", "c"], 1, "", "llmcredential.llmplane.dev/c\n"),
        (&["rotate", "c"], 0, KEY, "llmcredential.llmplane.dev/c\n"),
    ] {
        let output = kubectl_llm(&world, &[args, &["-o", "name"]].concat(), input).await;
        assert_eq!(said(&output), expected, "{args:?}");
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(are_names(&world, &output).await, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_told_as_a_document_without_the_key() {
    let (world, _vendor) = refused("pluginrotated").await;
    let rotated = async |key: &str, format: &str, code: i32| {
        let output = kubectl_llm(&world, &["rotate", "c", "-o", format], key).await;
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(!said(&output).contains(key), "{}", said(&output));
        serde_saphyr::from_str::<Value>(&said(&output)).unwrap()
    };
    let first = rotated(KEY, "json", 0).await;
    assert_eq!(first["is_in_use"], true, "{first}");
    let next = rotated(NEXT, "yaml", 0).await;
    assert_eq!(
        (&next["kind"], &next["name"], &next["namespace"]),
        (&"LlmCredential".into(), &"c".into(), &world.ns().into())
    );
    let before = first["version"].as_i64().unwrap();
    assert_eq!(next["version"], before + 1, "{next}");
    for field in ["is_in_use", "is_new_version", "secret_changed"] {
        assert_eq!(next[field], true, "{field}: {next}");
    }
    let again = rotated(NEXT, "json", 0).await;
    assert_eq!(again["version"], next["version"], "{again}");
    for field in ["is_new_version", "secret_changed"] {
        assert_eq!(again[field], false, "{field}: {again}");
    }
    let refused = rotated(REFUSED, "json", 1).await;
    assert_eq!(refused["is_in_use"], false, "{refused}");
    assert_eq!(refused["version"], json!(null), "{refused}");
    assert_eq!(refused["masked_key"], next["masked_key"], "the one before");
    assert!(refused["remedy"].is_string(), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_namespaces_are_looked_at_where_that_means_something() {
    let (world, _vendor) = refused("pluginall").await;
    // Other tests' namespaces are there too, and come and go.
    let status = anywhere(&world, &["status", "-A"], "").await;
    let status_said = said(&status);
    assert_eq!(status.status.code(), Some(1), "{status_said}");
    assert!(status_said.contains("in all namespaces"), "{status_said}");
    let credential = format!("LlmCredential/c in {}", world.ns());
    assert!(status_said.contains(&credential), "{status_said}");
    let tree = anywhere(&world, &["tree", "--all-namespaces"], "").await;
    let provider = format!("LlmProvider/p in {}", world.ns());
    assert!(said(&tree).contains(&provider), "{}", said(&tree));
    let items = json_of(&anywhere(&world, &["-A", "status", "-o", "json"], "").await);
    let own = |item: &Value| item["namespace"] == world.ns() && item["kind"] == "LlmCredential";
    assert!(items.as_array().unwrap().iter().any(own));

    for args in [
        &["tree", "p"][..],
        &["why", "m"],
        &["check", "m"],
        &["rotate", "c"],
        &["resolve", "m"],
        &["holders", "c"],
    ] {
        let output = anywhere(&world, &[args, &["-A"]].concat(), KEY).await;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains("-A is for `status`"), "{args:?}: {text}");
    }
    let both = kubectl_llm(&world, &["status", "-A"], "").await;
    assert!(
        said(&both).contains("cannot be used with"),
        "{}",
        said(&both)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_unless_nobody_wants_them() {
    let (world, _vendor) = refused("plugincolours").await;
    let red = "\u{1b}[31mReady=False KeyRejected\u{1b}[0m";
    for (no_color, has_colours) in [(None, true), (Some(""), true), (Some("1"), false)] {
        for args in [&["status"][..], &["tree"], &["why", "c"], &["check", "c"]] {
            let shown = in_terminal(&world, args, no_color).await;
            assert!(shown.contains("KeyRejected"), "{shown}");
            assert_eq!(shown.contains('\u{1b}'), has_colours, "{args:?}: {shown:?}");
        }
    }
    assert!(in_terminal(&world, &["status"], None).await.contains(red));
    for args in [&["status"][..], &["tree"], &["why", "c"], &["check", "c"]] {
        let piped = said(&kubectl_llm(&world, args, "").await);
        assert!(!piped.contains('\u{1b}'), "{args:?}: {piped:?}");
    }
}
