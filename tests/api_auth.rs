//! Who gets an answer of the read API, and how little everyone else learns.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use rcgen::{KeyPair, SigningKey};
use serde_json::json;
use tokio::task::JoinHandle;

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

/// Sends forged tokens with these numbers, so many at once.
fn flood(url: &str, numbers: std::ops::Range<usize>, at_once: usize) -> JoinHandle<Vec<Answer>> {
    let (url, client) = (url.to_owned(), reqwest::Client::new());
    let answers = futures::stream::iter(numbers)
        .map(move |number| answer(client.get(&url).bearer_auth(forged(number))))
        .buffer_unordered(at_once);
    tokio::spawn(answers.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forged_tokens_is_asked_about_at_a_bounded_rate_and_keeps_nobody_out() {
    let proxy = apiserver_proxy().await;
    let api = TestApi::behind(&proxy).await;
    let (viewer, newcomer) = (api.viewer().await, api.account("newcomer", &[], &[]).await);
    let url = format!("{}/api/v1/models", api.url);
    let asked = || proxy.writes("/tokenreviews");
    assert_eq!(viewer.get("/models").await.status, 200);
    let seen = Instant::now();

    let answers = flood(&url, 0..10_000, 500);
    eventually("the flood has spent its turns", async || asked() > 16).await;
    let elsewhere = reqwest::Client::builder()
        .local_address(IpAddr::from([127, 0, 0, 2]))
        .build()
        .unwrap();
    let came = Instant::now();
    let new = answer(elsewhere.get(&url).bearer_auth(&newcomer.token)).await;
    assert_eq!(new.status, 403, "who it is was found out: {}", new.text);
    assert!(came.elapsed().as_secs() < 5, "{:?}", came.elapsed());

    let answers = answers.await.unwrap();
    // Two good ones; 16 turns, each free again two seconds after its token was refused.
    let allowed = 2 + 16 + 8 * (seen.elapsed().as_secs() as usize + 1);
    assert!(asked() <= allowed, "{} of {allowed}", asked());
    assert!(proxy.most_under_way() <= 32);
    let mut unasked = 0;
    for refused in &answers {
        match (refused.status, refused.problem().as_str()) {
            (401, "invalid-token") => {}
            (503, "overloaded") => {
                assert_eq!(refused.header("retry-after"), "1");
                unasked += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(unasked > 5_000, "{unasked} of 10,000");

    // What was known of the viewer has ended, and it comes from where the flood does.
    tokio::time::sleep(Duration::from_secs(11).saturating_sub(seen.elapsed())).await;
    let before = asked();
    let again = flood(&url, 10_000..10_200, 200);
    eventually("the flood has spent its turns again", async || {
        asked() >= before + 16
    })
    .await;
    assert_eq!(viewer.get("/models").await.status, 200);
    again.abort();
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
    api.write(move |tx| async move { tx.upsert(&row).await.map(drop) }.boxed())
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
    api.write(move |tx| async move { tx.upsert(&row).await.map(drop) }.boxed())
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
            tx.upsert(&provider).await?;
            tx.upsert(&other).await.map(drop)
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
async fn a_caller_who_is_in_no_namespace_names_one() {
    let proxy = apiserver_proxy().await;
    let api = TestApi::behind(&proxy).await;
    let id = api.provider("openai").await;
    let person = api.viewer().await;
    let namespace = &api.namespace.name;
    let args = [
        "create",
        "rolebinding",
        "alice",
        "--role=viewer",
        "--user=alice",
        "-n",
        namespace,
    ];
    assert!(api.plane.kubectl(&args).await.status.success());
    proxy.everyone_is("alice");
    for path in [
        "/models",
        "/models/gpt",
        "/models/by-capability/Chat",
        "/providers",
        "/providers/openai/endpoints",
        "/providers?include_deleted=true",
        "/providers?limit=1&name=openai",
    ] {
        let refused = person.get(path).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "namespace-required"),
            "{path}"
        );
        assert!(refused.detail().contains("?namespace="), "{}", refused.text);
    }
    let named = person
        .get(&format!("/providers?namespace={namespace}"))
        .await;
    assert_eq!(named.names(), ["openai"]);
    let elsewhere = person.get("/providers?namespace=kube-system").await;
    assert_eq!(elsewhere.status, 403);
    assert!(
        elsewhere.detail().starts_with("alice may not list"),
        "{}",
        elsewhere.text
    );
    // A UID is one object's wherever that is.
    assert_eq!(person.get(&format!("/providers/{id}")).await.status, 200);
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

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_deleted_under_use_is_refused() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    assert_eq!(viewer.get("/models").await.status, 200);
    let args = [
        "delete",
        "serviceaccount",
        "viewer",
        "-n",
        &api.namespace.name,
    ];
    assert!(api.plane.kubectl(&args).await.status.success());
    let deleted = Instant::now();
    let mut refused = viewer.get("/models").await;
    while refused.status == 200 {
        assert!(deleted.elapsed().as_secs() < 25, "{:?}", deleted.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
        refused = viewer.get("/models").await;
    }
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (401, "invalid-token")
    );
    assert!(refused.detail().contains("does not vouch"));
    assert!(deleted.elapsed().as_secs() < 25, "{:?}", deleted.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_until_its_end_and_in_its_own_cluster_alone() {
    let api = TestApi::start().await;
    let viewer = api.viewer().await;
    let ours =
        std::fs::read_to_string(api.plane.state_dir().path().join("pki/service-account.key"))
            .unwrap();
    let ours = KeyPair::from_pem(&ours).unwrap();
    let theirs = KeyPair::generate().unwrap();

    let end = jiff::Timestamp::now().as_second() + 4;
    let short = signed(&api, "viewer", &ours, end).await;
    let mut answer = with_token(&api, &short).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    while answer.status == 200 {
        assert!(jiff::Timestamp::now().as_second() <= end + 1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = with_token(&api, &short).await;
    }
    assert!(jiff::Timestamp::now().as_second() >= end);
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (401, "invalid-token")
    );
    assert!(answer.detail().contains("expired"), "{}", answer.text);

    // Another cluster has such an account too, and the same issuer's name.
    let later = jiff::Timestamp::now().as_second() + 600;
    let foreign = signed(&api, "viewer", &theirs, later).await;
    let refused = with_token(&api, &foreign).await;
    assert_eq!(refused.status, 401);
    assert!(refused.detail().contains("does not vouch"));
    assert_eq!(viewer.get("/models").await.status, 200);
}

/// An account's token as a cluster with this key signs it.
async fn signed(api: &TestApi, account: &str, key: &KeyPair, end: i64) -> String {
    let namespace = api.namespace.name.as_str();
    let accounts: Api<ServiceAccount> = Api::namespaced(api.plane.client().await, namespace);
    let uid = accounts.get(account).await.unwrap().metadata.uid.unwrap();
    let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let payload = json!({
        "iss": "https://kubernetes.default.svc",
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
        "aud": ["llmplane"],
        "iat": end - 600,
        "nbf": end - 600,
        "exp": end,
        "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": account, "uid": uid } },
    });
    let header = encode(br#"{"alg":"ES256"}"#);
    let text = format!("{header}.{}", encode(payload.to_string().as_bytes()));
    let signature = raw(&key.sign(text.as_bytes()).unwrap());
    format!("{text}.{}", encode(&signature))
}

/// A signature as JSON Web Tokens have it, two numbers of 32 bytes, from its DER form.
fn raw(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut raw = Vec::new();
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.len().saturating_sub(32)..];
        raw.resize(raw.len() + 32 - number.len(), 0);
        raw.extend_from_slice(number);
        rest = after;
    }
    raw
}
