//! What whoever asked is told: a verdict that is newer than the question.

use std::pin::pin;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{ACTIONS, KEY, Site, patiently};
use crate::support::api::answer;
use crate::support::plane::eventually;
use crate::support::vendors::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_the_vendor_says_now() {
    let site = Site::started("verdicts").await;
    let checker = site.checker().await;
    let post = async |path: &str| {
        let done = site.api.post(&checker, &patiently(path)).await;
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

/// However long it takes them to ask: the vendor answers once all of them wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_share_few_calls_at_the_vendor() {
    const CALLERS: u8 = 100;
    let site = Site::patient("hundred").await;
    let checker = site.checker().await;
    // Everybody is known by then, and what one asks for costs as many looks as what another does.
    let mut each = 0.0;
    for _ in 0..2 {
        let before = site.lookups().await;
        assert_eq!(
            site.api.post(&checker, &patiently(ACTIONS[0])).await.status,
            200
        );
        each = site.lookups().await - before;
    }
    let (asked, called) = (site.lookups().await, site.vendor.calls());
    let released = CancellationToken::new();
    site.vendor.fail(Fault::Until(released.clone()));
    let client = reqwest::Client::new();
    let ask = || {
        let path = "/endpoints/e/health-check?wait_seconds=60";
        let url = format!("http://{}/api/v1{path}", site.api.listen());
        answer(client.post(url).bearer_auth(&checker))
    };
    let all = join_all((0..CALLERS).map(|_| ask()));
    let release = async {
        let wanted = asked + each * f64::from(CALLERS);
        eventually("all have asked", async || site.lookups().await >= wanted).await;
        released.cancel();
    };
    let (all, ()) = tokio::join!(all, release);
    for one in &all {
        assert_eq!(one.status, 200, "{}", one.text);
    }
    // Who asked while a check was under way shares the next one.
    let calls = site.vendor.calls() - called;
    assert!((1..=4).contains(&calls), "{calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_later_keeps_nobody_from_an_answer() {
    let site = Site::patient("later").await;
    let checker = site.checker().await;
    assert_eq!(
        site.api.post(&checker, &patiently(ACTIONS[0])).await.status,
        200
    );
    let before = site.vendor.calls();
    let (first, next) = (CancellationToken::new(), CancellationToken::new());
    site.vendor.fail_times(1, Fault::Until(first.clone()));
    site.vendor.fail(Fault::Until(next.clone()));
    let path = patiently(ACTIONS[0]);
    let ask = async || {
        let told = site.api.post(&checker, &path).await;
        assert_eq!(told.status, 200, "{}", told.text);
    };
    let calls = async |count: usize| {
        eventually("the vendor is called", async || {
            site.vendor.calls() - before == count
        })
        .await;
    };
    let mut earlier = pin!(ask());
    tokio::select! {
        () = &mut earlier => panic!("the vendor has not answered"),
        () = calls(1) => {}
    }
    // Long enough that nobody shares a check which began before.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let asked = site.lookups().await;
    let mut later = pin!(ask());
    tokio::select! {
        () = &mut later => panic!("the vendor has not answered"),
        () = &mut earlier => panic!("the vendor has not answered"),
        () = eventually("it was asked", async || site.lookups().await > asked) => {}
    }
    first.cancel();
    // The one that is under way is the earlier one's; the later one's has to be made yet.
    tokio::select! {
        () = &mut earlier => {}
        () = &mut later => panic!("the check began before it was asked for"),
    }
    tokio::select! {
        () = &mut later => panic!("the vendor has not answered"),
        () = calls(2) => {}
    }
    next.cancel();
    later.await;
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
