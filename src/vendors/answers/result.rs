//! What a call to a vendor came to.

use std::time::Duration;

use secrecy::ExposeSecret;

use crate::vendors::http::{
    client::{HttpError, Response},
    redaction,
};
use crate::{crd::reasons::Reason, encryption::SecretFields};

/// Whether the same call is worth making again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: the answer stands until something changes.
    No,
    /// With the usual backoff.
    Backoff,
    /// Not before this time has passed.
    After(Duration),
}

/// What a call came to, in our words.
///
/// The message is the same for the same cause: times and request ids stand in fields of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckResult {
    /// What was concluded.
    pub reason: Reason,
    /// What was found and what to do. Never a vendor's own text.
    pub message: String,
    /// HTTP status, where there was an answer.
    pub http_status: Option<u16>,
    /// The vendor's own error code, redacted.
    pub code: Option<String>,
    /// The vendor's id of the request, redacted.
    pub request_id: Option<String>,
    /// Whether to try again.
    pub retry: Retry,
    /// Whether there is nothing at the path that was called: the check has nothing to ask.
    pub missing: bool,
    /// Whether the call was refused, or something else answered in the API's place; not where the
    /// vendor is overloaded, broken, or asks to wait.
    pub refused: bool,
}

impl CheckResult {
    /// A conclusion without an answer behind it.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            http_status: None,
            code: None,
            request_id: None,
            retry: Retry::No,
            missing: false,
            refused: false,
        }
    }

    /// A conclusion that stands on an answer.
    pub(in crate::vendors) fn of(
        answer: &Response,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        Self {
            http_status: Some(answer.status.as_u16()),
            request_id: request_id(answer),
            ..Self::new(reason, message)
        }
    }

    /// The same with the vendor's code, which is redacted.
    pub(in crate::vendors) fn with_code(mut self, code: Option<String>) -> Self {
        self.code = code;
        self
    }

    /// The same with another retry decision.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What a failed call means: `failed` for the outside (`ProbeFailed`, `SyncFailed`,
    /// `CheckInconclusive`), but an address that may not be called is the user's to fix.
    pub fn from_http_error(error: &HttpError, failed: Reason) -> Self {
        match error {
            HttpError::AddressRefused(_) => Self::new(Reason::AddressRefused, error.to_string()),
            _ => Self {
                // To a login, for one.
                refused: matches!(error, HttpError::Redirect),
                ..Self::new(failed, error.to_string()).with_retry(Retry::Backoff)
            },
        }
    }
}

/// The vendor's id of the request.
fn request_id(answer: &Response) -> Option<String> {
    [
        "x-request-id",
        "request-id",
        "apim-request-id",
        "x-ms-request-id",
        "x-amzn-requestid",
    ]
    .iter()
    .find_map(|name| answer.header(name))
    .and_then(redaction::word)
}

/// Refuses what people write where a key should go.
///
/// # Errors
/// That it is a placeholder.
pub(in crate::vendors) fn not_a_placeholder(key: &SecretFields) -> Result<(), String> {
    let fields = [&key.api_key, &key.secret_key, &key.access_token];
    if fields
        .into_iter()
        .flatten()
        .any(|value| is_placeholder(value.expose_secret()))
    {
        return Err("the Secret holds a placeholder; put the real key there".to_owned());
    }
    Ok(())
}

fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 12] = [
        "changeme",
        "change-me",
        "placeholder",
        "your-api-key",
        "your_api_key",
        "yourapikey",
        "api-key",
        "apikey",
        "secret",
        "todo",
        "example",
        "dummy",
    ];
    let lower = value.to_ascii_lowercase();
    let bare = lower.strip_prefix("sk-").unwrap_or(&lower);
    let bare = bare.trim_matches(|c: char| "<>[]{}\"'".contains(c));
    WORDS.contains(&bare)
        || bare.starts_with("your-")
        || bare.starts_with("your_")
        || bare.starts_with("replace-")
        || bare.starts_with("replace_")
        || (bare.len() >= 3 && bare.bytes().all(|b| matches!(b, b'x' | b'*' | b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_keys() {
        for word in [
            "changeme",
            "CHANGEME",
            "your-api-key",
            "sk-xxx",
            "<your-key>",
            "sk-your-key-here",
            "****",
        ] {
            assert!(is_placeholder(word), "{word}");
        }
        for key in [
            "sk-proj-4fK2xxx9",
            "ollama",
            "EMPTY-not",
            "bce-v3/ALTAK-a/b",
            "secretive-key-1",
        ] {
            assert!(!is_placeholder(key), "{key}");
        }
    }
}
