//! What a refusal means: one classifier for all drivers, and one table of what each check makes of it.
//!
//! A vendor's own codes come first, by its driver's [`CodeTable`]. What that does not know is read by
//! its shape and words ([`by_shape`]), for servers have codes of their own, or none. A server's error,
//! a web page and a request to slow down never speak of the key.

use http::Method;
use url::Url;

use super::{
    error_body::{ErrorBody, Form},
    result::{CheckResult, Retry},
    words::{Topic, blames_key_or, has_code, has_text, speaks_of},
};
use crate::crd::reasons::Reason;
use crate::vendors::{
    Call, base_url,
    http::client::{HttpError, Request, Response},
};

/// What is read from an answer that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vendors) enum RefusalKind {
    /// The vendor does not take this key.
    BadKey,
    /// The key is genuine, and lacks a right to the very thing that was asked for.
    Restricted,
    /// The key is genuine, and lacks a scope that this call needs.
    LacksScope,
    /// The caller is forbidden it, and it is not said why.
    Denied,
    /// The caller's address, country or organisation is refused, not the key.
    Caller,
    /// The account's quota or balance is used up.
    Quota,
    /// Too many requests; the key is no worse for it.
    RateLimited,
    /// No such model, or none that is granted.
    NoModel,
    /// The model answered, up to the limit of tokens that it was given.
    CutShort,
    /// The model is there, for another call than this one.
    OtherOperation,
    /// The vendor is overloaded or broken.
    Down,
    /// Base URL, path or API version do not exist at the vendor.
    NoSuchPath,
    /// A web page, a firewall or a login in the place of the API.
    Page,
    /// The key is one of another plan or product.
    OtherPlan,
    /// Nothing certain.
    Unclear,
}

impl RefusalKind {
    /// Whether it may be over in a moment: the call is tried again.
    fn may_pass(self) -> bool {
        matches!(self, Self::RateLimited | Self::Down)
    }
}

/// Which check asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vendors) enum Check {
    Validate,
    List,
    Test,
}

impl Check {
    /// The reason of a check that proved nothing.
    pub fn inconclusive(self) -> Reason {
        match self {
            Self::Validate | Self::Test => Reason::CheckInconclusive,
            Self::List => Reason::SyncFailed,
        }
    }
}

/// A vendor's own codes; `None` for what it does not document.
pub(in crate::vendors) type CodeTable = fn(&Response, &ErrorBody) -> Option<RefusalKind>;

/// A refusal as it was read.
pub(in crate::vendors) struct Refusal {
    pub kind: RefusalKind,
    /// The vendor's own code, as it may be kept.
    pub code: Option<String>,
    pub form: Form,
}

/// Whether an answer is what was asked for, as far as status and body tell.
pub(in crate::vendors) fn is_refusal(answer: &Response) -> bool {
    !answer.status.is_success() || ErrorBody::read(answer).is_error
}

/// Reads a refusal.
pub(in crate::vendors) fn classify(answer: &Response, table: CodeTable) -> Refusal {
    let body = ErrorBody::read(answer);
    let documented = table(answer, &body).filter(|kind| may_mean(answer, *kind));
    Refusal {
        kind: documented.unwrap_or_else(|| by_shape(answer, &body)),
        code: body.public_code(),
        form: body.form,
    }
}

/// Whether an answer of this status may mean this, whatever its code: a server's error and a request
/// to slow down say nothing of keys and models.
fn may_mean(answer: &Response, kind: RefusalKind) -> bool {
    use RefusalKind as K;
    match answer.status.as_u16() {
        500.. => matches!(kind, K::Down | K::RateLimited | K::Unclear),
        429 => matches!(kind, K::Down | K::RateLimited | K::Quota | K::Unclear),
        _ => true,
    }
}

/// What a refusal means by its status, shape and words. An error that comes with HTTP 200 counts by
/// the status in its body.
pub(in crate::vendors) fn by_shape(answer: &Response, body: &ErrorBody) -> RefusalKind {
    use RefusalKind as K;
    let says = |topic| speaks_of(body, topic);
    let status = match answer.status.as_u16() {
        200..=299 => body.status.unwrap_or(400),
        status => status,
    };
    match status {
        408 | 409 | 425 => return K::RateLimited,
        // Many vendors' words for a passing limit speak of quotas and plans too.
        429 if has_code(body, Topic::Billing) => return K::Quota,
        429 if has_text(body, Topic::Billing) && !says(Topic::Rate) => return K::Quota,
        429 => return K::RateLimited,
        501 => return K::NoSuchPath,
        500.. => return K::Down,
        _ => {}
    }
    if body.form == Form::Page || is_firewall(answer, body) {
        return K::Page;
    }
    let challenge = challenge(answer);
    let or_else = blames_key_or(body);
    match status {
        _ if has_code(body, Topic::BadKey) => K::BadKey,
        402 => K::Quota,
        // It is either of two things, and is not said to be a genuine key.
        401 if or_else == Some(Topic::Scope) => K::BadKey,
        _ if or_else.is_some() => K::Unclear,
        _ if says(Topic::Billing) => K::Quota,
        // Google's 403 `rateLimitExceeded`.
        _ if has_code(body, Topic::Rate) => K::RateLimited,
        401 | 403 if says(Topic::Scope) || challenge.contains("insufficient_scope") => {
            K::LacksScope
        }
        _ if has_text(body, Topic::CutShort) => K::CutShort,
        _ if has_text(body, Topic::OtherOperation) => K::OtherOperation,
        _ if has_code(body, Topic::NoModel) => K::NoModel,
        _ if says(Topic::NoPath) => K::NoSuchPath,
        // AWS API Gateway's for a route that it does not have; anybody else's 401 asks for a key.
        403 if says(Topic::NoToken) => K::NoSuchPath,
        // vLLM's for a model (facts, 10); llama.cpp has it for a path too.
        _ if body.has_code(&["notfounderror"]) => K::NoModel,
        404 | 410 if has_text(body, Topic::NoModel) || body.blames_field("model") => K::NoModel,
        451 => K::Caller,
        _ if has_code(body, Topic::Caller) => K::Caller,
        401 | 403 if has_text(body, Topic::NoModel) => K::NoModel,
        400 | 401 | 403 | 422 if has_text(body, Topic::BadKey) => K::BadKey,
        400..=403 if has_text(body, Topic::Caller) => K::Caller,
        401 if challenge.contains("invalid_token") => K::BadKey,
        400 | 422 if body.has_code(&["unauthorized"]) => K::BadKey,
        // What names no other cause refuses the key; of an empty answer or one that is no text
        // nobody knows whose it is.
        401 if matches!(body.form, Form::Json | Form::Text | Form::Xml) => K::BadKey,
        401 if challenge.starts_with("bearer") => K::BadKey,
        403 if body.form == Form::Json && !body.text.is_empty() => K::Denied,
        404 | 405 | 410 => K::NoSuchPath,
        _ => K::Unclear,
    }
}

/// What `WWW-Authenticate` asks for (RFC 6750), in lower case.
fn challenge(answer: &Response) -> String {
    let header = answer.header("www-authenticate");
    header.unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_firewall(answer: &Response, body: &ErrorBody) -> bool {
    answer.header("cf-mitigated").is_some()
        || body.form != Form::Opaque && has_text(body, Topic::Firewall)
}

/// An answer, and what it answers.
pub(in crate::vendors) struct Exchanged {
    /// The URL that the endpoint declares.
    pub base_url: Url,
    pub method: Method,
    /// The URL that was called.
    pub url: Url,
    pub answer: Response,
    pub table: CodeTable,
}

/// Sends, and again while waiting may help.
///
/// # Errors
/// Why there is no answer. A refusal is an answer.
pub(in crate::vendors) async fn exchange(
    call: &Call<'_>,
    request: Result<Request, HttpError>,
    table: CodeTable,
) -> Result<Exchanged, HttpError> {
    let again =
        |answer: &Response| !answer.status.is_success() && classify(answer, table).kind.may_pass();
    let request = request?;
    let answer = call.client.send(&request, call.deadline, again).await?;
    Ok(Exchanged {
        base_url: call.base_url.clone(),
        method: request.method,
        url: request.url,
        answer,
        table,
    })
}

/// Sends, and gives back a successful answer or what the refusal means.
pub(in crate::vendors) async fn ask(
    call: &Call<'_>,
    check: Check,
    request: Result<Request, HttpError>,
    table: CodeTable,
) -> Result<Response, CheckResult> {
    match exchange(call, request, table).await {
        Ok(exchanged) => exchanged.or_refused(check),
        Err(error) => Err(CheckResult::from_http_error(&error, check.inconclusive())),
    }
}

impl Exchanged {
    /// What kind of refusal it is.
    pub fn kind(&self) -> RefusalKind {
        classify(&self.answer, self.table).kind
    }

    /// Whether there is nothing at the path that was called, by what the refusal says or by its status alone.
    pub fn is_missing(&self) -> bool {
        self.is_missing_by(self.kind())
    }

    fn is_missing_by(&self, kind: RefusalKind) -> bool {
        kind == RefusalKind::NoSuchPath
            || matches!(self.answer.status.as_u16(), 404 | 405 | 410 | 501)
    }

    /// A successful answer, or what the refusal means.
    pub fn or_refused(self, check: Check) -> Result<Response, CheckResult> {
        match is_refusal(&self.answer) {
            true => Err(self.refused(check)),
            false => Ok(self.answer),
        }
    }

    /// What a refusal means for this check.
    pub fn refused(&self, check: Check) -> CheckResult {
        let answer = &self.answer;
        let refusal = classify(answer, self.table);
        let (reason, message) = meaning(check, refusal.kind);
        let retry = match refusal.kind {
            RefusalKind::RateLimited
            | RefusalKind::Down
            | RefusalKind::Unclear
            | RefusalKind::Page => answer.retry_after().map_or(Retry::Backoff, Retry::After),
            _ => Retry::No,
        };
        let message = match refusal.kind {
            RefusalKind::NoSuchPath | RefusalKind::Page => self.misdirected(refusal.kind),
            // A success that is an error has no status to tell.
            _ if reason == check.inconclusive() && !answer.status.is_success() => {
                format!("{message} (HTTP {})", answer.status.as_u16())
            }
            _ => message.to_owned(),
        };
        let status = answer.status.as_u16();
        CheckResult {
            missing: self.is_missing_by(refusal.kind),
            refused: !refusal.kind.may_pass() && status != 407,
            ..CheckResult::of(answer, reason, message)
        }
        .with_code(refusal.code)
        .with_retry(retry)
    }

    /// What was asked, what answered in the API's place, and which URL is the likely one.
    pub fn misdirected(&self, kind: RefusalKind) -> String {
        let what = match (kind, self.answer.status.as_u16()) {
            (RefusalKind::Page, status) => format!(
                "HTTP {status} and a web page or a firewall's refusal, not by the vendor's API"
            ),
            (_, 200..=299) => "an error, as for a path that is not there".to_owned(),
            (_, status) => format!("HTTP {status}"),
        };
        format!("{} was answered by {what}; {}", self.asked(), self.advice())
    }

    /// The request's method and URL.
    pub fn asked(&self) -> String {
        format!("{} {}", self.method, base_url::shown(&self.url))
    }

    /// Which setting to look at, and what it should probably be.
    pub fn advice(&self) -> String {
        let is_dated = self
            .url
            .query_pairs()
            .any(|(name, _)| name == "api-version");
        let settings = match is_dated {
            true => "baseUrl and apiVersion",
            false => "baseUrl",
        };
        match base_url::likely(&self.base_url, &self.url) {
            Some(likely) => {
                let likely = base_url::shown(&likely);
                format!("check {settings}: {likely} is probably meant")
            }
            None => format!("check {settings}"),
        }
    }
}

/// A successful answer whose body is not what the vendor documents.
pub(in crate::vendors) fn unreadable(check: Check, answer: &Response, what: &str) -> CheckResult {
    let message = match check {
        Check::List => format!("the vendor's answer is no model list: {what}"),
        Check::Validate | Check::Test => format!("the vendor's answer cannot be read: {what}"),
    };
    CheckResult {
        refused: ErrorBody::read(answer).form == Form::Page,
        ..CheckResult::of(answer, check.inconclusive(), message).with_retry(Retry::Backoff)
    }
}

fn meaning(check: Check, kind: RefusalKind) -> (Reason, &'static str) {
    use RefusalKind as K;
    let reason = match (check, kind) {
        (Check::Validate, K::BadKey) => Reason::KeyRejected,
        (Check::Validate, K::Restricted | K::LacksScope) => Reason::KeyRestricted,
        (Check::Validate | Check::Test, K::Quota) => Reason::QuotaExhausted,
        (Check::Test, K::NoModel) => Reason::ModelNotFound,
        (Check::Test, K::CutShort) => Reason::ModelAnswered,
        (Check::Test, K::OtherOperation) => Reason::ModelListed,
        (Check::Test, K::Restricted | K::Denied) => Reason::ModelAccessDenied,
        _ => check.inconclusive(),
    };
    let message = match kind {
        K::BadKey => "the vendor rejects the key; put a valid one in the Secret",
        K::Restricted | K::Denied if check == Check::Test => {
            "the vendor does not grant this model to the account"
        }
        K::LacksScope if check == Check::Test => {
            "the key is genuine, and lacks the scope that the test's call needs"
        }
        K::Restricted | K::LacksScope => "the key is genuine, and may not list models",
        K::Denied => "the vendor denies access, and does not say whether for the key's sake",
        K::Caller => {
            "the vendor refuses the organisation, or this machine's address or country, not the key"
        }
        K::Quota => "the key is genuine, and its account's quota or balance is used up",
        K::RateLimited => "the vendor asks to slow down",
        K::NoModel if check == Check::Test => {
            "the vendor does not know the model, or does not grant it; check modelId"
        }
        K::NoModel | K::NoSuchPath => {
            "the vendor has nothing at this path; check baseUrl and apiVersion"
        }
        K::CutShort if check == Check::Test => {
            "the model answers, up to the test's limit of tokens"
        }
        K::OtherOperation if check == Check::Test => {
            "the vendor knows the model, which does not take the test's call; spec.type says which it takes"
        }
        K::Down => "the vendor is overloaded or broken",
        K::Page => "a web page answers in the place of the API",
        K::OtherPlan => "the key belongs to another plan or product of the vendor",
        K::Unclear | K::CutShort | K::OtherOperation => "the vendor's answer proves nothing",
    };
    (reason, message)
}

/// No codes beyond those that are common.
pub(in crate::vendors) fn common(_: &Response, _: &ErrorBody) -> Option<RefusalKind> {
    None
}

/// For the drivers' tables.
#[cfg(test)]
pub(in crate::vendors) mod testing {
    use super::*;

    /// An answer as a vendor gives it.
    pub fn answer(status: u16, body: &str) -> Response {
        Response {
            status: http::StatusCode::from_u16(status).expect("a status"),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::from(body.to_owned()),
        }
    }

    /// An answer that is declared to be a web page.
    pub fn page(status: u16, body: &str) -> Response {
        with_header(answer(status, body), "content-type", "text/html")
    }

    /// The same with a header.
    pub fn with_header(mut answer: Response, name: &'static str, value: &str) -> Response {
        let value = http::HeaderValue::from_str(value).expect("a header's value");
        answer.headers.insert(name, value);
        answer
    }

    /// An answer of a gateway's model list.
    pub fn exchanged(answer: Response, table: CodeTable) -> Exchanged {
        let url = |text| Url::parse(text).expect("a URL");
        Exchanged {
            base_url: url("https://gateway.example.com/v1"),
            method: Method::GET,
            url: url("https://gateway.example.com/v1/models"),
            answer,
            table,
        }
    }

    /// What a refusal means for this check.
    pub fn said(check: Check, answer: Response, table: CodeTable) -> CheckResult {
        exchanged(answer, table).refused(check)
    }

    /// Holds a table of status, body, and the reasons that validation and model test must give.
    pub fn holds(table: CodeTable, rows: &[(u16, &str, Reason, Reason)]) {
        for (status, body, validate, test) in rows {
            let said = |check| said(check, answer(*status, body), table).reason;
            assert_eq!(said(Check::Validate), *validate, "{status} {body}");
            assert_eq!(said(Check::Test), *test, "{status} {body}");
            assert_eq!(said(Check::List), Reason::SyncFailed, "{status} {body}");
        }
    }

    /// What nobody documents rejects no key, and nothing of a vendor's text is kept.
    pub fn is_careful(table: CodeTable) {
        for (status, body) in [
            (401, ""),
            (401, "<html>proxy login</html>"),
            (403, "{}"),
            (418, r#"{"error":{"code":"new_code"}}"#),
            (
                400,
                r#"{"error":{"code":"x","message":"key sk-abcdefgh is bad"},"code":"sk-abcdefgh"}"#,
            ),
            (503, r#"{"error":{"code":"invalid_api_key"}}"#),
            (429, r#"{"error":{"code":"invalid_api_key"}}"#),
        ] {
            let said = said(Check::Validate, answer(status, body), table);
            assert_eq!(said.reason, Reason::CheckInconclusive, "{status} {body}");
            assert!(!format!("{said:?}").contains("sk-abc"));
        }
    }
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
