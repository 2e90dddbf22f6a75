//! The server under every personality: it records, fails when told to, and answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use llmplane::crd::ProviderType;
use tokio::task::JoinHandle;

use super::{
    certificates::Certificate,
    fault::{self, Fault},
    fixture::Fixture,
    io::{Connection, Door},
    personalities,
    personality::{Pair, Personality, Shop},
    request::Recorded,
};

type When = Box<dyn Fn(&Recorded) -> bool + Send>;

/// A running fake; it ends when dropped.
pub struct Fake {
    inner: Arc<Inner>,
    address: SocketAddr,
    scheme: &'static str,
    task: JoinHandle<()>,
}

struct Inner {
    personality: &'static dyn Personality,
    shop: Mutex<Shop>,
    rules: Mutex<Vec<Rule>>,
    recorded: Mutex<Vec<Recorded>>,
    sent: Arc<AtomicUsize>,
    started: Instant,
}

struct Rule {
    when: When,
    left: Option<usize>,
    fault: Fault,
}

impl Fake {
    /// A vendor on loopback by plain HTTP, that knows no key yet and lists its fixture's models.
    pub async fn of(provider: ProviderType) -> Self {
        Self::start(provider, "127.0.0.1:0", None).await
    }

    /// The same by TLS.
    pub async fn tls(provider: ProviderType, certificate: Certificate) -> Self {
        Self::start(provider, "127.0.0.1:0", Some(certificate)).await
    }

    /// The same at an address of the test's choice.
    pub async fn at(provider: ProviderType, address: &str) -> Self {
        Self::start(provider, address, None).await
    }

    async fn start(
        provider: ProviderType,
        address: &str,
        certificate: Option<Certificate>,
    ) -> Self {
        let personality = personalities::of(provider);
        let inner = Arc::new(Inner {
            personality,
            shop: Mutex::new(Shop::new(personality.vendor())),
            rules: Mutex::default(),
            recorded: Mutex::default(),
            sent: Arc::default(),
            started: Instant::now(),
        });
        let door = Door::open(
            address.parse().unwrap(),
            certificate.map(Certificate::acceptor),
        )
        .await;
        let address = door.address();
        let router = Router::new().fallback(handle).with_state(inner.clone());
        let service = router.into_make_service_with_connect_info::<Connection>();
        let task = tokio::spawn(async move { axum::serve(door, service).await.unwrap() });
        Self {
            inner,
            address,
            scheme: if certificate.is_some() {
                "https"
            } else {
                "http"
            },
            task,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Scheme, host and port.
    pub fn root(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What stands in an endpoint's `baseUrl`.
    pub fn url(&self) -> String {
        format!("{}{}", self.root(), self.inner.personality.base_path())
    }

    /// Its customers and models, to read or change.
    pub fn shop(&self) -> MutexGuard<'_, Shop> {
        self.inner.shop.lock().unwrap()
    }

    pub fn accept(&self, key: &str) {
        self.shop().keys.insert(key.to_owned(), None);
    }

    /// Takes what is signed with this pair, and with this session token if there is one.
    pub fn accept_pair(&self, access_key: &str, secret_key: &str, session: Option<&str>) {
        let pair = Pair {
            secret: secret_key.to_owned(),
            session: session.map(str::to_owned),
        };
        let mut shop = self.shop();
        shop.pairs.insert(access_key.to_owned(), pair);
        shop.keys.insert(access_key.to_owned(), None);
    }

    pub fn refuse(&self, key: &str) {
        self.shop().keys.remove(key);
    }

    /// Lists these models alone.
    pub fn list_only(&self, ids: &[&str]) {
        self.shop().models.clear();
        for id in ids {
            self.list_model(id);
        }
    }

    /// Lists this model too.
    pub fn list_model(&self, id: &str) {
        let samples = Fixture::read(self.inner.personality.vendor(), "models").entries;
        let entry = self.inner.personality.entry(&samples[0], id);
        self.shop().models.push(entry);
    }

    /// Fails every request from now on.
    pub fn fail(&self, fault: Fault) {
        self.fail_when(|_| true, fault);
    }

    /// Fails every request with a documented error of this vendor's.
    pub fn fail_with(&self, fixture: &str) {
        self.fail(Fault::documented(self.inner.personality.vendor(), fixture));
    }

    /// Fails the next requests, as many as this.
    pub fn fail_times(&self, times: usize, fault: Fault) {
        self.add_rule(Box::new(|_| true), Some(times), fault);
    }

    /// Fails the requests that are meant.
    pub fn fail_when(&self, when: impl Fn(&Recorded) -> bool + Send + 'static, fault: Fault) {
        self.add_rule(Box::new(when), None, fault);
    }

    fn add_rule(&self, when: When, left: Option<usize>, fault: Fault) {
        self.inner
            .rules
            .lock()
            .unwrap()
            .push(Rule { when, left, fault });
    }

    /// Fails no more.
    pub fn mend(&self) {
        self.inner.rules.lock().unwrap().clear();
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.inner.recorded.lock().unwrap().clone()
    }

    /// How many requests there were.
    pub fn calls(&self) -> usize {
        self.inner.recorded.lock().unwrap().len()
    }

    /// How many requests there were in each second since it was started.
    pub fn by_second(&self) -> Vec<usize> {
        let mut seconds = Vec::new();
        for request in self.inner.recorded.lock().unwrap().iter() {
            let second = usize::try_from(request.at.as_secs()).unwrap();
            seconds.resize(seconds.len().max(second + 1), 0);
            seconds[second] += 1;
        }
        seconds
    }

    /// Bytes of huge bodies that callers took, or that lie in buffers on the way.
    pub fn sent(&self) -> usize {
        self.inner.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let at = inner.started.elapsed();
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let recorded = Recorded {
        at,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    inner.recorded.lock().unwrap().push(recorded.clone());
    let fault = inner.fault(&recorded);
    let right = {
        let shop = inner.shop.lock().unwrap();
        inner.personality.answer(&shop, &recorded)
    };
    match fault {
        None => fault::plain(right),
        Some(fault) => fault.apply(right, &connection, inner.sent.clone()).await,
    }
}

impl Inner {
    fn fault(&self, request: &Recorded) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules
            .iter_mut()
            .find(|rule| rule.left != Some(0) && (rule.when)(request))?;
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        Some(rule.fault.clone())
    }
}
