//! Commands that a person runs find the cluster as kubectl does.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::Site;

async fn llmplane(home: &Path, variables: &[(&str, &str)], args: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_llmplane"))
        .args(args)
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

/// The kubeconfig, with a current context beside its own that leads nowhere.
fn with_another_context(kubeconfig: &Path) -> Value {
    let mut config: Value = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
    let mut cluster = config["clusters"][0].clone();
    cluster["name"] = json!("away");
    cluster["cluster"]["server"] = json!("https://127.0.0.1:1");
    config["clusters"].as_array_mut().unwrap().push(cluster);
    config["contexts"][0]["name"] = json!("here");
    let user = config["users"][0]["name"].clone();
    let away = json!({ "name": "away", "context": { "cluster": "away", "user": user } });
    config["contexts"].as_array_mut().unwrap().push(away);
    config["current-context"] = json!("away");
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_variable_the_kubeconfig_is_the_one_in_the_home_folder() {
    let site = Site::whole().await;
    let cluster = site.cluster().await;
    let home = tempfile::tempdir().unwrap();
    let preflight = ["preflight", "-n", &site.namespace.name];
    let export = ["export", "-n", &site.namespace.name];

    for command in [preflight, export] {
        let nowhere = llmplane(home.path(), &[], &command).await;
        assert_eq!(nowhere.status.code(), Some(1));
        assert!(
            said(&nowhere).contains("no cluster is named"),
            "{}",
            said(&nowhere)
        );
    }

    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::copy(cluster.kubeconfig(), home.path().join(".kube/config")).unwrap();
    for variables in [&[][..], &[("KUBECONFIG", "")]] {
        for command in [preflight, export] {
            let found = llmplane(home.path(), variables, &command).await;
            assert_eq!(found.status.code(), Some(0), "{}", said(&found));
        }
    }
    let named = [("KUBECONFIG", "/nowhere/config")];
    let refused = llmplane(home.path(), &named, &export).await;
    assert!(
        said(&refused).contains("/nowhere/config"),
        "{}",
        said(&refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_that_is_named_counts() {
    let site = Site::whole().await;
    let cluster = site.cluster().await;
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    let config = with_another_context(cluster.kubeconfig());
    std::fs::write(home.path().join(".kube/config"), config.to_string()).unwrap();
    for command in ["preflight", "export"] {
        let command = [command, "-n", &site.namespace.name];
        let current = llmplane(home.path(), &[], &command).await;
        assert_eq!(current.status.code(), Some(1), "{}", said(&current));
        let named = [&command[..], &["--context", "here"]].concat();
        let named = llmplane(home.path(), &[], &named).await;
        assert_eq!(named.status.code(), Some(0), "{}", said(&named));
        let absent = [&command[..], &["--context", "absent"]].concat();
        let absent = llmplane(home.path(), &[], &absent).await;
        assert_eq!(absent.status.code(), Some(1));
        assert!(said(&absent).contains("absent"), "{}", said(&absent));
    }
}

/// A controller or an API that is started by hand takes no cluster that nobody named.
#[tokio::test]
async fn a_process_of_the_installation_takes_no_kubeconfig_that_is_not_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), "{}").unwrap();
    let args = ["api", "--database-url", "postgres://u@127.0.0.1:1/db"];
    let ports = ["LLMPLANE_LISTEN", "LLMPLANE_ADMIN_LISTEN"].map(|name| (name, "127.0.0.1:0"));
    let refused = llmplane(home.path(), &ports, &args).await;
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("no cluster is named"),
        "{}",
        said(&refused)
    );
}

/// The cluster of a rotation, and the namespace where none is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_looked_for_where_the_context_says() {
    let site = Site::whole().await;
    let cluster = site.cluster().await;
    let home = tempfile::tempdir().unwrap();
    let database = [("DATABASE_URL", &*site.database.api_url)];
    let told = async |more: &[&str]| {
        let command = [&["rotation", "status", "c"][..], more].concat();
        let output = llmplane(home.path(), &database, &command).await;
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        said(&output)
    };
    let nowhere = told(&[]).await;
    assert!(nowhere.contains("no cluster is named"), "{nowhere}");

    let mut config = with_another_context(cluster.kubeconfig());
    config["contexts"][0]["context"]["namespace"] = json!("team");
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), config.to_string()).unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&[], "there is no LlmCredential default/c"),
        (&["--context", "here"], "there is no LlmCredential team/c"),
        (
            &["--context", "here", "-n", "other"],
            "there is no LlmCredential other/c",
        ),
        (
            &["--without-cluster"],
            "there is no LlmCredential default/c",
        ),
        (&["--kubeconfig", "/nowhere/config"], "/nowhere/config"),
    ];
    for (more, wanted) in cases {
        let told = told(more).await;
        assert!(told.contains(wanted), "{more:?}: {told}");
    }
}
