//! A driver that would send its key elsewhere, over real sockets: it cannot.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderName, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::*;
use crate::{
    crd::{ProviderType, reasons::Reason},
    keys::HostNotAllowed,
    vendors::{
        Call, CheckResult, ClientConfig, ClientInput, Driver, HttpClient, HttpClients, KeyFields,
        ModelList, TestedModel,
        http::{address_guard::AddressGuard, script::testing::of},
        vendor,
    },
};

const KEY: &str = "zQ7Xv9Kw2Lm4Np6Rt8YbHd3Gs5";

/// A host that keeps what it is sent, and answers everything with the same.
struct Host {
    address: SocketAddr,
    heard: Arc<Mutex<String>>,
}

impl Host {
    async fn listen(listener: TcpListener, answer: String) -> Self {
        let address = listener.local_addr().expect("an address");
        let heard = Arc::<Mutex<String>>::default();
        let keeps = heard.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => break,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                keeps.lock().expect("not poisoned").push_str(&text);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().expect("not poisoned").clone()
    }
}

/// The key's own host, and another on the same port, which a page's `next` names.
async fn hosts() -> (Host, Host) {
    let (home, other) = loop {
        let home = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = home.local_addr().expect("an address").port();
        if let Ok(other) = TcpListener::bind(("127.0.0.2", port)).await {
            break (home, other);
        }
    };
    let next = format!("http://{}/more", other.local_addr().expect("an address"));
    let body = json!({ "data": [], "next": next }).to_string();
    let length = body.len();
    let page =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    (
        Host::listen(home, page.clone()).await,
        Host::listen(other, page).await,
    )
}

/// Each of its calls takes the key, in another way, to the URL that the region names.
struct Careless;

fn bearer(request: Request, fields: &SecretFields) -> Result<Request, HttpError> {
    let key = fields.api_key.as_ref().expect("a key").expose_secret();
    request.secret_header(header::AUTHORIZATION, &format!("Bearer {key}"))
}

fn elsewhere(call: &Call<'_>) -> Url {
    Url::parse(call.region.expect("a URL")).expect("a URL")
}

async fn sent(call: &Call<'_>, request: Result<Request, HttpError>) -> Result<Value, HttpError> {
    let answer = call
        .client
        .send(&request?, call.deadline, |_| false)
        .await?;
    Ok(serde_json::from_slice(&answer.body).expect("JSON"))
}

fn outcome(said: Result<Value, HttpError>) -> CheckResult {
    match said {
        Ok(_) => CheckResult::new(Reason::KeyAccepted, "sent"),
        Err(error) => CheckResult::from_http_error(&error, Reason::CheckInconclusive),
    }
}

#[async_trait]
impl Driver for Careless {
    fn default_base_url(&self, _region: Option<&str>) -> Option<String> {
        None
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &[]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKey
    }

    /// In a URL, which it makes once it knows the key.
    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let key = call.key.expect("a key");
        let request = key.put_into(Request::get(call.base_url.clone()), |_, fields| {
            let key = fields.api_key.as_ref().expect("a key").expose_secret();
            let mut url = elsewhere(call);
            url.query_pairs_mut().append_pair("key", key);
            Ok(Request::get(url))
        });
        outcome(sent(call, request).await)
    }

    /// In a header of a request to elsewhere.
    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let request = Request::get(elsewhere(call));
        let request = call.key.expect("a key").put_into(request, bearer);
        outcome(sent(call, request).await)
    }

    /// By the `next` of a page.
    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let key = call.key.expect("a key");
        let first = key.put_into(Request::get(call.base_url.clone()), bearer);
        let page = sent(call, first).await.map_err(|e| outcome(Err(e)))?;
        let next = Url::parse(page["next"].as_str().expect("a next page")).expect("a URL");
        let second = key.put_into(Request::get(next), bearer);
        match sent(call, second).await {
            Ok(_) => Ok(ModelList::default()),
            Err(error) => Err(outcome(Err(error))),
        }
    }

    /// In a secret header that stands there without a key's hosts.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let name = HeaderName::from_static("x-api-key");
        let request = Request::get(call.base_url.clone()).secret_header(name, model.id);
        outcome(sent(call, request).await)
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        ClientConfig {
            model_provider: "openai",
            model: input.model_id.to_owned(),
            kwargs: BTreeMap::new(),
            secret_kwargs: BTreeMap::new(),
            callable_kwargs: &[],
        }
    }
}

fn fields() -> SecretFields {
    SecretFields {
        api_key: Some(KEY.to_owned().into()),
        ..SecretFields::default()
    }
}

fn client(url: &Url) -> HttpClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let loopback = "127.0.0.0/8".parse().expect("a network");
    let clients = HttpClients::new(AddressGuard::new(vec![loopback], []), None);
    clients.client("team", url, None).expect("a client")
}

#[tokio::test]
async fn a_driver_cannot_send_its_key_elsewhere() {
    let (home, other) = hosts().await;
    let base_url = Url::parse(&format!("http://{}/v1", home.address)).expect("a URL");
    let there = format!("http://{}/v1", other.address);
    let client = client(&base_url);
    let type_ = ProviderType::OpenAICompatible;
    let named = ["127.0.0.1".to_owned()];
    let key = BoundKey::bind(fields(), type_.as_str(), &named, vendor(type_), &base_url);
    let key = key.expect("its own host");
    let call = Call {
        base_url: &base_url,
        region: Some(&there),
        api_version: None,
        headers: &[],
        key: Some(&key),
        client: &client,
        deadline: Instant::now() + Duration::from_secs(10),
    };
    let listed = Careless.list_models(&call).await;
    for said in [
        Careless.probe(&call).await,
        Careless.validate(&call).await,
        Careless.test_model(&call, &of(KEY)).await,
        listed.expect_err("no second page"),
    ] {
        assert_eq!(said.reason, Reason::CheckInconclusive);
        assert_eq!(said.message, HttpError::KeyElsewhere.to_string());
    }
    assert_eq!(other.heard(), "");
    let heard = home.heard();
    assert_eq!(heard.matches(KEY).count(), 1, "the first page alone");
    // The same where the key may go: it is the destination that is refused.
    let home_again = base_url.to_string();
    let call = Call {
        region: Some(&home_again),
        ..call
    };
    assert_eq!(Careless.validate(&call).await.reason, Reason::KeyAccepted);
    assert_eq!(home.heard().matches(KEY).count(), 2);
}

#[test]
fn scheme_host_and_port_are_all_the_keys_own() {
    let type_ = ProviderType::OpenAI;
    let named = ["gw.example.com:8443".to_owned()];
    let url = |text: &str| Url::parse(text).expect("a URL");
    let home = url("https://gw.example.com:8443/v1");
    let key =
        BoundKey::bind(fields(), type_.as_str(), &named, vendor(type_), &home).expect("named");
    for fine in [home.as_str(), "https://api.openai.com/v1/models"] {
        assert!(key.put_into(Request::get(url(fine)), bearer).is_ok());
    }
    for other in [
        "http://gw.example.com:8443/v1",
        "https://gw.example.com/v1",
        "https://gw.example.com:8444/v1",
        "https://a.gw.example.com:8443/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.anthropic.com/v1",
    ] {
        let shown = key.put_into(Request::get(url(other)), |_, _| panic!("{other}"));
        assert!(matches!(shown, Err(HttpError::KeyElsewhere)), "{other}");
    }
    let elsewhere = BoundKey::bind(fields(), type_.as_str(), &[], vendor(type_), &home);
    assert!(matches!(elsewhere, Err(HostNotAllowed::OtherHost { .. })));
}
