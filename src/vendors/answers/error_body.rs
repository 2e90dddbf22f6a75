//! Errors in the envelope that OpenAI made common. It comes in four shapes (facts, 3.3, 10): an
//! object, an object with an integer code, a bare string, and vLLM's flat one.

use serde_json::Value;

use crate::vendors::http::{client::Response, redaction};

/// What an error's body says, whatever its shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::vendors) struct ErrorBody {
    /// `error.code`, an integer as its digits.
    pub code: Option<String>,
    /// `error.type`.
    pub type_: Option<String>,
    /// `error.param`: the field of the request that is wrong.
    param: Option<String>,
    /// Whether the error is a bare string.
    is_text: bool,
    /// Whether the text says that the answer was cut at its limit of tokens (facts, 3.5).
    pub limit_reached: bool,
    /// Whether the text says that the model is there for another call than this one (facts, 3.5).
    pub other_operation: bool,
    /// Whether the text says that the key lacks a scope (facts, 3.3): the code is often null there.
    pub missing_scope: bool,
    /// Whether the text blames the organisation or the caller's address, not the key (facts, 3.3).
    pub other_cause: bool,
    /// Whether there was an error in it at all.
    pub is_error: bool,
}

impl ErrorBody {
    /// Reads an answer's body; what cannot be read says nothing.
    pub fn read(answer: &Response) -> Self {
        serde_json::from_slice::<Value>(&answer.body)
            .map_or_else(|_| Self::default(), |body| Self::from_json(&body))
    }

    fn from_json(body: &Value) -> Self {
        let error = match body.get("error") {
            Some(Value::Object(error)) => error,
            Some(Value::String(text)) => {
                return Self {
                    is_error: true,
                    is_text: true,
                    missing_scope: says_missing_scope(text),
                    other_cause: blames_another(text),
                    ..Self::default()
                };
            }
            _ => match body {
                Value::Object(flat)
                    if flat.get("object").and_then(Value::as_str) == Some("error") =>
                {
                    flat
                }
                _ => return Self::default(),
            },
        };
        let word = |name: &str| match error.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let text = error.get("message").and_then(Value::as_str);
        Self {
            code: word("code"),
            type_: word("type"),
            param: word("param"),
            is_text: false,
            limit_reached: text.is_some_and(says_limit_reached),
            other_operation: text.is_some_and(says_other_operation),
            missing_scope: text.is_some_and(says_missing_scope),
            other_cause: text.is_some_and(blames_another),
            is_error: true,
        }
    }

    /// The most telling word of the two, redacted. A number tells the status again, and the type
    /// is the word then (LiteLLM's 400 `no_db_connection`).
    pub fn public_code(&self) -> Option<String> {
        let is_word = |code: &&String| code.bytes().any(|b| !b.is_ascii_digit());
        let words = [self.code.as_ref().filter(is_word), self.type_.as_ref()];
        words
            .into_iter()
            .chain([self.code.as_ref()])
            .flatten()
            .find_map(|word| redaction::word(word))
    }

    fn is(&self, words: &[&str]) -> bool {
        [&self.code, &self.type_]
            .into_iter()
            .flatten()
            .any(|w| words.contains(&w.as_str()))
    }

    /// 429s that waiting does not heal (facts, 3.3).
    pub fn is_billing(&self) -> bool {
        self.is(&[
            "insufficient_quota",
            "credit_balance_exhausted",
            "billing_hard_limit_reached",
            "billing_error",
        ])
    }

    pub fn is_bad_key(&self) -> bool {
        self.is(&[
            "invalid_api_key",
            "incorrect_api_key",
            "authentication_error",
            "invalid_authentication",
        ])
    }

    /// A refusal that names no other cause: servers that speak the protocol have codes of their own
    /// for a bad key, or none. OpenAI's 401 for an organisation or a caller's address is told by its
    /// text, for its code may be null, and a page from something in between is no such body at all.
    pub fn is_plain_refusal(&self) -> bool {
        self.is_error
            && !self.other_cause
            && match self.code.as_deref() {
                None => true,
                Some(code) => code == "401" || code.contains("api_key") || code.contains("token"),
            }
    }

    /// The caller's country is refused, whatever the model (facts, 3.3).
    pub fn is_policy(&self) -> bool {
        self.is(&["unsupported_country_region_territory"])
    }

    /// The model is not there. A 404 alone may be a wrong path (facts, 3.3): an object has to name
    /// the model, and a bare string is Ollama's (facts, 9).
    pub fn is_unknown_model(&self, status: u16) -> bool {
        self.is(&["model_not_found", "NotFoundError", "not_found_error"])
            || status == 404 && (self.is_text || self.param.as_deref() == Some("model"))
    }
}

/// The texts of OpenAI's 401s for a wrong organisation and for a caller's address (facts, 3.3).
fn blames_another(text: &str) -> bool {
    [
        "organization",
        "IP address",
        "IP not authorized",
        "allow list",
        "allowlist",
    ]
    .iter()
    .any(|words| text.contains(words))
}

fn says_limit_reached(text: &str) -> bool {
    text.contains("model output limit was reached")
}

fn says_other_operation(text: &str) -> bool {
    [
        "not a chat model",
        "not in v1/chat/completions",
        "not supported in the v1/",
        "operation does not work with the specified model",
    ]
    .iter()
    .any(|words| text.contains(words))
}

fn says_missing_scope(text: &str) -> bool {
    text.contains("Missing scopes")
        || text.contains("missing scopes")
        || text.contains("insufficient permissions")
}
