//! What a vendor's refusal means for each check: one table for all drivers.
//!
//! A driver reads an answer as a [`RefusalKind`], by the vendor's code first and the status second;
//! what no driver's table knows is [`RefusalKind::Unclear`], which rejects no key.

use super::result::{CheckResult, Retry};
use crate::crd::reasons::Reason;
use crate::vendors::{
    Call,
    drivers::openai_protocol as protocol,
    http::{
        client::{HttpError, Request, Response},
        redaction,
    },
};

/// What a driver reads from an answer that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vendors) enum RefusalKind {
    /// The vendor does not take this key.
    BadKey,
    /// The key is genuine and lacks a right that this call needs.
    Restricted,
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
    /// The key is one of another plan or product.
    OtherPlan,
    /// Nothing certain.
    Unclear,
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

/// A vendor's reading of an answer: the finding, and its own code.
pub(in crate::vendors) type Classifier = fn(&Response) -> (RefusalKind, Option<String>);

/// The finding by the status alone, where no code is known. It never speaks of the key.
pub(in crate::vendors) fn by_status(status: u16) -> RefusalKind {
    match status {
        402 => RefusalKind::Quota,
        404 => RefusalKind::NoSuchPath,
        408 | 409 | 429 => RefusalKind::RateLimited,
        500.. => RefusalKind::Down,
        _ => RefusalKind::Unclear,
    }
}

/// Sends, and again while waiting may help.
pub(in crate::vendors) async fn exchange(
    call: &Call<'_>,
    request: Result<Request, HttpError>,
    read: Classifier,
) -> Result<Response, HttpError> {
    let again = |answer: &Response| {
        !answer.status.is_success()
            && matches!(read(answer).0, RefusalKind::RateLimited | RefusalKind::Down)
    };
    call.client.send(&request?, call.deadline, again).await
}

/// Sends, and gives back a successful answer or what the refusal means.
pub(in crate::vendors) async fn ask(
    call: &Call<'_>,
    check: Check,
    request: Result<Request, HttpError>,
    read: Classifier,
) -> Result<Response, CheckResult> {
    match exchange(call, request, read).await {
        Ok(answer) if answer.status.is_success() => Ok(answer),
        Ok(answer) => Err(refused(check, &answer, read)),
        Err(error) => Err(CheckResult::from_http_error(&error, check.inconclusive())),
    }
}

/// Probes with the request: any answer but a server's error is a sign of life.
pub(in crate::vendors) async fn probe(
    call: &Call<'_>,
    request: Result<Request, HttpError>,
    read: Classifier,
) -> CheckResult {
    match exchange(call, request, read).await {
        Ok(answer) => CheckResult {
            code: read(&answer).1.as_deref().and_then(redaction::word),
            ..protocol::classify_probe(&answer)
        },
        Err(error) => CheckResult::from_http_error(&error, Reason::ProbeFailed),
    }
}

/// What a refusal means for this check.
pub(in crate::vendors) fn refused(
    check: Check,
    answer: &Response,
    read: Classifier,
) -> CheckResult {
    let (finding, code) = read(answer);
    let (reason, message) = meaning(check, finding);
    let retry = match finding {
        RefusalKind::RateLimited | RefusalKind::Down | RefusalKind::Unclear => {
            answer.retry_after().map_or(Retry::Backoff, Retry::After)
        }
        _ => Retry::No,
    };
    let message = match reason {
        Reason::CheckInconclusive | Reason::SyncFailed => {
            format!("{message} (HTTP {})", answer.status.as_u16())
        }
        _ => message.to_owned(),
    };
    CheckResult {
        code: code.as_deref().and_then(redaction::word),
        ..protocol::outcome(answer, reason, message).with_retry(retry)
    }
}

/// A successful answer whose body is not what the vendor documents.
pub(in crate::vendors) fn unreadable(check: Check, answer: &Response, what: &str) -> CheckResult {
    let message = format!("the vendor's answer cannot be read: {what}");
    protocol::outcome(answer, check.inconclusive(), message).with_retry(Retry::Backoff)
}

fn meaning(check: Check, finding: RefusalKind) -> (Reason, &'static str) {
    use RefusalKind as F;
    let reason = match (check, finding) {
        (Check::Validate, F::BadKey) => Reason::KeyRejected,
        (Check::Validate, F::Restricted) => Reason::KeyRestricted,
        (Check::Validate | Check::Test, F::Quota) => Reason::QuotaExhausted,
        (Check::Test, F::NoModel) => Reason::ModelNotFound,
        (Check::Test, F::CutShort) => Reason::ModelAnswered,
        (Check::Test, F::OtherOperation) => Reason::ModelListed,
        (Check::Test, F::Restricted) => Reason::ModelAccessDenied,
        _ => check.inconclusive(),
    };
    let message = match finding {
        F::BadKey => "the vendor rejects the key; put a valid one in the Secret",
        F::Restricted if check == Check::Test => {
            "the vendor does not grant this model to the account"
        }
        F::Restricted => "the key is genuine, and may not list models",
        F::Quota => "the key is genuine, and its account's quota or balance is used up",
        F::RateLimited => "the vendor asks to slow down",
        F::NoModel if check != Check::Test => {
            "the vendor has nothing at this path; check baseUrl and apiVersion"
        }
        F::NoModel => "the vendor does not know the model, or does not grant it; check modelId",
        F::CutShort if check == Check::Test => {
            "the model answers, up to the test's limit of tokens"
        }
        F::OtherOperation if check == Check::Test => protocol::OTHER_OPERATION,
        F::Down => "the vendor is overloaded or broken",
        F::NoSuchPath => "the vendor has no such path; check baseUrl and apiVersion",
        F::OtherPlan => "the key belongs to another plan or product of the vendor",
        F::Unclear | F::CutShort | F::OtherOperation => "the vendor's answer proves nothing",
    };
    (reason, message)
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

    /// Holds a table of status, body, and the reasons that validation and model test must give.
    pub fn holds(read: Classifier, table: &[(u16, &str, Reason, Reason)]) {
        for (status, body, validate, test) in table {
            let answer = answer(*status, body);
            assert_eq!(
                refused(Check::Validate, &answer, read).reason,
                *validate,
                "{status} {body}"
            );
            assert_eq!(
                refused(Check::Test, &answer, read).reason,
                *test,
                "{status} {body}"
            );
            assert_eq!(
                refused(Check::List, &answer, read).reason,
                Reason::SyncFailed
            );
        }
    }

    /// What no vendor documents rejects no key, and nothing of a vendor's text is kept.
    pub fn is_careful(read: Classifier) {
        for (status, body) in [
            (401, ""),
            (401, "<html>proxy login</html>"),
            (403, "{}"),
            (418, r#"{"error":{"code":"new_code"}}"#),
            (
                400,
                r#"{"error":{"code":"x","message":"key sk-abcdefgh is bad"},"code":"sk-abcdefgh"}"#,
            ),
        ] {
            let outcome = refused(Check::Validate, &answer(status, body), read);
            assert_eq!(outcome.reason, Reason::CheckInconclusive, "{status} {body}");
            assert!(!format!("{outcome:?}").contains("sk-abc"));
        }
    }
}
