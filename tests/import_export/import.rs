//! `llmplane import` into a real cluster.

use serde_json::{Value, json};

use super::{llmplane, llmplane_within, stderr, stdout};
use crate::support::plane::Plane;
use crate::support::world::World;

const LITELLM: &str = include_str!("fixtures/litellm.yaml");
const KINDS: &str = "llmproviders,llmendpoints,llmcredentials,llmmodels,llmmodelclasses";

/// Names and generations of all that is in a namespace.
async fn generations(plane: &Plane, namespace: &str) -> Vec<String> {
    let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.generation}{\"\\n\"}{end}";
    let listed = plane
        .kubectl(&["get", KINDS, "-n", namespace, "-o", path])
        .await;
    assert!(listed.status.success(), "{}", stderr(&listed));
    stdout(&listed).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_applied_and_a_second_one_changes_nothing() {
    let world = World::new("import").await;
    let kubeconfig = world.plane.kubeconfig();
    let args = ["import", "-n", world.ns(), "-"];
    let first = llmplane(&kubeconfig, &args, LITELLM).await;
    let said = stdout(&first);
    assert_eq!(first.status.code(), Some(12), "{said}{}", stderr(&first));
    assert!(
        said.contains("LlmModel/helper-gpt-4.1-mini created")
            && said.contains("LlmModelClass/helper created")
            && said.contains("-:1:101: unsupported general_settings.master_key"),
        "{said}"
    );
    let helper = world.get("LlmModel", "helper-gpt-4.1-mini").await;
    assert_eq!(helper["spec"]["modelId"], "gpt-4.1-mini");
    assert_eq!(
        helper["metadata"]["managedFields"][0]["manager"],
        "llmplane-import"
    );
    let before = generations(world.plane, world.ns()).await;
    assert_eq!(before.len(), 26, "{before:?}");

    let again = llmplane(&kubeconfig, &args, LITELLM).await;
    assert_eq!(again.status.code(), Some(12));
    assert!(!stdout(&again).contains("created") && !stdout(&again).contains("configured"));
    assert!(stdout(&again).contains("LlmModel/helper-gpt-4.1-mini unchanged"));
    assert_eq!(generations(world.plane, world.ns()).await, before);
    for output in [&first, &again] {
        let all = stdout(output) + &stderr(output);
        for key in ["sk-ant-", "sk-proxy", "hunter2", "plain-secret"] {
            assert!(!all.contains(key), "{key}: {all}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_prints_is_what_kubectl_takes() {
    let world = World::new("import-dry").await;
    let nowhere = std::path::Path::new("/nowhere");
    let fixtures = [
        ("litellm.yaml", LITELLM, 12),
        ("envoy.yaml", include_str!("fixtures/envoy.yaml"), 12),
        ("kagent.yaml", include_str!("fixtures/kagent.yaml"), 12),
        (
            "models-dev.json",
            include_str!("fixtures/models-dev.json"),
            12,
        ),
    ];
    for (name, text, code) in fixtures {
        let args = ["import", "--dry-run", "-n", world.ns(), "-"];
        let dry = llmplane(nowhere, &args, text).await;
        assert_eq!(dry.status.code(), Some(code), "{name}: {}", stderr(&dry));
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-n",
            world.ns(),
            "-f",
            "-",
        ];
        let taken = world.plane.kubectl_with_input(&apply, &stdout(&dry)).await;
        assert!(taken.status.success(), "{name}: {}", stderr(&taken));
    }
    assert_eq!(
        generations(world.plane, world.ns()).await,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_object_is_refused_for_keeps_all_of_them_out() {
    let world = World::new("import-refused").await;
    let kubeconfig = world.plane.kubeconfig();
    // Another manager has declared it otherwise.
    world
        .apply("LlmProvider", "openai", json!({ "type": "Anthropic" }))
        .await;
    let args = ["import", "-n", world.ns(), "-"];
    let refused = llmplane(&kubeconfig, &args, LITELLM).await;
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    let said = stderr(&refused);
    assert!(
        said.contains("nothing was applied") && said.contains("LlmProvider/openai"),
        "{said}"
    );
    assert_eq!(generations(world.plane, world.ns()).await.len(), 1);

    let bad = json!({ "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel", "metadata": { "name": "m" },
        "spec": { "providerRef": { "name": "p" }, "modelId": " x " } });
    let refused = llmplane(&kubeconfig, &args, &bad.to_string()).await;
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains("LlmModel/m spec.modelId") && said.contains("nothing was imported"),
        "{said}"
    );

    let nowhere = ["import", "-n", "there-is-no-such-namespace", "-"];
    let refused = llmplane(&kubeconfig, &nowhere, LITELLM).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("not found"),
        "{}",
        stderr(&refused)
    );
}

/// 24 levels of nine aliases each.
fn bomb() -> String {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for level in 1..24 {
        let one = format!("*a{}", level - 1);
        let nine = [one.as_str(); 9].join(", ");
        text += &format!("a{level}: &a{level} [{nine}]\n");
    }
    text + "model_list: *a23\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_ends_in_one_line_and_soon() {
    let nowhere = std::path::Path::new("/nowhere");
    let deep = format!("model_list: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let two = "model_list: []\n---\napiVersion: kagent.dev/v1alpha2\nkind: ModelConfig\nmetadata: {name: m}\n";
    let inputs = [
        ("", "holds no object"),
        ("\u{0}\u{1}\u{2}", "YAML"),
        ("a: 1", "no configuration that can be imported"),
        ("model_list:\n\t- x: 1\n", "line"),
        ("model_list: []\nmodel_list: []\n", "model_list"),
        (&*bomb(), "YAML"),
        (&*deep, "YAML"),
        (two, "import them one after the other"),
    ];
    for (text, says) in inputs {
        let output = llmplane_within(20, &["import", "--dry-run", "-"], text).await;
        let said = stderr(&output);
        let shown: String = text.chars().take(60).collect();
        assert_eq!(output.status.code(), Some(1), "{shown}: {said}");
        assert!(
            said.contains(says) && said.lines().count() == 1,
            "{shown}: {said}"
        );
    }
    let large = "x: 1\n".repeat(17 << 20 >> 2);
    let output = llmplane(nowhere, &["import", "--dry-run", "-"], &large).await;
    assert!(
        stderr(&output).contains("larger than 16 MiB"),
        "{}",
        stderr(&output)
    );
    let wrong = llmplane(nowhere, &["import", "--format", "xml", "-"], "").await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("models-dev"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_documents_are_converted() {
    let nowhere = std::path::Path::new("/nowhere");
    let document = |number: usize| {
        format!(
            "---\napiVersion: kagent.dev/v1alpha2\nkind: ModelConfig\nmetadata: {{name: m-{number}}}\n\
             spec: {{provider: OpenAI, model: gpt-{number}}}\n"
        )
    };
    let text: String = (0..10_000).map(document).collect();
    let output = llmplane(nowhere, &["import", "--dry-run", "-o", "json", "-"], &text).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(outcome["manifests"].as_array().unwrap().len(), 10_002);
    assert_eq!(outcome["worst"], "exact");
}
