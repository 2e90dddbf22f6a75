//! What whoever asked is told: a verdict that is newer than the question.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;

use super::{ACTIONS, KEY, Site};
use crate::support::api::answer;
use crate::support::plane::eventually;
use crate::support::vendors::Fault;

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
    // Longer than it takes a hundred to ask.
    site.vendor.fail(Fault::Slow(Duration::from_millis(1_500)));
    let client = reqwest::Client::new();
    let ask = || {
        let url = format!("http://{}/api/v1{path}", site.api.listen());
        answer(client.post(url).bearer_auth(&checker))
    };
    let all = join_all((0..100).map(|_| ask())).await;
    for one in &all {
        assert_eq!(one.status, 200, "{}", one.text);
    }
    assert_eq!(site.vendor.calls() - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_later_keeps_nobody_from_an_answer() {
    let site = Site::started("later").await;
    let checker = site.checker().await;
    assert_eq!(site.api.post(&checker, ACTIONS[0]).await.status, 200);
    let before = site.vendor.calls();
    let takes = Duration::from_secs(4);
    site.vendor.fail(Fault::Slow(takes));
    let path = format!("{}?wait_seconds=30", ACTIONS[0]);
    let begun = Instant::now();
    let ask = async |after| {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let told = site.api.post(&checker, &path).await;
        assert_eq!(told.status, 200, "{}", told.text);
        begun.elapsed()
    };
    let (first, later, last) = tokio::join!(ask(0), ask(2_200), ask(3_500));
    assert!(
        first >= takes && first < later && first < last,
        "{first:?} {later:?} {last:?}"
    );
    // By the next one, which is for both.
    assert!(
        later >= 2 * takes && last >= 2 * takes,
        "{later:?} {last:?}"
    );
    assert_eq!(site.vendor.calls() - before, 2);
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
        refused_in_the_end(&site, &checker, ACTIONS[action], switch).await;
    }
    let mut disabled = provider;
    disabled["enabled"] = false.into();
    site.world.apply("LlmProvider", "p", disabled).await;
    for action in ACTIONS {
        refused_in_the_end(&site, &checker, action, "spec.enabled to true").await;
    }
}

/// Waits until an action is refused in these words, once the change is in force.
async fn refused_in_the_end(site: &Site, token: &str, action: &str, says: &str) {
    let path = format!("{action}?wait_seconds=0");
    eventually("it is refused", async || {
        let answer = site.api.post(token, &path).await;
        match answer.status {
            409 => {
                assert_eq!(answer.problem(), "check-disabled");
                answer.detail().contains(says)
            }
            status => {
                assert!([200, 202].contains(&status), "{}", answer.text);
                false
            }
        }
    })
    .await;
}
