//! What a token service answered, judged by its shape alone.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use secrecy::SecretString;
use serde_json::Value;

use super::{Exchange, token_document::TokenDocument};
use crate::{
    crd::reasons::Reason,
    keys::key_text::{self, MAX_TOKEN_CHARS},
    vendors::{CheckResult, Retry, answers::document, http::client::Response, http::redaction},
};

/// How far a vendor's clock may be from ours: more, and lifetimes mean nothing.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// Largest answer with a token in it, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// A code of a refusal, and what to do about it.
pub(super) type Hint = (&'static str, &'static str);

/// How a token service speaks of refusals.
pub(super) struct Refusals {
    /// Codes that refuse, in lower case; an answer with another code proves nothing.
    pub codes: &'static [&'static str],
    /// By code, what to do.
    pub hints: &'static [Hint],
}

/// Codes of OAuth 2.0 (RFC 6749, 5.2; RFC 8693, 2.2.2) by which an exchange is refused.
pub(super) const OAUTH_CODES: [&str; 9] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
    "invalid_subject_token",
];

impl Exchange<'_> {
    /// The JSON document of a success, or what the answer comes to.
    pub(super) fn read_json(
        &self,
        answer: &Response,
        refusals: &Refusals,
    ) -> Result<TokenDocument, CheckResult> {
        if answer.status.is_success() {
            self.is_in_time(answer)?;
            if answer.body.len() > MAX_DOCUMENT_BYTES {
                return Err(self.unusable("it is larger than any answer with a token"));
            }
            // Not an excerpt: tokens are longer than the texts that those keep.
            let body = TokenDocument::read(&answer.body);
            return body.map_err(|_| self.unusable("it is no JSON document"));
        }
        let body = document::json(answer).map(TokenDocument::from);
        let code = body.ok().and_then(|body| code_in(&body));
        Err(self.refused(answer, code.as_deref(), refusals))
    }

    /// What an answer that is no success comes to, by the code in it.
    pub(super) fn refused(
        &self,
        answer: &Response,
        code: Option<&str>,
        refusals: &Refusals,
    ) -> CheckResult {
        let status = answer.status.as_u16();
        let said = code.and_then(redaction::word);
        let named = match &said {
            Some(code) => format!("HTTP {status}, {code}"),
            None => format!("HTTP {status}"),
        };
        let lower = code.map(str::to_ascii_lowercase);
        let lower = lower.as_deref();
        let refuses = matches!(status, 400 | 401 | 403 | 404 | 413 | 422)
            && lower.is_some_and(|code| refusals.codes.contains(&code));
        let vendor = self.vendor();
        if !refuses {
            let what = match status {
                429 => "it asks to wait".to_owned(),
                500.. => "it has trouble of its own".to_owned(),
                _ => "the answer is not one of the vendor's refusals".to_owned(),
            };
            let wait = answer.retry_after().map_or(Retry::Backoff, Retry::After);
            let message = format!("{vendor} did not exchange the token ({named}): {what}");
            return CheckResult::of(answer, Reason::CheckInconclusive, message)
                .with_code(said)
                .with_retry(wait);
        }
        let hint = lower.and_then(|code| refusals.hints.iter().find(|(known, _)| *known == code));
        let hint = hint.map_or(
            "compare these with what is configured there",
            |(_, hint)| *hint,
        );
        let (_, name) = self.credential;
        let message = format!(
            "{vendor} refuses to exchange the token ({named}). Sent were {}; {hint} (llmplane federation show {name})",
            self.sent()
        );
        CheckResult::of(answer, Reason::ExchangeRefused, message).with_code(said)
    }

    /// The member of a document that is the vendor's token.
    pub(super) fn token(
        &self,
        body: &TokenDocument,
        name: &str,
    ) -> Result<SecretString, CheckResult> {
        let Some(text) = body.text(name) else {
            return Err(self.unusable(&format!("its {name} is missing")));
        };
        self.checked(text, name)
    }

    /// A text that can stand in a header.
    pub(super) fn checked(&self, text: &str, name: &str) -> Result<SecretString, CheckResult> {
        if text.len() > MAX_TOKEN_CHARS || key_text::oddity(text).is_some() {
            return Err(self.unusable(&format!("its {name} cannot be a token")));
        }
        Ok(SecretString::from(text))
    }

    /// The life that a document gives in seconds.
    pub(super) fn lives(&self, body: &TokenDocument) -> Result<Duration, CheckResult> {
        let seconds = match body.get("expires_in") {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
            _ => None,
        };
        match seconds.filter(|seconds| seconds.is_finite()) {
            None => Err(self.unusable("it does not say when its token expires")),
            Some(seconds) if seconds <= 0.0 => Err(self.unusable("its token has expired already")),
            Some(seconds) => Ok(Duration::from_secs_f64(seconds.min(1e9))),
        }
    }

    /// The life that is left until a time that the vendor's clock tells.
    pub(super) fn lives_until(
        &self,
        answer: &Response,
        end: &str,
    ) -> Result<Duration, CheckResult> {
        let Ok(end) = end.parse::<Timestamp>() else {
            return Err(self.unusable("it does not say when its token expires"));
        };
        let now = date_of(answer).unwrap_or_else(Timestamp::now);
        match Duration::try_from(end.duration_since(now)) {
            Ok(left) if !left.is_zero() => Ok(left),
            _ => Err(self.unusable("its token has expired already")),
        }
    }

    /// That the token is one to be borne, where the document says of which kind it is.
    pub(super) fn is_bearer(&self, body: &TokenDocument) -> Result<(), CheckResult> {
        match body.text("token_type") {
            Some(kind) if !kind.eq_ignore_ascii_case("bearer") => {
                Err(self.unusable("its token is of a kind that is not known"))
            }
            _ => Ok(()),
        }
    }

    /// That the vendor's clock and ours tell about the same time: else no lifetime can be believed.
    pub(super) fn is_in_time(&self, answer: &Response) -> Result<(), CheckResult> {
        let Some(theirs) = date_of(answer) else {
            return Ok(());
        };
        let ours = Timestamp::now();
        let apart = theirs.duration_since(ours).unsigned_abs();
        if apart <= MAX_SKEW {
            return Ok(());
        }
        let way = if theirs > ours { "ahead of" } else { "behind" };
        let minutes = apart.as_secs() / 60;
        Err(self.unusable(&format!(
            "its clock is {minutes} minutes {way} the controller's: set the clock of the controller's node right"
        )))
    }
}

/// The vendor's time.
fn date_of(answer: &Response) -> Option<Timestamp> {
    let date = answer.header("date")?;
    rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

/// The code of a refusal: `error` as a word, or an object with a `code`, `type` or `status`.
fn code_in(body: &TokenDocument) -> Option<String> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    match body.get("error")? {
        Value::String(code) => Some(code.clone()),
        Value::Object(error) => ["code", "type", "status"]
            .iter()
            .find_map(|name| error.get(*name).and_then(word)),
        _ => None,
    }
}
