//! Every way to turn a request with a key in it towards another host.

use std::process::Command;

use llmplane::{
    crd::{
        ProviderType::{self, *},
        reasons::Reason,
    },
    keys::key_allowed,
    vendors::vendor,
};
use url::Url;

use super::asking::{Ask, Caller, KEY, TYPES, fake, tls_fake};
use crate::support::vendors::{
    Fake, Fault,
    attacker::Attacker,
    certificates::{Certificate, authority_pem},
};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Redirects everything to each of these places, and asks everything with the key.
async fn redirected(provider: ProviderType, fake: &Fake, caller: &Caller, places: &[String]) {
    for to in places {
        for status in STATUSES {
            fake.mend();
            fake.fail(Fault::Redirect(status, to.clone()));
            for ask in [Ask::Validate, Ask::List, Ask::Test] {
                let said = caller.ask(ask).await;
                assert_eq!(
                    said.reason,
                    ask.failed(),
                    "{provider} {ask:?} {status} {to}"
                );
                assert!(said.message.contains("redirects"), "{to}: {}", said.message);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_takes_a_key_along() {
    for provider in TYPES {
        let fake = fake(provider).await;
        let other_host = Attacker::listen("127.0.0.2:0").await;
        let other_port = Attacker::listen("127.0.0.1:0").await;
        let other_scheme = Attacker::listen_tls("127.0.0.1:0").await;
        let (at, port) = (other_host.address, other_host.port());
        let places = [
            format!("http://{at}/v1/models"),
            format!("//{at}/v1/models"),
            format!("\\\\{at}\\v1"),
            format!("/\\{at}/v1"),
            format!("http:\\\\{at}/"),
            format!("\thttp://{at}/"),
            format!("http://127.0.0.1:{}@{at}/", fake.port()),
            format!("http://{KEY}@{at}/"),
            format!("http://2130706434:{port}/"),
            format!("http://0x7f000002:{port}/"),
            format!("http://0177.0.0.2:{port}/"),
            format!("http://127.2:{port}/"),
            format!("http://[::ffff:127.0.0.2]:{port}/"),
            format!("http://127.0.0.1:{}/v1/models", other_port.port()),
            format!("https://127.0.0.1:{}/v1/models", fake.port()),
            format!("https://127.0.0.1:{}/v1/models", other_scheme.port()),
            format!("http://localhost:{}/v1/models", fake.port()),
        ];
        let caller = Caller::of(&fake, provider);
        redirected(provider, &fake, &caller, &places).await;
        for attacker in [&other_host, &other_port, &other_scheme] {
            assert_eq!(
                attacker.connections(),
                0,
                "{provider}: {}",
                attacker.heard()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_takes_a_key_out_of_tls() {
    for provider in TYPES {
        let fake = tls_fake(provider, Certificate::Good).await;
        let (plain, tls) = (
            Attacker::listen("127.0.0.1:0").await,
            Attacker::listen_tls("127.0.0.2:0").await,
        );
        let places = [
            format!("http://127.0.0.1:{}/v1/models", fake.port()),
            format!("http://{}/v1/models", plain.address),
            format!("https://{}/v1/models", tls.address),
        ];
        let caller = Caller::of(&fake, provider).trusting(authority_pem());
        redirected(provider, &fake, &caller, &places).await;
        assert_eq!(
            (plain.connections(), tls.connections()),
            (0, 0),
            "{provider}"
        );
    }
}

/// A name is judged by what it resolves to, at the moment of connecting: what it resolved to
/// before, when somebody looked, counts for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_turns_inwards_is_not_connected_to() {
    let inside = Attacker::listen("127.0.0.1:0").await;
    for provider in TYPES {
        for ask in Ask::ALL {
            for allowed in ["", "127.0.0.0/8:1", "10.0.0.0/8", "other=127.0.0.0/8"] {
                let url = format!("http://localhost:{}/v1", inside.port());
                let caller = Caller {
                    allowed: allowed.to_owned(),
                    ..Caller::new(provider, &url)
                };
                let said = caller.ask(ask).await;
                assert_eq!(
                    said.reason,
                    Reason::AddressRefused,
                    "{provider} {ask:?}: {said:?}"
                );
                assert!(
                    said.message.contains("LLMPLANE_ALLOW_CIDRS"),
                    "{}",
                    said.message
                );
            }
        }
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_literal_in_any_spelling_is_not_connected_to() {
    let inside = Attacker::listen("127.0.0.1:0").await;
    let port = inside.port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "[::]",
        "1%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
    ] {
        let Ok(url) = Url::parse(&format!("http://{host}:{port}/v1")) else {
            panic!("{host} is a URL's host")
        };
        let caller = Caller {
            allowed: String::new(),
            ..Caller::new(OpenAICompatible, url.as_str())
        };
        let said = caller.ask(Ask::Validate).await;
        assert_eq!(said.reason, Reason::AddressRefused, "{host}: {said:?}");
    }
    assert_eq!(inside.connections(), 0);
}

#[test]
fn consent_to_a_host_is_consent_to_nothing_that_looks_like_it() {
    let allows = |hosts: &[&str], url: &str| {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        key_allowed("OpenAI", &hosts, vendor(OpenAI), &url).is_ok()
    };
    assert!(allows(&["gw.example"], "https://GW.example/v1"));
    assert!(
        allows(&["10.1.2.3"], "https://167838211/v1"),
        "one address, spelled otherwise"
    );
    for url in [
        "http://gw.example/v1",
        "https://gw.example:444/v1",
        "https://gw.example./v1",
        "https://gw.example.evil.example/v1",
        "https://evil-gw.example/v1",
        "https://a.gw.example/v1",
        "https://gw.example@evil.example/v1",
        "https://gw.example:443@evil.example/v1",
        "https://evil.example/gw.example",
        "https://evil.example/?gw.example",
        "https://evil.example/#gw.example",
        "https://evil.example\\@gw.example/v1",
        "https://gw。example.evil.example/",
        "https://gw%2eexample.evil.example/",
        "ftp://gw.example/v1",
    ] {
        assert!(!allows(&["gw.example"], url), "{url}");
    }
    for url in [
        "https://api.openai.com./v1",
        "https://api.openai.com@evil.example/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com",
        "https://аpi.openai.com/v1",
        "https://eu.api.openai.com.:443/v1",
        "http://api.openai.com:443/v1",
    ] {
        assert!(!allows(&[], url), "{url}");
    }
    for hosts in [
        &["*"][..],
        &["*.example"],
        &["https://*.example"],
        &["10.0.0.0/8"],
        &["."],
        &[""],
    ] {
        assert!(!allows(hosts, "https://evil.example/v1"), "{hosts:?}");
    }
}

/// The sealed type is a word; only the very same one counts.
#[test]
fn a_key_of_one_vendor_is_no_other_vendors() {
    for sealed in ProviderType::ALL {
        for provider in ProviderType::ALL {
            let url = Url::parse("https://gw.example/v1").unwrap();
            let allowed = key_allowed(
                sealed.as_str(),
                &["gw.example".to_owned()],
                vendor(provider),
                &url,
            );
            assert_eq!(
                allowed.is_ok(),
                sealed == provider,
                "{sealed} at {provider}"
            );
        }
    }
    for word in ["", "openai", "OpenAI ", "OpenAI,VLLM", "*"] {
        let url = Url::parse("https://api.openai.com/v1").unwrap();
        assert!(
            key_allowed(word, &[], vendor(OpenAI), &url).is_err(),
            "{word}"
        );
    }
}

const CHILD: &str = "LLMPLANE_TEST_CHILD_URL";

/// Variables that other programs take a proxy from say nothing here. Run again in a process of its
/// own, for the environment is the whole process's.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_the_environment_is_not_used() {
    if let Ok(url) = std::env::var(CHILD) {
        let said = Caller::new(OpenAICompatible, &url).ask(Ask::Validate).await;
        assert_eq!(said.reason, Reason::KeyAccepted, "{said:?}");
        return;
    }
    let fake = fake(OpenAICompatible).await;
    let attacker = Attacker::listen("127.0.0.2:0").await;
    let proxy = format!("http://{}", attacker.address);
    let name = "vendors::key_destination::a_proxy_in_the_environment_is_not_used";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact"]).env(CHILD, fake.url());
    for variable in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(variable, &proxy);
    }
    let output = tokio::task::spawn_blocking(move || child.output().unwrap())
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(attacker.connections(), 0);
    assert!(fake.calls() > 0, "the child called the vendor");
}
