//! Who gets an answer of the read API, and how little everyone else learns.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{FutureExt, StreamExt};

use crate::support::api::{Answer, TestApi, answer, apiserver_proxy, models};
use crate::support::plane::eventually;
use crate::support::rows;

const REVIEWS: &str = "llmplane_api_token_reviews_total";
const RIGHTS: &str = "llmplane_api_access_reviews_total";
/// A UID that no object has.
const ABSENT: &str = "00000000-0000-4000-8000-000000000000";

async fn with_token(api: &TestApi, token: &str) -> Answer {
    let url = format!("{}/api/v1/models", api.url);
    answer(reqwest::Client::new().get(url).bearer_auth(token)).await
}

/// A token that looks right in all but its signature.
fn forged(number: usize) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let payload = format!(
        r#"{{"aud":["llmplane"],"exp":4102444800,"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:a:b","jti":"{number}"}}"#
    );
    let header = encode(r#"{"alg":"RS256","kid":"x"}"#);
    format!("{header}.{}.{}", encode(&payload), encode("signature"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_count_is_refused_with_the_reason() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let nobody = answer(reqwest::Client::new().get(format!("{}/api/v1/models", api.url))).await;
    assert_eq!(nobody.problem(), "unauthenticated");
    assert_eq!(
        (nobody.status, nobody.header("www-authenticate")),
        (401, "Bearer")
    );

    let other = api.token("viewer", "somebody-else").await;
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let expired = format!(
        "{}.{}.{}",
        encode(r#"{"alg":"RS256"}"#),
        encode(r#"{"aud":"llmplane","exp":1}"#),
        encode("s")
    );
    let mut tampered = viewer.token.clone();
    let last = if tampered.ends_with('A') { "Q" } else { "A" };
    tampered.replace_range(tampered.len() - 20..tampered.len() - 19, last);
    for (token, says) in [
        ("opaque", "no JSON Web Token"),
        (other.as_str(), "--audience=llmplane"),
        (expired.as_str(), "expired"),
        (&"a".repeat(100 * 1024), "longer than"),
        (&forged(0), "does not vouch"),
        (&tampered, "does not vouch"),
    ] {
        let refused = with_token(&api, token).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (401, "invalid-token")
        );
        assert!(refused.detail().contains(says), "{}", refused.text);
    }
    assert_eq!(viewer.get("/models").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_tokens_do_not_reach_the_apiserver() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let url = format!("{}/api/v1/models", api.url);
    let client = reqwest::Client::new();
    let flood = futures::stream::iter(0..10_000)
        .map(|number| answer(client.get(&url).bearer_auth(format!("bad-{number}"))))
        .buffer_unordered(500)
        .map(|refused| refused.status);
    let (statuses, good) = tokio::join!(flood.collect::<Vec<_>>(), viewer.get("/models"));
    assert!(statuses.iter().all(|status| *status == 401));
    assert_eq!(good.status, 200);
    assert_eq!(
        api.metric(REVIEWS).await,
        1.0,
        "the good one alone was asked about"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_asked_about_a_bounded_number_at_once_and_never_answered_500() {
    let proxy = apiserver_proxy().await;
    let api = TestApi::behind(&proxy).await;
    let url = format!("{}/api/v1/models", api.url);
    let client = reqwest::Client::new();
    let statuses: Vec<_> = futures::stream::iter(0..800)
        .map(|number| answer(client.get(&url).bearer_auth(forged(number % 400))))
        .buffer_unordered(800)
        .map(|refused| refused.status)
        .collect()
        .await;
    assert!(
        statuses.iter().all(|status| [401, 503].contains(status)),
        "{statuses:?}"
    );
    let at_once = proxy.most_under_way();
    assert!((2..=32).contains(&at_once), "{at_once} questions at once");
    let asked = api.metric(REVIEWS).await;
    assert!(asked <= 400.0, "{asked} questions about 400 tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_of_a_new_caller_ask_once() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let answers = futures::future::join_all((0..50).map(|_| viewer.get("/models"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(api.metric(REVIEWS).await, 1.0);
    assert_eq!(api.metric("llmplane_api_access_reviews_total").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_on_asking_never_waits_for_a_review_again() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let unknown = r#"llmplane_api_auth_cache_lookups_total{cache="callers",hit="false"}"#;
    let undecided = r#"llmplane_api_auth_cache_lookups_total{cache="rights",hit="false"}"#;
    let begun = std::time::Instant::now();
    while begun.elapsed().as_secs() < 25 {
        assert_eq!(viewer.get("/models").await.status, 200);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let reviews = api.metric(REVIEWS).await;
    assert!((3.0..=4.0).contains(&reviews), "{reviews} in 25 s");
    assert_eq!(api.metric(unknown).await, 1.0);
    assert_eq!(api.metric(undecided).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_and_what_is_absent_look_the_same() {
    let api = TestApi::start().await;
    let id = api.provider("secret-plans").await;
    let stranger = api.account("stranger", &[], &[]).await;
    for suffix in ["", "/endpoints", "/credentials"] {
        let hidden = stranger.get(&format!("/providers/{id}{suffix}")).await;
        let absent = stranger.get(&format!("/providers/{ABSENT}{suffix}")).await;
        let by_name = stranger
            .get(&format!("/providers/secret-plans{suffix}"))
            .await;
        assert_eq!(
            (hidden.status, hidden.problem().as_str()),
            (404, "not-found")
        );
        assert_eq!(hidden.text, absent.text);
        assert_eq!(hidden.text, by_name.text);
    }
    let list = stranger.get("/providers").await;
    assert_eq!((list.status, list.problem().as_str()), (403, "forbidden"));
    assert!(!list.text.contains("secret-plans"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_absent_is_asked_about_as_what_is_hidden_is() {
    let api = TestApi::start().await;
    let own = api.provider("secret-plans").await;
    let mut row = rows::provider("elsewhere");
    row.namespace = "kube-system".to_owned();
    let elsewhere = row.uid;
    api.write(move |tx| async move { tx.provider_upsert(&row).await.map(drop) }.boxed())
        .await;
    let namespace = &api.namespace.name;
    let (own, there) = (own.to_string(), elsewhere.to_string());
    let here = |id: &str| format!("{id}?namespace={namespace}");
    for (number, (hidden, absent, rights)) in [
        ("secret-plans".to_owned(), "nothing".to_owned(), &[][..]),
        (own.clone(), ABSENT.to_owned(), &[]),
        (here(&own), here(ABSENT), &[]),
        (here(&there), here(ABSENT), &[]),
        // Who may read all that is in one namespace learns nothing of the others.
        (there.clone(), ABSENT.to_owned(), &["llmproviders"]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut asked = Vec::new();
        for (which, id) in [("hidden", &hidden), ("absent", &absent)] {
            let verbs: &[&str] = if rights.is_empty() { &[] } else { &["get"] };
            let account = format!("{which}-{number}");
            let caller = api.account(&account, verbs, rights).await;
            if !rights.is_empty() {
                assert_eq!(caller.get("/providers/secret-plans").await.status, 200);
            }
            let before = api.metric(RIGHTS).await;
            assert_eq!(caller.get(&format!("/providers/{id}")).await.status, 404);
            asked.push(api.metric(RIGHTS).await - before);
        }
        assert_eq!(asked, [2.0, 2.0], "{hidden} and {absent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_and_what_is_absent_look_the_same_without_the_apiserver() {
    let proxy = apiserver_proxy().await;
    let api = TestApi::behind(&proxy).await;
    let hidden = api.provider("secret-plans").await.to_string();
    let stranger = api.account("stranger", &[], &[]).await;
    assert_eq!(stranger.get("/models").await.status, 403);
    proxy.sever();
    // It is known who asks; what they may do is not.
    for id in [hidden.as_str(), ABSENT, "secret-plans", "nothing"] {
        let answer = stranger.get(&format!("/providers/{id}")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (503, "apiserver-unavailable"),
            "{id}"
        );
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_named_like_anothers_uid_is_found_by_its_name() {
    let api = TestApi::start().await;
    let hidden = api.provider("hidden").await.to_string();
    let mine = api.provider(&hidden).await;
    let rules = ["get", "list"];
    let narrow = api
        .account_for("narrow", &rules, &["llmproviders"], &[&hidden])
        .await;
    let found = narrow.get(&format!("/providers/{hidden}")).await;
    assert_eq!(found.json()["id"], mine.to_string());

    let viewer = api.viewer().await;
    let mut row = rows::provider("elsewhere");
    row.namespace = "kube-system".to_owned();
    let elsewhere = row.uid.to_string();
    api.write(move |tx| async move { tx.provider_upsert(&row).await.map(drop) }.boxed())
        .await;
    let mine = api.provider(&elsewhere).await;
    let mut model = rows::model(mine, "of-mine");
    model.namespace = api.namespace.name.clone();
    api.write(models(vec![model])).await;
    let found = viewer.get(&format!("/providers/{elsewhere}")).await;
    assert_eq!(found.json()["id"], mine.to_string());
    let found = viewer.get(&format!("/models?provider={elsewhere}")).await;
    assert_eq!(found.names(), ["of-mine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_on_one_object_shows_that_one() {
    let api = TestApi::start().await;
    let mut provider = rows::provider("mine");
    provider.namespace = api.namespace.name.clone();
    let mut other = rows::provider("theirs");
    other.namespace = api.namespace.name.clone();
    api.write(move |tx| {
        async move {
            tx.provider_upsert(&provider).await?;
            tx.provider_upsert(&other).await.map(drop)
        }
        .boxed()
    })
    .await;
    let caller = api
        .account_for("narrow", &["get"], &["llmproviders"], &["mine"])
        .await;
    assert_eq!(caller.get("/providers/mine").await.status, 200);
    assert_eq!(caller.get("/providers/theirs").await.status, 404);
    assert_eq!(caller.get("/providers").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_namespaces_need_a_right_in_all() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let all = viewer.get("/models?namespace=*").await;
    assert_eq!((all.status, all.problem().as_str()), (403, "forbidden"));
    let id = api.provider("mine").await;
    for id in [id.to_string().as_str(), ABSENT] {
        let one = viewer.get(&format!("/providers/{id}?namespace=*")).await;
        assert_eq!((one.status, one.problem().as_str()), (403, "forbidden"));
    }
    let elsewhere = viewer.get("/models?namespace=kube-system").await;
    assert_eq!(elsewhere.status, 403);
    let none = viewer.get("/models?namespace=..%2Fx").await;
    assert_eq!(
        (none.status, none.problem().as_str()),
        (400, "invalid-parameter")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_ends() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    assert_eq!(viewer.get("/models").await.status, 200);
    let args = ["delete", "rolebinding", "viewer", "-n", &api.namespace.name];
    assert!(api.plane.kubectl(&args).await.status.success());
    let taken = std::time::Instant::now();
    eventually("the right has ended", async || {
        viewer.get("/models").await.status == 403
    })
    .await;
    assert!(taken.elapsed().as_secs() < 15, "{:?}", taken.elapsed());
}
