use jiff::Timestamp;
use uuid::Uuid;

use super::fixtures_tests::{
    HOST, ask, at, credential, endpoint, health, model, named, need, provider, reasons, snapshot,
    team, uid,
};
use super::{Access, CredentialReason, Need, Request, Resolution, Unresolved, resolve};
use crate::crd::ProviderType;
use crate::crd::base_url::BaseUrl;
use crate::crd::endpoint::Header;
use crate::crd::reasons::Reason;
use crate::snapshot::{
    CredentialView, EndpointView, HealthState, ProviderView, Snapshot, Validity, ValidityState,
    Views,
};

fn openai() -> ProviderView {
    provider(1, "team", ProviderType::OpenAI)
}

fn with(
    endpoints: Vec<EndpointView>,
    credentials: Vec<CredentialView>,
    provider: ProviderView,
) -> Snapshot {
    snapshot(Views {
        models: vec![model(100, &provider, "gpt")],
        providers: vec![provider],
        endpoints,
        credentials,
        ..Views::default()
    })
}

fn endpoint_names(found: &Resolution) -> Vec<&str> {
    let targets = found.targets.iter();
    targets
        .map(|target| target.endpoint.view.common.name.as_str())
        .collect()
}

#[test]
fn targets_are_in_failover_order() {
    let provider = openai();
    let make = |number: u128, name: &str, state, change: fn(&mut EndpointView)| {
        let mut endpoint = endpoint(number, &provider, name);
        endpoint.health = health(state);
        change(&mut endpoint);
        endpoint
    };
    use HealthState::{Healthy, Unhealthy, Unknown};
    let endpoints = vec![
        make(10, "sick-default", Unhealthy, |e| e.is_default = true),
        make(11, "unknown-first", Unknown, |e| e.priority = 0),
        make(12, "late", Healthy, |e| e.priority = 300),
        make(13, "young", Healthy, |e| e.common.created_at = at(50)),
        make(14, "b-old", Healthy, |_| ()),
        make(15, "a-old", Healthy, |_| ()),
        make(16, "early", Healthy, |e| e.priority = 1),
        make(17, "default", Healthy, |e| {
            e.is_default = true;
            e.priority = 900;
        }),
        make(18, "off", Healthy, |e| e.common.is_active = false),
    ];
    let found = ask(&with(endpoints, Vec::new(), provider.clone()), named("gpt"));
    assert_eq!(
        endpoint_names(&found.expect("an answer")),
        [
            "default",
            "early",
            "a-old",
            "b-old",
            "young",
            "late",
            "unknown-first",
            "sick-default"
        ]
    );
}

#[test]
fn a_model_of_one_endpoint_is_called_nowhere_else() {
    let provider = openai();
    let endpoints = vec![endpoint(10, &provider, "a"), endpoint(11, &provider, "b")];
    let mut only = model(101, &provider, "only");
    only.endpoint_ids = vec![uid(11)];
    let mut gone = model(102, &provider, "gone");
    gone.endpoint_ids = vec![uid(99)];
    let snapshot = snapshot(Views {
        models: vec![only, gone],
        providers: vec![provider],
        endpoints,
        ..Views::default()
    });
    let found = ask(&snapshot, named("only")).expect("an answer");
    assert_eq!(endpoint_names(&found), ["b"]);
    let refused = ask(&snapshot, named("gone")).expect_err("it has none");
    assert_eq!(reasons(&refused.considered), [("gone", "NoEndpoint")]);
}

#[test]
fn a_need_of_a_region_is_met_and_failed_over_there_alone() {
    let provider = openai();
    let in_region = |number: u128, name: &str, region: Option<&str>| EndpointView {
        region: region.map(str::to_owned),
        ..endpoint(number, &provider, name)
    };
    let endpoints = vec![
        in_region(10, "eu", Some("eu-central-1")),
        in_region(11, "us", Some("us-east-1")),
        in_region(12, "nowhere", None),
    ];
    let snapshot = with(endpoints, Vec::new(), provider.clone());
    let regions = |names: &[&str]| {
        need(Need {
            regions: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Need::default()
        })
    };
    let found = ask(&snapshot, regions(&["EU-central-1"])).expect("an answer");
    assert_eq!(endpoint_names(&found), ["eu"]);
    let refused = ask(&snapshot, regions(&["mars"])).expect_err("nowhere there");
    assert_eq!(reasons(&refused.considered), [("gpt", "RegionMismatch")]);
}

fn credential_names(found: &Resolution) -> Vec<&str> {
    let fitting = found.targets[0].credentials.iter();
    fitting.map(|c| c.view.common.name.as_str()).collect()
}

#[test]
fn credentials_go_by_priority_then_age_then_name() {
    let provider = openai();
    let make = |number: u128, name: &str, priority, age| {
        let mut credential = credential(number, &provider, name);
        (credential.priority, credential.common.created_at) = (priority, at(age));
        credential
    };
    let credentials = vec![
        make(20, "late", 200, 0),
        make(21, "young", 100, 9),
        make(22, "b", 100, 1),
        make(23, "a", 100, 1),
    ];
    let endpoints = vec![endpoint(10, &provider, "main")];
    let found = ask(&with(endpoints, credentials, provider), named("gpt"));
    let found = found.expect("an answer");
    assert_eq!(credential_names(&found), ["a", "b", "young", "late"]);
    assert_eq!(found.targets[0].without_credential, None);
}

fn state(state: ValidityState, reason: Reason) -> Validity {
    Validity {
        state,
        since: None,
        reason: reason.as_str().to_owned(),
    }
}

#[test]
fn a_credential_that_does_not_fit_is_left_out_and_the_target_says_why() {
    let provider = openai();
    let main = endpoint(10, &provider, "main");
    type Change = fn(&mut CredentialView);
    let changes: [(Change, CredentialReason); 10] = [
        (
            |c| c.endpoint_ids = vec![uid(99)],
            CredentialReason::NotForEndpoint,
        ),
        (|c| c.key = None, CredentialReason::NoKey),
        (
            |c| c.key.as_mut().unwrap().provider_type = ProviderType::Anthropic,
            CredentialReason::HostNotAllowed,
        ),
        (|c| c.common.is_active = false, CredentialReason::Inactive),
        (|c| c.expires_at = Some(at(100)), CredentialReason::Expired),
        (
            |c| c.validity = state(ValidityState::Invalid, Reason::Expired),
            CredentialReason::Expired,
        ),
        (
            |c| c.validity = state(ValidityState::Invalid, Reason::KeyRejected),
            CredentialReason::Invalid,
        ),
        (
            |c| c.validity = state(ValidityState::Invalid, Reason::QuotaExhausted),
            CredentialReason::QuotaExhausted,
        ),
        (
            |c| c.key.as_mut().unwrap().refused_at = vec![(uid(10), "now".to_owned())],
            CredentialReason::Invalid,
        ),
        (|c| c.provider_id = uid(2), CredentialReason::NoCredential),
    ];
    for (change, reason) in changes {
        let mut unfit = credential(20, &provider, "key");
        change(&mut unfit);
        let snapshot = with(vec![main.clone()], vec![unfit], provider.clone());
        let found = ask(&snapshot, named("gpt")).expect("an answer");
        assert!(found.targets[0].credentials.is_empty(), "{reason:?}");
        assert_eq!(found.targets[0].without_credential, Some(reason));
    }
}

#[test]
fn an_endpoint_whose_url_cannot_be_read_serves_nothing_whatever_region_is_asked_for() {
    let provider = openai();
    let mut broken = endpoint(10, &provider, "main");
    broken.base_url = BaseUrl::new("no url");
    let snapshot = with(vec![broken], Vec::new(), provider);
    let refused = ask(&snapshot, named("gpt")).expect_err("it cannot be called");
    assert_eq!(reasons(&refused.considered), [("gpt", "NoEndpoint")]);
}

#[test]
fn a_key_stays_in_use_while_the_vendor_has_said_nothing_against_it() {
    let provider = openai();
    for reason in [
        Reason::SecretFieldMissing,
        Reason::KeyMalformed,
        Reason::ExchangeRefused,
        Reason::KeyringUnavailable,
        Reason::DatabaseUnavailable,
    ] {
        let mut kept = credential(20, &provider, "key");
        kept.validity = state(ValidityState::Invalid, reason);
        let endpoints = vec![endpoint(10, &provider, "main")];
        let found = ask(&with(endpoints, vec![kept], provider.clone()), named("gpt"));
        let found = found.expect("an answer");
        assert_eq!(credential_names(&found), ["key"], "{reason:?}");
    }
}

#[test]
fn a_refusal_at_another_endpoint_or_of_a_former_url_is_none_here() {
    let provider = openai();
    for refused_at in [(uid(11), "now"), (uid(10), "before"), (uid(10), "")] {
        let mut fit = credential(20, &provider, "key");
        let refused_at = (refused_at.0, refused_at.1.to_owned());
        fit.key.as_mut().expect("a key").refused_at = vec![refused_at];
        let endpoints = vec![endpoint(10, &provider, "main")];
        let found = ask(&with(endpoints, vec![fit], provider.clone()), named("gpt"));
        assert_eq!(credential_names(&found.expect("an answer")), ["key"]);
    }
}

#[test]
fn a_key_fits_only_hosts_that_its_owner_allows() {
    let provider = openai();
    let mut gateway = endpoint(10, &provider, "gateway");
    gateway.base_url = BaseUrl::new("https://gw.example.com/v1");
    let own = endpoint(11, &provider, "own");
    let plain = credential(20, &provider, "plain");
    let mut named_host = credential(21, &provider, "named");
    named_host.key.as_mut().expect("a key").allowed_hosts = vec!["gw.example.com".to_owned()];
    named_host.priority = 200;
    let snapshot = with(vec![gateway, own], vec![plain, named_host], provider);
    let found = ask(&snapshot, named("gpt")).expect("an answer");
    let names: Vec<Vec<_>> = found
        .targets
        .iter()
        .map(|target| {
            let fitting = target.credentials.iter();
            fitting.map(|c| c.view.common.name.as_str()).collect()
        })
        .collect();
    assert_eq!(endpoint_names(&found), ["gateway", "own"]);
    assert_eq!(names, [vec!["named"], vec!["plain", "named"]]);
}

/// A text of a URL that other parsers read as another host, and a header that names one, come by the
/// database alone.
#[test]
fn no_key_fits_an_endpoint_that_a_clients_parser_may_find_elsewhere() {
    let provider = openai();
    let fitting = |change: &dyn Fn(&mut EndpointView)| {
        let mut main = endpoint(10, &provider, "main");
        change(&mut main);
        let keys = vec![credential(20, &provider, "key")];
        let found = ask(&with(vec![main], keys, provider.clone()), named("gpt"));
        let target = found.expect("an answer").targets.remove(0);
        (target.credentials.len(), target.without_credential)
    };
    let refused = (0, Some(CredentialReason::HostNotAllowed));
    for url in [
        r"https://api.openai.com\@evil.example/v1",
        r"https:\\api.openai.com\.evil.example/v1",
        "https:api.openai.com/v1",
        "https:///api.openai.com@evil.example/v1",
        "https://api.open\tai.com/v1",
        " https://api.openai.com/v1",
        "https://api.openai.com/v1\n",
        "https://evil.example@api.openai.com/v1",
        "https://api%2Eopenai.com/v1",
        "https://api\u{3002}openai.com/v1",
        "https://api.openai.com/v1?to=evil.example",
        "https://api.openai.com#@evil.example",
    ] {
        let read = url::Url::parse(url).expect("our parser takes it");
        let is_own = read.host_str() == Some("api.openai.com");
        assert!(is_own || url.contains("evil"), "{url}: {read}");
        let found = fitting(&|main| main.base_url = BaseUrl::new(url));
        assert_eq!(found, refused, "{url:?}");
    }
    for name in ["Host", "host", "Proxy-Authorization", "Transfer-Encoding"] {
        let header = Header {
            name: name.to_owned(),
            value: "evil.example".to_owned(),
        };
        let found = fitting(&|main| main.headers = vec![header.clone()]);
        assert_eq!(found, refused, "{name}");
    }
    for url in [
        HOST,
        "HTTPS://api.openai.com",
        "https://API.OpenAI.com:443/v1/",
    ] {
        let plain = url.starts_with("https://");
        let found = fitting(&|main| main.base_url = BaseUrl::new(url));
        assert_eq!(found.0, usize::from(plain), "{url}");
    }
    let team = Header {
        name: "X-Team".to_owned(),
        value: "search".to_owned(),
    };
    assert_eq!(
        fitting(&|main| main.headers = vec![team.clone()]),
        (1, None)
    );
}

#[test]
fn the_answer_says_when_time_alone_changes_it() {
    let provider = openai();
    let ending = |number: u128, end: Option<Timestamp>| CredentialView {
        expires_at: end,
        ..credential(number, &provider, &format!("key-{number}"))
    };
    let endpoints = vec![endpoint(10, &provider, "main")];
    let credentials = vec![
        ending(20, Some(at(300))),
        ending(21, Some(at(200))),
        ending(22, Some(at(50))),
        ending(23, None),
    ];
    let found = ask(
        &with(endpoints, credentials, provider.clone()),
        named("gpt"),
    );
    assert_eq!(found.expect("an answer").changes_at, Some(at(200)));
}

fn with_key(
    snapshot: &Snapshot,
    wanted: super::Wanted,
    may_have: &(dyn Fn(&CredentialView) -> bool + Sync),
) -> Result<Resolution, Unresolved> {
    let request = Request {
        wanted,
        with_key: true,
    };
    let tiers = [team()];
    let access = Access {
        tiers: &tiers,
        may_have,
        may_see_classes: &|_| true,
        gave_no_key: &[],
    };
    resolve(snapshot, &request, access, at(100))
}

#[test]
fn a_credential_that_is_not_the_callers_looks_like_none() {
    let provider = openai();
    let endpoints = || vec![endpoint(10, &openai(), "main")];
    let expired = CredentialView {
        expires_at: Some(at(1)),
        ..credential(20, &provider, "key")
    };
    let there = with(endpoints(), vec![expired], provider.clone());
    let absent = with(endpoints(), Vec::new(), provider);
    for wanted in [named("gpt"), need(Need::default())] {
        let hidden = with_key(&there, wanted.clone(), &|_| false);
        let none = with_key(&absent, wanted, &|_| true);
        assert_eq!(format!("{hidden:?}"), format!("{none:?}"));
    }
}

#[test]
fn a_server_that_a_credential_is_declared_for_is_not_called_without_one() {
    let provider = provider(1, "team", ProviderType::OpenAICompatible);
    let mut main = endpoint(10, &provider, "main");
    main.base_url = BaseUrl::new(HOST);
    let refused = CredentialView {
        validity: state(ValidityState::Invalid, Reason::KeyRejected),
        ..credential(20, &provider, "key")
    };
    let elsewhere = CredentialView {
        endpoint_ids: vec![endpoint(11, &provider, "other").common.id],
        ..refused.clone()
    };
    let asked = |credential| {
        let snapshot = with(vec![main.clone()], vec![credential], provider.clone());
        with_key(&snapshot, need(Need::default()), &|_| true)
    };
    let considered = asked(refused).expect_err("its key is refused").considered;
    assert_eq!(reasons(&considered), [("gpt", "NoCredential")]);
    let found = asked(elsewhere).expect("none is declared for this endpoint");
    assert!(found.targets[0].works_without_credential());
}

#[test]
fn a_server_whose_key_did_not_come_is_not_called_without_one() {
    let provider = provider(1, "team", ProviderType::OpenAICompatible);
    let mut main = endpoint(10, &provider, "main");
    main.base_url = BaseUrl::new(HOST);
    let mut key = credential(20, &provider, "key");
    let held = key.key.as_mut().expect("a key");
    held.allowed_hosts = vec!["api.openai.com".to_owned()];
    let id = key.common.id;
    let snapshot = with(vec![main], vec![key], provider);
    let tiers = [team()];
    let request = Request {
        wanted: need(Need::default()),
        with_key: true,
    };
    let asked = |gave_no_key: &[Uuid]| {
        let access = Access {
            tiers: &tiers,
            may_have: &|_| true,
            may_see_classes: &|_| true,
            gave_no_key,
        };
        resolve(&snapshot, &request, access, at(100))
    };
    assert!(asked(&[]).is_ok());
    let considered = asked(&[id]).expect_err("its key did not come").considered;
    assert_eq!(reasons(&considered), [("gpt", "NoCredential")]);
}

#[test]
fn whoever_asks_for_a_key_is_given_a_model_that_has_one_or_needs_none() {
    let keyless = |type_| {
        let provider = provider(1, "team", type_);
        let mut main = endpoint(10, &provider, "main");
        main.base_url = BaseUrl::new(HOST);
        with(vec![main], Vec::new(), provider)
    };
    for type_ in ProviderType::ALL {
        let snapshot = keyless(type_);
        let own_server = [
            ProviderType::Ollama,
            ProviderType::VLLM,
            ProviderType::OpenAICompatible,
        ]
        .contains(&type_);
        let found = with_key(&snapshot, need(Need::default()), &|_| true);
        assert_eq!(found.is_ok(), own_server, "{type_}");
        if let Err(refused) = found {
            assert_eq!(reasons(&refused.considered), [("gpt", "NoCredential")]);
        }
        let without = ask(&snapshot, need(Need::default()));
        assert!(without.is_ok(), "{type_}: no key is asked for");
        let by_name = with_key(&snapshot, named("gpt"), &|_| true).expect("it is named");
        let why = by_name.targets[0].without_credential;
        assert_eq!(why, Some(CredentialReason::NoCredential));
    }
}
