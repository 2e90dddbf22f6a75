//! The chart's values, and what they name.

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use serde_json::json;

use super::{PASSWORD, Site, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn values_are_held_to_what_the_chart_takes() {
    let site = Site::whole().await;
    let values = site.values("api: {replicas: 0}\ndatabase: {api: {url: 'postgres://u:hunter2-canary@h/db', existingSecret: 3}}\n");
    site.run(&["-f", &values]).await.fails(
        "values",
        &[
            "api.replicas",
            "database.api.existingSecret",
            "charts/llmplane/values.yaml",
        ],
    );
    let contradictory = site.values(
        "keyring: {auditKeySecret: llmplane-keyring}\nsettings: {LLMPLANE_HTTPS_PROXY: 'http://u:hunter2-canary@p'}\n",
    );
    site.run(&["-f", &contradictory]).await.fails(
        "values",
        &[
            "audit.key needs one of its own",
            "settings.LLMPLANE_HTTPS_PROXY",
            "settingsFromSecret",
        ],
    );
    let taken = site.values("log: {level: debug}\n");
    site.run(&["-f", &taken]).await.says("values", "ok", &[]);
    let refused = site.run(&["-f", "/nowhere/values.yaml"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .text
            .starts_with("error: /nowhere/values.yaml cannot be read"),
        "{}",
        refused.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_settings_holds_none_that_is_anothers_to_decide() {
    let site = Site::whole().await;
    let values = site.values("settingsFromSecret: hidden\n");
    site.run(&["-f", &values]).await.fails(
        "secret/hidden",
        &["it is not in namespace", "LLMPLANE_HTTPS_PROXY"],
    );
    for (name, words) in [
        (
            "LLMPLANE_NAMESPACES",
            ["namespaces decides", "make it anew"],
        ),
        ("LLMPLANE_LISTEN", ["whose port", "make it anew"]),
        (
            "LLMPLANE_API_DATABASE_URL",
            ["database.api", "make it anew"],
        ),
    ] {
        site.secret("hidden", json!({ name: PASSWORD })).await;
        let said = site.run(&["-f", &values]).await;
        said.fails("secret/hidden", &[&[name][..], &words].concat());
    }
    let proxy = json!({ "LLMPLANE_HTTPS_PROXY": format!("http://u:{PASSWORD}@p:3128") });
    site.secret("hidden", proxy).await;
    let said = site.run(&["-f", &values]).await;
    said.says("secret/hidden", "ok", &["it holds settings"]);
}

/// Roles and RoleBindings are made outside of the namespace that is installed into.
#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_bind_roles_is_asked_for_wherever_they_are_made() {
    let site = Site::whole().await;
    let (name, other) = (
        site.namespace.name.as_str(),
        site.plane.namespace("team").await,
    );
    let rbac = "rbac.authorization.k8s.io";
    let all = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    let role = json!({ "metadata": { "name": "all" }, "rules": all });
    let binding = json!({ "metadata": { "name": "all" },
        "roleRef": { "apiGroup": rbac, "kind": "Role", "name": "all" },
        "subjects": [{ "kind": "ServiceAccount", "name": "default", "namespace": name }] });
    let (roles, bindings): (Api<Role>, Api<RoleBinding>) = (site.api(), site.api());
    let (role, binding) = (
        serde_json::from_value(role).unwrap(),
        serde_json::from_value(binding).unwrap(),
    );
    roles.create(&Default::default(), &role).await.unwrap();
    bindings
        .create(&Default::default(), &binding)
        .await
        .unwrap();
    let path = site.kubeconfig_of_account().await;

    let team = other.name.as_str();
    let values = site.values(&format!(
        "namespaces: [{name}, {team}]\nfederation: {{{team}: [llm]}}\n"
    ));
    // The apiserver's own memory of rights follows by a watch.
    let last = tokio::sync::Mutex::new(None);
    eventually("the rights are in force", async || {
        let said = site.run_with(path.clone(), &["-f", &values]).await;
        let in_force = !said.text.contains("create deployments");
        *last.lock().await = Some(said);
        in_force
    })
    .await;
    let said = last.into_inner().unwrap();
    let lacks = ["roles", "rolebindings"].map(|what| format!("create {what} in {team}"));
    said.fails("rights", &[&lacks[0], &lacks[1], "create roles in default"]);
    for own in ["create roles,", "create rolebindings,"] {
        assert!(!said.text.contains(own), "{own}: {}", said.text);
    }
}
