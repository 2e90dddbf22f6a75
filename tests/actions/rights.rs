//! Who may ask for a check, and what the others see.

use reqwest::Method;

use super::{ACTIONS, Site, patiently};
use crate::support::api::{KINDS, answer};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_takes_the_verb_check_on_what_one_may_see() {
    let site = Site::started("checkers").await;
    let world = &site.world;
    let checker = site.checker().await;
    let reader = world.account("reader", &["get", "list"], &KINDS, &[]).await;
    let blind = world
        .account("blind", &["check", "list"], &KINDS, &[])
        .await;
    let stranger = world.account("stranger", &[], &[], &[]).await;
    for action in ACTIONS {
        let done = site.api.post(&checker, &patiently(action)).await;
        assert_eq!(done.status, 200, "{action}: {}", done.text);
        let before = site.vendor.calls();
        let refused = site.api.post(&reader, action).await;
        assert_eq!(refused.status, 403, "{action}: {}", refused.text);
        assert_eq!(refused.problem(), "forbidden");
        assert!(
            refused.detail().contains("verb `check`"),
            "{}",
            refused.text
        );
        for token in [&blind, &stranger] {
            let hidden = site.api.post(token, action).await;
            let absent = action.replacen("/e/", "/x/", 1).replacen("/c/", "/x/", 1);
            let absent = absent.replacen("/p/", "/x/", 1).replacen("/m/", "/x/", 1);
            let absent = site.api.post(token, &absent).await;
            assert_eq!((hidden.status, absent.status), (404, 404), "{action}");
            assert_eq!(hidden.text, absent.text, "{action}");
        }
        assert_eq!(site.vendor.calls(), before, "nobody else's check was made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_may_be_one_of_one_object() {
    let site = Site::started("onecheck").await;
    let world = &site.world;
    let one = world
        .account("one", &["get", "check"], &["llmendpoints"], &["e"])
        .await;
    let other = world
        .account("other", &["get", "check"], &["llmendpoints"], &["f"])
        .await;
    let action = patiently("/endpoints/e/health-check");
    assert_eq!(site.api.post(&one, &action).await.status, 200);
    assert_eq!(site.api.post(&other, &action).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_for_a_check_is_told_why() {
    let site = Site::started("badcheck").await;
    let checker = site.checker().await;
    let post = async |path: &str| site.api.post(&checker, path).await;
    for wait in ["61", "-1", "1.5", "", "ten"] {
        let refused = post(&format!("/endpoints/e/health-check?wait_seconds={wait}")).await;
        assert_eq!(refused.status, 400, "{wait}");
        assert_eq!(refused.problem(), "invalid-parameter");
        assert!(
            refused.detail().contains("from 0 to 60"),
            "{}",
            refused.text
        );
    }
    let unknown = post("/endpoints/e/health-check?force=true").await;
    assert_eq!(unknown.problem(), "unknown-parameter");
    let elsewhere = post("/endpoints/e/health-check?namespace=elsewhere").await;
    assert_eq!(elsewhere.status, 404);
    // An id of another kind is no id of this.
    let all = site.api.get(&checker, "/providers").await.items();
    let provider = all[0]["id"].as_str().unwrap();
    let other = post(&format!("/endpoints/{provider}/health-check")).await;
    assert_eq!(other.status, 404);
    let by_id = post(&format!("/providers/{provider}/models/sync")).await;
    assert_eq!(by_id.status, 200, "{}", by_id.text);
    let read = site
        .api
        .request(Method::GET, &checker, "/endpoints/e/health-check");
    let read = answer(read).await;
    assert_eq!((read.status, read.header("allow")), (405, "POST"));
    let nobody = answer(
        site.api
            .request(Method::POST, "", "/endpoints/e/health-check"),
    )
    .await;
    assert_eq!(nobody.status, 401);
}
