//! What whoever asked is told: a verdict that is newer than the question.

use futures::future::join_all;
use serde_json::json;

use super::{ACTIONS, KEY, Site};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_the_vendor_says_now() {
    let site = Site::started("verdicts").await;
    let checker = site.checker().await;
    let post = async |path: &str| {
        let done = site.api.post(&checker, path).await;
        assert_eq!(done.status, 200, "{path}: {}", done.text);
        assert_eq!(done.header("cache-control"), "private, no-cache");
        let row = done.json();
        // What a read says afterwards is no older.
        let id = row["id"].as_str().unwrap();
        let route = path.split('/').nth(1).unwrap();
        let read = site.api.get(&checker, &format!("/{route}/{id}")).await;
        assert_eq!(read.json(), row, "{path}");
        row
    };
    for _ in 0..3 {
        site.vendor.break_with(500);
        let endpoint = post("/endpoints/e/health-check").await;
        assert_eq!(endpoint["health"]["state"], "unhealthy", "{endpoint}");
        site.vendor.mend();
        let endpoint = post("/endpoints/e/health-check").await;
        assert_eq!(endpoint["health"]["state"], "healthy", "{endpoint}");
    }
    site.vendor.refuse(KEY);
    let credential = post("/credentials/c/validate").await;
    assert_eq!(credential["validity"]["state"], "invalid", "{credential}");
    site.vendor.accept(KEY);
    let credential = post("/credentials/c/validate").await;
    assert_eq!(credential["validity"]["state"], "valid", "{credential}");
    let tested = site.vendor.calls();
    let model = post("/models/m/test").await;
    assert_eq!(model["availability"]["reason"], "ModelAnswered", "{model}");
    assert!(site.vendor.calls() > tested, "the vendor was asked");
    site.vendor.list_model("m-2");
    let provider = post("/providers/p/models/sync").await;
    let conditions = provider["conditions"].as_array().unwrap();
    let synced = conditions.iter().find(|c| c["type"] == "ModelsSynced");
    let synced = synced.unwrap_or_else(|| panic!("{provider}"));
    assert_eq!(synced["status"], "True", "{provider}");
    let text = site.api.log();
    assert!(!text.contains(KEY) && !text.contains(&checker));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_are_one_call_at_the_vendor() {
    let site = Site::started("hundred").await;
    let checker = site.checker().await;
    // Everybody is known by then.
    assert_eq!(site.api.post(&checker, ACTIONS[0]).await.status, 200);
    let before = site.vendor.calls();
    let path = "/endpoints/e/health-check?wait_seconds=30";
    let all = join_all((0..100).map(|_| site.api.post(&checker, path))).await;
    for one in &all {
        assert_eq!(one.status, 200, "{}", one.text);
    }
    assert_eq!(site.vendor.calls() - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_not_checked_and_the_answer_names_the_switch() {
    let site = Site::started("switches").await;
    let checker = site.checker().await;
    let off = json!({ "enabled": false });
    let provider = json!({ "type": "OpenAICompatible", "modelSync": off });
    let of_p = json!({ "name": "p" });
    let url = site.vendor.url();
    let endpoint = json!({ "providerRef": of_p, "baseUrl": url, "healthCheck": off });
    let credential =
        json!({ "providerRef": of_p, "secretRef": { "name": "s" }, "validation": off });
    let model = json!({ "providerRef": of_p, "modelId": super::MODEL, "availabilityTest": off });
    for (action, (kind, name, spec), switch) in [
        (
            0,
            ("LlmEndpoint", "e", endpoint),
            "spec.healthCheck.enabled",
        ),
        (
            1,
            ("LlmCredential", "c", credential),
            "spec.validation.enabled",
        ),
        (
            2,
            ("LlmProvider", "p", provider.clone()),
            "spec.modelSync.enabled",
        ),
        (3, ("LlmModel", "m", model), "spec.availabilityTest.enabled"),
    ] {
        site.world.apply(kind, name, spec).await;
        let refused = refused_in_the_end(&site, &checker, ACTIONS[action]).await;
        assert!(refused.contains(switch), "{refused}");
    }
    let mut disabled = provider;
    disabled["enabled"] = false.into();
    site.world.apply("LlmProvider", "p", disabled).await;
    for action in ACTIONS {
        let refused = refused_in_the_end(&site, &checker, action).await;
        assert!(refused.contains("spec.enabled to true"), "{refused}");
    }
}

/// What the 409 says that an action gets once the change is in force.
async fn refused_in_the_end(site: &Site, token: &str, action: &str) -> String {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let answer = site
            .api
            .post(token, &format!("{action}?wait_seconds=0"))
            .await;
        if answer.status == 409 {
            assert_eq!(answer.problem(), "check-disabled");
            let detail = answer.detail();
            let is_off = detail.contains("switched off");
            let done = site.api.get(token, "/providers/p").await.json()["is_active"] == true;
            if is_off || done {
                return detail;
            }
        } else {
            assert!([200, 202].contains(&answer.status), "{}", answer.text);
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{action}: {}",
            answer.text
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
