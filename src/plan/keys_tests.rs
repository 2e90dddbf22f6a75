//! Which keys a change withholds, and what is told of those that were given.

use super::*;
use crate::crd::ProviderType;
use crate::crd::base_url::BaseUrl;
use crate::db::GivenKey;
use crate::resolve::fixtures_tests::{at, credential, endpoint, provider, snapshot, uid};
use crate::snapshot::Views;

fn site() -> Views {
    let provider = provider(1, "team", ProviderType::OpenAI);
    Views {
        endpoints: vec![
            endpoint(10, &provider, "main"),
            endpoint(11, &provider, "spare"),
        ],
        credentials: vec![credential(20, &provider, "key")],
        providers: vec![provider],
        ..Views::default()
    }
}

/// Where the key is withheld after a change, and why; and why everywhere.
fn after(change: impl FnOnce(&mut Views)) -> (Vec<(String, &'static str)>, Option<&'static str>) {
    let mut views = site();
    change(&mut views);
    let keys = withheld_keys(&snapshot(site()), &snapshot(views), at(100));
    let Some(key) = keys.first() else {
        return (Vec::new(), None);
    };
    assert_eq!((keys.len(), key.credential.as_str()), (1, "key"));
    let told = (key.at.iter()).map(|(endpoint, why)| (endpoint.clone(), why.as_str()));
    (told.collect(), key.everywhere.map(WhyNot::as_str))
}

fn both(why: &'static str) -> (Vec<(String, &'static str)>, Option<&'static str>) {
    let at = ["main", "spare"].map(|endpoint| (endpoint.to_owned(), why));
    (at.to_vec(), Some(why))
}

fn main_alone(why: &'static str) -> (Vec<(String, &'static str)>, Option<&'static str>) {
    (vec![("main".to_owned(), why)], None)
}

#[test]
fn a_key_is_withheld_where_the_resolver_gives_it_no_more() {
    assert_eq!(after(|_| ()), (Vec::new(), None));
    assert_eq!(after(|it| it.credentials.clear()), both("CredentialGone"));
    let off = after(|it| it.credentials[0].common.is_active = false);
    assert_eq!(off, both("Inactive"));
    let expired = after(|it| it.credentials[0].expires_at = Some(at(99)));
    assert_eq!(expired, both("Expired"));
    let elsewhere = after(|it| it.credentials[0].endpoint_ids = vec![uid(11)]);
    assert_eq!(elsewhere, main_alone("NotForEndpoint"));
    let moved = after(|it| it.endpoints[0].base_url = BaseUrl::new("https://gw.example.com"));
    assert_eq!(moved, main_alone("HostNotAllowed"));
    let gone = after(|it| drop(it.endpoints.remove(0)));
    assert_eq!(gone, main_alone("EndpointGone"));
    let closed = after(|it| it.endpoints[0].common.is_active = false);
    assert_eq!(closed, main_alone("EndpointInactive"));
}

#[test]
fn what_is_not_given_now_is_no_news() {
    let mut before = site();
    before.credentials[0].expires_at = Some(at(99));
    let none = withheld_keys(&snapshot(before), &snapshot(Views::default()), at(100));
    assert_eq!(none, []);
}

fn given(actor: &str, endpoint: Option<&str>, model: &str, count: i64) -> GivenKey {
    GivenKey {
        actor: actor.to_owned(),
        endpoint: endpoint.map(str::to_owned),
        model: Some(model.to_owned()),
        count,
        last_at: at(count),
    }
}

#[test]
fn callers_are_counted_once_and_what_is_still_given_is_not_told() {
    let key = WithheldKey {
        namespace: "team".to_owned(),
        credential: "key".to_owned(),
        at: [("main".to_owned(), WhyNot::EndpointGone)].into(),
        everywhere: None,
    };
    let groups = [
        given("d", Some("main"), "m", 9),
        given("c", Some("main"), "n", 8),
        given("d", Some("main"), "n", 7),
        given("b", Some("main"), "m", 6),
        given("a", Some("main"), "m", 5),
        given("e", Some("spare"), "m", 4),
        given("e", None, "m", 3),
    ];
    let all = GivenKeys {
        groups: groups.to_vec(),
        left_out: 0,
        is_cut: false,
    };
    let told = KeysReport::of(&[(key.clone(), all.clone())], 30);
    let [lost] = &told.lost[..] else {
        panic!("{told:?}");
    };
    assert_eq!(lost.title(), "team/key at main for m, n");
    assert_eq!((lost.given, lost.callers), (35, 4));
    assert_eq!(lost.to_whom(), "d, c, b and 1 more");
    assert_eq!(
        (lost.times().as_str(), lost.last_given_at),
        ("35 times", at(9))
    );

    let everywhere = WithheldKey {
        everywhere: Some(WhyNot::EndpointGone),
        ..key
    };
    let cut = GivenKeys { left_out: 2, ..all };
    let told = KeysReport::of(&[(everywhere, cut)], 30);
    assert_eq!((told.lost.len(), told.left_out), (2, 2));
    assert_eq!(told.lost[1].title(), "team/key for m");
    assert_eq!(told.lost[1].times(), "at least 3 times");
}
