//! A driver, whole, over a script of answers; and what must hold whatever they are.

use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use llmplane::{
    crd::{ProviderType, reasons::Reason},
    encryption::SecretFields,
    keys::BoundKey,
    vendors::{
        Call, CheckResult, HttpClient, HttpClients, KeyFields, ModelList, Retry, TestedModel, driver,
        http::{address_guard::AddressGuard, client::Response, script::Script},
        vendor,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{runtime::Runtime, time::Instant};
use url::Url;

/// A key whose beginning tells nobody that it is one.
pub const KEY: &str = "zQ7Xv9Kw2Lm4Np6Rt8YbHd3Gs5";
/// The other fields of a key.
const SECRET_KEY: &str = "Wq1Er2Ty3Ui4Op5As6Df7Gh8Jk9Lz0Xc1Vb2Nm3Q";
const TOKEN: &str = "Fwo9GZXIvYXdzEBYaDKq7Jr3Ty6Bn1Zx4Cv8Mp2";
const ACCESS_KEY_ID: &str = "AKIAQX7ZV3KPLM2NWRTD";

const MODELS: [&str; 4] = [
    "gpt-4o",
    "meta-llama/Llama-3.1-8B",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
];

/// What is asked of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Probe,
    Validate,
    List,
    Test,
}

/// What it said.
#[derive(Debug)]
pub enum Said {
    CheckResult(CheckResult),
    List(Result<ModelList, CheckResult>),
}

/// One run of a driver.
pub struct Case {
    pub provider: ProviderType,
    pub ask: Ask,
    /// Which fields of a key it has.
    pub key: u8,
    pub model: u8,
    pub answers: Vec<Response>,
}

/// One answer.
pub fn answer(status: u16, headers: HeaderMap, body: impl Into<Bytes>) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
        headers,
        body: body.into(),
    }
}

impl Case {
    /// Reads a case: a line `TYPE ASK KEY MODEL`, then answers with `---` between them, each of a
    /// status, header lines, an empty line and a body. `{KEY}` stands for the key that is sent.
    pub fn read(data: &[u8]) -> Self {
        let (first, rest) = split(data, b"\n").unwrap_or((data, b""));
        let mut words = first.split(|b| *b == b' ');
        let mut word = || words.next().unwrap_or_default();
        let provider = word();
        let provider = ProviderType::ALL
            .into_iter()
            .find(|p| p.as_str().as_bytes() == provider)
            .unwrap_or(ProviderType::ALL[sum(provider) % ProviderType::ALL.len()]);
        let ask = match word() {
            b"probe" => Ask::Probe,
            b"validate" => Ask::Validate,
            b"list" => Ask::List,
            b"test" => Ask::Test,
            other => [Ask::Probe, Ask::Validate, Ask::List, Ask::Test][sum(other) % 4],
        };
        let (key, model) = (sum(word()) as u8, sum(word()) as u8);
        let sent = sent(driver(provider).key_fields(), key);
        let mut answers = Vec::new();
        let mut rest = Some(rest);
        while let Some(text) = rest.take() {
            let this = match split(text, b"\n---\n") {
                Some((this, more)) => {
                    rest = Some(more);
                    this
                }
                None => text,
            };
            answers.push(read_answer(this, sent));
            if answers.len() == 32 {
                break;
            }
        }
        Self {
            provider,
            ask,
            key,
            model,
            answers,
        }
    }

    /// Runs the driver and holds what must hold.
    pub fn run(&self) -> Option<Said> {
        let driver = driver(self.provider);
        let region = (self.provider == ProviderType::Bedrock).then_some("us-east-1");
        let base_url = driver
            .default_base_url(region)
            .unwrap_or_else(|| "https://gateway.example.com/v1".to_owned());
        let base_url = Url::parse(&base_url).expect("a default that is a URL");
        let script = Script::new(self.answers.iter().cloned());
        let client = client(&base_url).scripted(&script);
        let own = [base_url.origin().ascii_serialization()];
        let key = fields(driver.key_fields(), self.key).map(|fields| {
            let type_ = self.provider;
            BoundKey::bind(fields, type_.as_str(), &own, vendor(type_), &base_url).expect("it is its host")
        });
        let headers = [("x-team".to_owned(), "search".to_owned())];
        let model = TestedModel {
            id: MODELS[usize::from(self.model) % MODELS.len()],
            ..TestedModel::default()
        };
        let said = RUNTIME.with_borrow_mut(|runtime| {
            runtime.block_on(async {
                let call = Call {
                    base_url: &base_url,
                    region,
                    api_version: None,
                    headers: &headers,
                    key: key.as_ref(),
                    client: &client.hiding(key.as_ref()),
                    deadline: Instant::now() + Duration::from_secs(10),
                };
                match self.ask {
                    Ask::Probe => Said::CheckResult(driver.probe(&call).await),
                    Ask::Validate => Said::CheckResult(driver.validate(&call).await),
                    Ask::Test => Said::CheckResult(driver.test_model(&call, &model).await),
                    Ask::List => Said::List(driver.list_models(&call).await),
                }
            })
        });
        let trusted = driver.trusted_hosts();
        for url in script.asked() {
            let host = url.host_str().expect("an asked URL has a host");
            let at_home = url.origin() == base_url.origin();
            let sent_there = at_home || (url.scheme() == "https" && trusted.contains(&host));
            assert!(
                sent_there || is_bedrock(self.provider, host),
                "asked {host}"
            );
            for secret in self.secrets() {
                assert!(!url.as_str().contains(secret), "a key in a URL");
            }
        }
        self.holds(&said);
        Some(said)
    }

    /// What a driver says holds nothing of a key, is bounded, and is a word that this check may
    /// say, for a cause that is there.
    fn holds(&self, said: &Said) {
        let text = format!("{said:?}");
        for secret in self.secrets() {
            assert!(!text.contains(secret), "the key is repeated");
        }
        match said {
            Said::CheckResult(outcome) | Said::List(Err(outcome)) => self.outcome_holds(outcome),
            Said::List(Ok(list)) => list_holds(list),
        }
    }

    /// What this case's key must keep to itself. The fuzzer writes the other constants into answers
    /// too, where they are a vendor's words like any other.
    fn secrets(&self) -> impl Iterator<Item = &'static str> {
        let key = fields(driver(self.provider).key_fields(), self.key).unwrap_or_default();
        let held = [key.api_key, key.secret_key, key.access_token];
        [KEY, SECRET_KEY, TOKEN].into_iter().filter(move |secret| {
            let is = |field: &SecretString| field.expose_secret() == *secret;
            held.iter().flatten().any(is)
        })
    }

    fn outcome_holds(&self, outcome: &CheckResult) {
        use Reason as R;
        let may_say: &[R] = match self.ask {
            Ask::Probe => &[R::ProbeSucceeded, R::ProbeFailed],
            Ask::Validate => &[
                R::KeyAccepted,
                R::KeyRestricted,
                R::KeyRejected,
                R::QuotaExhausted,
                R::CheckInconclusive,
            ],
            Ask::List => &[R::SyncFailed],
            Ask::Test => &[
                R::ModelListed,
                R::ModelAnswered,
                R::ModelNotFound,
                R::ModelAccessDenied,
                R::QuotaExhausted,
                R::CheckInconclusive,
                R::Unverifiable,
            ],
        };
        assert!(may_say.contains(&outcome.reason), "{outcome:?}");
        assert!(!outcome.message.is_empty() && outcome.message.len() <= 400);
        assert!(!outcome.message.contains(char::is_control));
        for word in [&outcome.code, &outcome.request_id].into_iter().flatten() {
            assert!(word.len() <= 128 && word.is_ascii(), "{word}");
            let lower = word.to_ascii_lowercase();
            let like_a_key = ["sk-", "bce-v3", "akia", "eyj"];
            assert!(!like_a_key.iter().any(|p| lower.contains(p)), "{word}");
        }
        if let Retry::After(wait) = outcome.retry {
            assert!(wait <= Duration::from_secs(86_400));
        }
        let answered = |holds: &dyn Fn(&Response) -> bool| self.answers.iter().any(holds);
        match outcome.reason {
            R::KeyAccepted => {
                assert!(answered(&|a| a.status.is_success()), "{outcome:?}");
            }
            // A page from something in between is no vendor's word.
            R::KeyRejected | R::KeyRestricted | R::ModelAnswered | R::ModelListed => {
                assert!(answered(&says_something), "{outcome:?}");
            }
            _ => {}
        }
    }
}

/// The kinds of key that a type takes, by turns; none last.
fn fields(takes: KeyFields, kind: u8) -> Option<SecretFields> {
    let some = |text: &str| Some(text.to_owned().into());
    let api_key = SecretFields {
        api_key: some(KEY),
        ..SecretFields::default()
    };
    match (takes, kind % 3) {
        (_, 0) => Some(api_key),
        (KeyFields::ApiKeyOrAccessToken, 1) => Some(SecretFields {
            access_token: some(TOKEN),
            ..SecretFields::default()
        }),
        (KeyFields::AccessKeyPairOrApiKey, 1) => Some(SecretFields {
            api_key: some(ACCESS_KEY_ID),
            secret_key: some(SECRET_KEY),
            access_token: some(TOKEN),
        }),
        (_, 1) => Some(api_key),
        _ => None,
    }
}

/// The field of it that goes over the wire, where a vendor can see it to repeat it.
fn sent(takes: KeyFields, kind: u8) -> &'static str {
    match (takes, kind % 3) {
        (KeyFields::ApiKeyOrAccessToken | KeyFields::AccessKeyPairOrApiKey, 1) => TOKEN,
        (_, 0 | 1) => KEY,
        _ => "",
    }
}

/// Whether an answer holds words that are no web page's, or says by a header what is refused.
fn says_something(answer: &Response) -> bool {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default().trim();
    let lower = text.to_ascii_lowercase();
    let is_page = lower.contains("<html") || lower.contains("<!doctype html");
    !text.is_empty() && !is_page
        || answer.header("x-amzn-errortype").is_some()
        || answer.header("www-authenticate").is_some()
}

/// Each id once, none empty, long or with control characters; numbers that can be.
pub fn list_holds(list: &ModelList) {
    let mut seen = std::collections::HashSet::new();
    for model in &list.models {
        assert!(!model.id.is_empty() && model.id.chars().count() <= 256);
        assert!(!model.id.contains(char::is_control), "{:?}", model.id);
        assert!(seen.insert(&model.id), "{:?} twice", model.id);
        let counts = [
            model.context_window,
            model.max_input_tokens,
            model.max_output_tokens,
        ];
        assert!(counts.into_iter().flatten().all(|n| n > 0), "{model:?}");
        if let Some(capabilities) = &model.capabilities {
            let mut names: Vec<_> = capabilities.iter().map(|c| c.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), capabilities.len(), "{model:?}");
        }
    }
}

/// Control and runtime hosts of the region that was asked for.
fn is_bedrock(provider: ProviderType, host: &str) -> bool {
    provider == ProviderType::Bedrock
        && [
            "bedrock.us-east-1.amazonaws.com",
            "bedrock-runtime.us-east-1.amazonaws.com",
        ]
        .contains(&host)
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime"),
    );
}

fn client(base_url: &Url) -> HttpClient {
    static CLIENTS: OnceLock<Arc<HttpClients>> = OnceLock::new();
    let clients = CLIENTS.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Arc::new(HttpClients::new(AddressGuard::default(), None))
    });
    clients.client("fuzz", base_url, None).expect("a client")
}

fn read_answer(text: &[u8], sent: &str) -> Response {
    let (head, body) = split(text, b"\n\n").unwrap_or((text, b""));
    let mut lines = head.split(|b| *b == b'\n');
    let status = lines
        .next()
        .and_then(|line| std::str::from_utf8(line).ok()?.trim().parse().ok())
        .filter(|status| (200..600).contains(status))
        .unwrap_or(200);
    let mut headers = HeaderMap::new();
    for line in lines.take(32) {
        let Some((name, value)) = split(line, b": ") else {
            continue;
        };
        let value = with_key(value, sent);
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_bytes(&value),
        ) {
            headers.append(name, value);
        }
    }
    answer(status, headers, with_key(body, sent))
}

fn with_key(text: &[u8], sent: &str) -> Vec<u8> {
    let mut left = text;
    let mut out = Vec::new();
    while let Some((before, after)) = split(left, b"{KEY}") {
        out.extend_from_slice(before);
        out.extend_from_slice(sent.as_bytes());
        left = after;
    }
    out.extend_from_slice(left);
    out
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = text.windows(at.len()).position(|window| window == at)?;
    Some((&text[..place], &text[place + at.len()..]))
}

fn sum(word: &[u8]) -> usize {
    word.iter().map(|b| usize::from(*b)).sum()
}
