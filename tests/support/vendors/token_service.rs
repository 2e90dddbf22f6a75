//! The vendors' token services: each verifies a ServiceAccount's token as its vendor does, by the cluster's
//! own keys, and gives one of its own. What they refuse, and how, is in `docs/vendor-facts.md`, section 17.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use url::form_urlencoded;

use super::{
    fault::{self, Fault},
    fixture::Answer,
    io::{Connection, Door},
    jwt::{self, Mistake},
    request::Recorded,
};

/// What is configured at the vendor.
#[derive(Clone, Debug)]
pub struct Agreement {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    /// The cluster's keys, uploaded or fetched.
    pub jwks: Value,
    /// By the name that the request has for it.
    pub ids: BTreeMap<String, String>,
    /// Seconds that its own tokens live.
    pub life: i64,
    /// How far its clock is from ours.
    pub clock: SignedDuration,
}

/// A token that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The token; of AWS the access key's id.
    pub token: String,
    /// Of AWS alone.
    pub secret: String,
    /// Of AWS alone.
    pub session: String,
}

type OnIssue = Box<dyn Fn(&Issued) + Send>;

/// A running token service; it ends when dropped.
pub struct TokenService {
    inner: Arc<Inner>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

struct Inner {
    exchange: &'static str,
    agreement: Mutex<Agreement>,
    used: Mutex<HashSet<String>>,
    issued: Mutex<Vec<Issued>>,
    faults: Mutex<Option<Fault>>,
    recorded: Mutex<Vec<Recorded>>,
    on_issue: Mutex<OnIssue>,
    sent: Arc<AtomicUsize>,
    made: AtomicUsize,
    started: Instant,
}

impl TokenService {
    /// The service of this exchange, as `spec.federation` names it.
    pub async fn of(exchange: &'static str, agreement: Agreement) -> Self {
        let inner = Arc::new(Inner {
            exchange,
            agreement: Mutex::new(agreement),
            used: Mutex::default(),
            issued: Mutex::default(),
            faults: Mutex::default(),
            recorded: Mutex::default(),
            on_issue: Mutex::new(Box::new(|_| ())),
            sent: Arc::default(),
            made: AtomicUsize::new(0),
            started: Instant::now(),
        });
        let door = Door::open("127.0.0.1:0".parse().unwrap(), None).await;
        let address = door.address();
        let router = Router::new().fallback(handle).with_state(inner.clone());
        let service = router.into_make_service_with_connect_info::<Connection>();
        let task = tokio::spawn(async move { axum::serve(door, service).await.unwrap() });
        Self {
            inner,
            address,
            task,
        }
    }

    /// The setting that sends exchanges here.
    pub fn setting(&self) -> String {
        format!("{}=http://{}", self.inner.exchange, self.address)
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What is configured, to read or change.
    pub fn agreement(&self) -> MutexGuard<'_, Agreement> {
        self.inner.agreement.lock().unwrap()
    }

    /// Tells of each token that is given.
    pub fn on_issue(&self, tell: impl Fn(&Issued) + Send + 'static) {
        *self.inner.on_issue.lock().unwrap() = Box::new(tell);
    }

    /// Fails every request from now on.
    pub fn fail(&self, fault: Fault) {
        *self.inner.faults.lock().unwrap() = Some(fault);
    }

    /// Fails no more.
    pub fn mend(&self) {
        *self.inner.faults.lock().unwrap() = None;
    }

    /// The tokens that were given so far.
    pub fn issued(&self) -> Vec<Issued> {
        self.inner.issued.lock().unwrap().clone()
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.inner.recorded.lock().unwrap().clone()
    }

    /// The ServiceAccount's tokens that were sent here, in order.
    pub fn presented(&self) -> Vec<String> {
        let presented = |request: &Recorded| {
            let fields = fields(request);
            let names = [
                "subject_token",
                "assertion",
                "client_assertion",
                "WebIdentityToken",
            ];
            names.iter().find_map(|name| fields.get(*name).cloned())
        };
        self.requests().iter().filter_map(presented).collect()
    }
}

impl Drop for TokenService {
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
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
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
    let fault = inner.faults.lock().unwrap().clone();
    match fault {
        None => fault::plain(inner.answer(&recorded)),
        Some(fault) => {
            let right = match fault {
                Fault::Slow(_) | Fault::Until(_) => inner.answer(&recorded),
                _ => Answer::json(200, &json!({})),
            };
            fault.apply(right, &connection, inner.sent.clone()).await
        }
    }
}

/// The fields of a body, whichever form it has.
fn fields(request: &Recorded) -> BTreeMap<String, String> {
    match request.json() {
        Value::Object(fields) => fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect(),
        _ => form_urlencoded::parse(&request.body).into_owned().collect(),
    }
}

impl Inner {
    fn answer(&self, request: &Recorded) -> Answer {
        let agreement = self.agreement.lock().unwrap().clone();
        let date = (Timestamp::now() + agreement.clock)
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        let fields = fields(request);
        let answer = match self.exchange {
            "openAI" => self.open_ai(&agreement, request, &fields),
            "anthropic" => self.anthropic(&agreement, request, &fields),
            "openRouter" => self.open_router(&agreement, request, &fields),
            "entra" => self.entra(&agreement, request, &fields),
            "google" => self.google(&agreement, request, &fields),
            "aws" => self.aws(&agreement, request, &fields),
            other => panic!("no exchange {other}"),
        };
        answer.with("date", &date)
    }

    fn issue(&self) -> Issued {
        let number = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        let unique = uuid::Uuid::new_v4().simple();
        let issued = Issued {
            token: match self.exchange {
                "aws" => format!(
                    "ASIA{number:04}{}",
                    &unique.to_string().to_uppercase()[..12]
                ),
                "anthropic" => format!("sk-ant-oat01-{number}-{unique}"),
                _ => format!("vendor-token-{number}-{unique}"),
            },
            secret: format!("secret-{unique}"),
            session: format!("session-{unique}"),
        };
        self.issued.lock().unwrap().push(issued.clone());
        (self.on_issue.lock().unwrap())(&issued);
        issued
    }

    fn verified(&self, agreement: &Agreement, token: Option<&String>) -> Result<(), Mistake> {
        let token = token.ok_or(Mistake::Signature)?;
        let now = Timestamp::now() + agreement.clock;
        let wanted = jwt::Wanted {
            issuer: &agreement.issuer,
            subject: &agreement.subject,
            audience: &agreement.audience,
        };
        let jti = jwt::verify(token, &agreement.jwks, &wanted, now)?;
        // Anthropic alone counts them; that nobody sends one twice is asked of all.
        if !self.used.lock().unwrap().insert(jti) {
            return Err(Mistake::Replayed);
        }
        Ok(())
    }

    fn has_ids(&self, agreement: &Agreement, fields: &BTreeMap<String, String>) -> bool {
        agreement
            .ids
            .iter()
            .all(|(name, value)| fields.get(name) == Some(value))
    }

    fn token_answer(&self, agreement: &Agreement) -> Answer {
        let issued = self.issue();
        Answer::json(
            200,
            &json!({
                "access_token": issued.token, "token_type": "Bearer", "expires_in": agreement.life,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }),
        )
    }

    fn open_ai(
        &self,
        agreement: &Agreement,
        request: &Recorded,
        fields: &BTreeMap<String, String>,
    ) -> Answer {
        let oauth = |status, code: &str| {
            Answer::json(
                status,
                &json!({ "error": code, "error_description": echo(fields) }),
            )
        };
        let is_json = request.header("content-type") == Some("application/json");
        if request.path != "/oauth/token" || !is_json || request.bearer().is_some() {
            return oauth(400, "invalid_request");
        }
        if fields.get("grant_type").map(String::as_str)
            != Some("urn:ietf:params:oauth:grant-type:token-exchange")
        {
            return oauth(400, "unsupported_grant_type");
        }
        if !self.has_ids(agreement, fields) {
            return oauth(400, "invalid_grant");
        }
        match self.verified(agreement, fields.get("subject_token")) {
            Ok(()) => self.token_answer(agreement),
            Err(Mistake::Subject) => oauth(403, "invalid_grant"),
            Err(_) => Answer::json(
                401,
                &json!({ "error": { "message": echo(fields), "code": "invalid_subject_token" } }),
            ),
        }
    }

    fn anthropic(
        &self,
        agreement: &Agreement,
        request: &Recorded,
        fields: &BTreeMap<String, String>,
    ) -> Answer {
        let refused = |status, type_: &str, message: &str| {
            let error = json!({ "type": type_, "message": message });
            Answer::json(status, &json!({ "type": "error", "error": error }))
        };
        let has_beta = request
            .header("anthropic-beta")
            .is_some_and(|beta| beta.contains("oidc-federation-2026-04-01"));
        let rule = fields
            .get("federation_rule_id")
            .cloned()
            .unwrap_or_default();
        if request.path != "/v1/oauth/token" || !has_beta || !rule.starts_with("fdrl_") {
            return refused(400, "invalid_request_error", &echo(fields));
        }
        let fits = self.has_ids(agreement, fields);
        match fits && self.verified(agreement, fields.get("assertion")).is_ok() {
            true => self.token_answer(agreement),
            false => refused(401, "authentication_error", "Authentication failed"),
        }
    }

    fn open_router(
        &self,
        agreement: &Agreement,
        request: &Recorded,
        fields: &BTreeMap<String, String>,
    ) -> Answer {
        let refused = |status, code: &str| Answer::json(status, &json!({ "error": code }));
        if request.path != "/api/v1/oauth/token" {
            return refused(400, "invalid_request");
        }
        let fits = self.has_ids(agreement, fields);
        match fits
            && self
                .verified(agreement, fields.get("subject_token"))
                .is_ok()
        {
            true => self.token_answer(agreement),
            false => refused(400, "invalid_grant"),
        }
    }

    fn entra(
        &self,
        agreement: &Agreement,
        request: &Recorded,
        fields: &BTreeMap<String, String>,
    ) -> Answer {
        let refused = |status, error: &str, code: u32| {
            Answer::json(
                status,
                &json!({
                    "error": error, "error_description": format!("AADSTS{code}: {}", echo(fields)),
                    "error_codes": [code], "trace_id": "t", "correlation_id": "c",
                }),
            )
        };
        let tenant = agreement.ids.get("tenant_id").cloned().unwrap_or_default();
        if request.path != format!("/{tenant}/oauth2/v2.0/token") {
            return refused(400, "invalid_request", 90002);
        }
        if fields.get("client_id") != agreement.ids.get("client_id") {
            return refused(401, "invalid_client", 700_016);
        }
        if fields.get("scope") != agreement.ids.get("scope") {
            return refused(400, "invalid_scope", 70011);
        }
        match self.verified(agreement, fields.get("client_assertion")) {
            Ok(()) => self.token_answer(agreement),
            Err(Mistake::Issuer) => refused(401, "invalid_client", 700_211),
            Err(Mistake::Audience) => refused(401, "invalid_client", 700_212),
            Err(Mistake::Subject) => refused(400, "invalid_request", 700_213),
            Err(Mistake::Time) => refused(401, "invalid_client", 700_024),
            Err(Mistake::Signature | Mistake::Replayed) => refused(400, "invalid_request", 90061),
        }
    }

    fn google(
        &self,
        agreement: &Agreement,
        request: &Recorded,
        fields: &BTreeMap<String, String>,
    ) -> Answer {
        let refused = |code: &str| {
            Answer::json(
                400,
                &json!({ "error": code, "error_description": echo(fields) }),
            )
        };
        if let Some(account) = request.path.strip_prefix("/v1/projects/-/serviceAccounts/") {
            return self.impersonated(agreement, request, account);
        }
        if request.path != "/v1/token" || request.bearer().is_some() {
            return refused("invalid_request");
        }
        if fields.get("audience") != agreement.ids.get("audience") {
            return refused("invalid_target");
        }
        match self.verified(agreement, fields.get("subject_token")) {
            Ok(()) => self.token_answer(agreement),
            Err(_) => refused("invalid_grant"),
        }
    }

    fn impersonated(&self, agreement: &Agreement, request: &Recorded, account: &str) -> Answer {
        let error = |code: u16, status: &str| {
            Answer::json(
                code,
                &json!({ "error": { "code": code, "status": status, "message": "no" } }),
            )
        };
        let known = |bearer: &str| {
            self.issued
                .lock()
                .unwrap()
                .iter()
                .any(|i| i.token == bearer)
        };
        if !request.bearer().is_some_and(known) {
            return error(401, "UNAUTHENTICATED");
        }
        let wanted = agreement.ids.get("service_account_email");
        let wanted = wanted.map(|email| format!("{email}:generateAccessToken"));
        if wanted.as_deref() != Some(account) {
            return error(403, "PERMISSION_DENIED");
        }
        let issued = self.issue();
        let end = Timestamp::now() + agreement.clock + SignedDuration::from_secs(agreement.life);
        Answer::json(
            200,
            &json!({ "accessToken": issued.token, "expireTime": end.to_string() }),
        )
    }

    fn aws(
        &self,
        agreement: &Agreement,
        request: &Recorded,
        fields: &BTreeMap<String, String>,
    ) -> Answer {
        let xml = |status, body: String| {
            Answer::new(status, body.into_bytes()).with("content-type", "text/xml")
        };
        let refused = |status, code: &str| {
            let echoed = echo(fields);
            xml(
                status,
                format!(
                    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                     <Code>{code}</Code><Message>{echoed}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
                ),
            )
        };
        let action = fields.get("Action").map(String::as_str);
        let session = fields.get("RoleSessionName").map_or(0, String::len);
        let seconds = fields
            .get("DurationSeconds")
            .and_then(|s| s.parse::<i64>().ok());
        if request.path != "/"
            || action != Some("AssumeRoleWithWebIdentity")
            || !(2..=64).contains(&session)
            || !seconds.is_some_and(|s| (900..=43_200).contains(&s))
        {
            return refused(400, "ValidationError");
        }
        match self.verified(agreement, fields.get("WebIdentityToken")) {
            Err(Mistake::Time) => return refused(400, "ExpiredTokenException"),
            Err(Mistake::Subject) => return refused(403, "AccessDenied"),
            Err(_) => return refused(400, "InvalidIdentityToken"),
            Ok(()) => {}
        }
        if fields.get("RoleArn") != agreement.ids.get("RoleArn") {
            return refused(403, "AccessDenied");
        }
        let issued = self.issue();
        let end = Timestamp::now() + agreement.clock + SignedDuration::from_secs(agreement.life);
        let end = end.strftime("%Y-%m-%dT%H:%M:%SZ");
        xml(
            200,
            format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken>\
                 <Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
                 <SessionToken>{}</SessionToken><Expiration>{end}</Expiration></Credentials>\
                 </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
                agreement.subject, issued.token, issued.secret, issued.session
            ),
        )
    }
}

/// What careless vendors put into their messages: all that they were sent.
fn echo(fields: &BTreeMap<String, String>) -> String {
    fields.values().cloned().collect::<Vec<_>>().join(" ")
}
