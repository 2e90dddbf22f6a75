//! What an answer's body is, and what an error in it says, whatever its shape.
//!
//! Servers put errors into objects (`error`, `errors[]`, `detail`, `fault`, `base_resp`), arrays of
//! them, JSON strings, plain text and XML, under names of their own. All of it is read alike: words
//! that stand where codes stand, numbers that are HTTP statuses, and texts that are searched for
//! words ([`words`](super::words)). No text leaves this module's callers: vendors echo keys.

use serde_json::Value;

use crate::vendors::http::{client::Response, redaction};

/// Largest body, in bytes, in which an error is looked for; a larger one is a list, or no error
/// that anybody wrote for a reader.
const MAX_BYTES: usize = 64 * 1024;
/// Nesting, strings and characters of each string that are read.
const MAX_DEPTH: usize = 8;
const MAX_STRINGS: usize = 200;
const MAX_CHARS: usize = 2_000;

/// What kind of document a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::vendors) enum Form {
    /// Nothing but blanks.
    #[default]
    Empty,
    Json,
    /// A web page.
    Page,
    Xml,
    /// Text of no other form.
    Text,
    /// Bytes that are no text, or more than is read.
    Opaque,
}

/// What an error's body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::vendors) struct ErrorBody {
    pub form: Form,
    /// Whether the body itself says that it is an error; a refusal's body need not.
    pub is_error: bool,
    /// The error's code, where there is one: a number as its digits.
    pub code: Option<String>,
    /// The error's type.
    pub type_: Option<String>,
    /// Words that stand where a code stands, as [`plain`] writes them.
    codes: Vec<String>,
    /// The HTTP status that the body names.
    pub status: Option<u16>,
    /// The fields of the request that are named as wrong.
    params: Vec<String>,
    /// All texts in lower case, one a line.
    pub text: String,
    strings: usize,
}

impl ErrorBody {
    /// Reads an answer's body; what cannot be read says nothing.
    pub fn read(answer: &Response) -> Self {
        let bytes = answer
            .body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&answer.body);
        if bytes.len() > MAX_BYTES {
            return Self {
                form: Form::Opaque,
                ..Self::default()
            };
        }
        if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
            let mut body = Self {
                form: Form::Json,
                is_error: is_error(&value),
                ..Self::default()
            };
            body.take(&value, Place::Top, 0);
            return body;
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Self {
                form: Form::Opaque,
                ..Self::default()
            };
        };
        let mut body = Self {
            form: form_of(text, answer.header("content-type")),
            ..Self::default()
        };
        if matches!(body.form, Form::Xml | Form::Text) {
            for name in ["Code", "code"] {
                if let Some(code) = element(text, name) {
                    body.note_code(code);
                }
            }
            body.note_text(text);
        }
        body
    }

    /// Whether one of these words, as [`plain`] writes them, stands where a code stands.
    pub fn has_code(&self, words: &[&str]) -> bool {
        self.codes.iter().any(|code| words.contains(&code.as_str()))
    }

    /// Whether a field of the request is named as wrong, or at all.
    pub fn names_field(&self, field: &str) -> bool {
        self.params.iter().any(|param| param == field) || self.text.contains(field)
    }

    /// Whether this field alone is said to be wrong.
    pub fn blames_field(&self, field: &str) -> bool {
        self.params.iter().any(|param| param == field)
    }

    /// The most telling word of the two, redacted. A number tells the status again, and the type
    /// is the word then (LiteLLM's 400 `no_db_connection`).
    pub fn public_code(&self) -> Option<String> {
        let words = [
            self.code.as_ref().filter(|code| !is_number(code)),
            self.type_.as_ref(),
        ];
        words
            .into_iter()
            .chain([self.code.as_ref()])
            .flatten()
            .find_map(|word| redaction::word(word))
    }

    fn take(&mut self, value: &Value, place: Place, depth: usize) {
        if depth > MAX_DEPTH || self.strings >= MAX_STRINGS {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.take(value, place_of(&plain(name), place), depth + 1);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.take(item, place, depth + 1);
                }
            }
            Value::String(text) => self.take_text(text, place),
            Value::Number(number) if matches!(place, Place::Code | Place::Type) => {
                self.take_number(number);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn take_text(&mut self, text: &str, place: Place) {
        self.strings += 1;
        match place {
            Place::Skipped => {}
            Place::Param => self.params.push(clipped(text).to_owned()),
            Place::Code | Place::Type => {
                if let Ok(number) = text.parse::<u16>() {
                    self.note_status(number);
                }
                self.keep(text, place);
                self.note_code(text);
                self.note_text(text);
            }
            Place::Top | Place::Error | Place::Text => {
                if is_word(text) {
                    self.note_code(text);
                }
                if place == Place::Error {
                    self.keep(text, Place::Code);
                }
                self.note_text(text);
            }
        }
    }

    /// Keeps the first code and type that are told, and a word rather than a number. `"type":
    /// "error"` tells nothing.
    fn keep(&mut self, text: &str, place: Place) {
        if !is_word(text) || text == "error" {
            return;
        }
        let kept = match place {
            Place::Type => &mut self.type_,
            _ => &mut self.code,
        };
        if kept.as_deref().is_none_or(is_number) && !(kept.is_some() && is_number(text)) {
            *kept = Some(text.to_owned());
        }
    }

    fn take_number(&mut self, number: &serde_json::Number) {
        let Some(number) = number.as_u64().or_else(|| whole(number.as_f64()?)) else {
            return;
        };
        if number == 0 {
            return;
        }
        if let Ok(number) = u16::try_from(number) {
            self.note_status(number);
        }
        let digits = number.to_string();
        self.codes.push(digits.clone());
        self.code.get_or_insert(digits);
    }

    fn note_status(&mut self, number: u16) {
        if (400..600).contains(&number) {
            self.status.get_or_insert(number);
        }
    }

    fn note_code(&mut self, text: &str) {
        let text = clipped(text);
        // `com.amazon.x#AccessDenied:http://...` and `Throttling.RateQuota` hold a code and more.
        let bare = text.rsplit('#').next().unwrap_or(text);
        let bare = bare.split(":http").next().unwrap_or(bare);
        let word = plain(bare);
        if !word.is_empty() {
            self.codes.push(word);
        }
    }

    fn note_text(&mut self, text: &str) {
        let words = clipped(text)
            .split_whitespace()
            // A link to a page about billing is not about billing.
            .filter(|word| !word.contains("://"))
            .collect::<Vec<_>>()
            .join(" ");
        self.text
            .push_str(&words.to_lowercase().replace('\u{2019}', "'"));
        self.text.push('\n');
    }
}

/// Where a value stands, by the names that lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Top,
    /// Where an error stands: a word alone is its code, anything else its text.
    Error,
    Code,
    Type,
    Text,
    /// Where the wrong field of the request is named.
    Param,
    /// What repeats the request, or is an id, a time or a link.
    Skipped,
}

fn place_of(name: &str, around: Place) -> Place {
    match name {
        "code" | "errorcode" | "errcode" | "errorid" | "status" | "statuscode" | "reason"
        | "errorname" | "errorreason" | "retcode" | "errno" => Place::Code,
        "type" | "errortype" | "kind" | "exception" => Place::Type,
        "error" | "err" | "errors" | "detail" | "details" | "fault" | "baseresp" => Place::Error,
        "param" | "params" | "loc" | "field" | "path" => Place::Param,
        "input" | "ctx" | "url" | "instance" | "id" | "requestid" | "traceid" | "timestamp"
        | "docurl" | "documentationurl" | "help" | "ip" => Place::Skipped,
        _ if around == Place::Skipped => Place::Skipped,
        _ => Place::Text,
    }
}

/// Whether a JSON body says of itself that it is an error.
fn is_error(body: &Value) -> bool {
    let Value::Object(fields) = body else {
        // An array of nothing but errors (facts, 15.1).
        return matches!(body, Value::Array(items)
            if !items.is_empty() && items.iter().all(|item| item.is_object() && is_error(item)));
    };
    let there = |name: &str| {
        fields.get(name).is_some_and(|value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) => true,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(inner) => !inner.is_empty(),
        })
    };
    let is = |name: &str, value: Value| fields.get(name) == Some(&value);
    ["error", "errors", "error_code", "errorCode", "errcode"]
        .iter()
        .any(|name| there(name))
        || is("object", "error".into())
        || is("success", false.into())
        || body
            .pointer("/base_resp/status_code")
            .is_some_and(|code| code.as_i64() != Some(0))
        || says_failure(fields)
}

/// A numeric status of failure beside a text.
fn says_failure(fields: &serde_json::Map<String, Value>) -> bool {
    let number = |name| fields.get(name).and_then(Value::as_i64);
    let failed = ["code", "status", "statusCode"]
        .into_iter()
        .filter_map(number)
        .any(|number| number >= 400);
    failed
        && ["message", "msg", "title", "detail"]
            .iter()
            .any(|name| fields.contains_key(*name))
}

/// A word as codes are compared: letters and digits in lower case.
pub(in crate::vendors) fn plain(word: &str) -> String {
    word.chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Whether a text is one word, as codes are.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && !text.contains(char::is_whitespace)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn whole(number: f64) -> Option<u64> {
    // A code of an error; nothing near the bounds of either type.
    (number.fract() == 0.0 && (0.0..1e9).contains(&number)).then_some(number as u64)
}

fn clipped(text: &str) -> &str {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

fn form_of(text: &str, content_type: Option<&str>) -> Form {
    let text = text.trim_start();
    if text.is_empty() {
        return Form::Empty;
    }
    let start: String = clipped(text).to_ascii_lowercase();
    let declared = content_type.unwrap_or_default().to_ascii_lowercase();
    let tags = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<script",
        "<title",
        "<center>",
    ];
    let is_page = start.starts_with('<') && tags.iter().any(|tag| start.contains(tag))
        || declared.contains("html") && start.contains('<');
    match start {
        _ if is_page => Form::Page,
        start if start.starts_with("<?xml") || start.starts_with('<') => Form::Xml,
        _ => Form::Text,
    }
}

/// What stands in the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once("</")?;
    Some(inner.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::testing::{answer, page};

    fn read(body: &str) -> ErrorBody {
        ErrorBody::read(&answer(400, body))
    }

    #[test]
    fn codes_are_found_whatever_the_shape() {
        for body in [
            r#"{"error":{"code":"invalid_api_key"}}"#,
            r#"{"error":{"type":"InvalidApiKey","message":"m"}}"#,
            r#"{"code":"InvalidApiKey","message":"m"}"#,
            r#"{"error":"invalid_api_key"}"#,
            r#"{"errors":[{"code":"INVALID-API-KEY"}]}"#,
            r#"[{"error":{"details":[{"reason":"INVALID_API_KEY"}]}}]"#,
            r#"{"detail":{"error":{"code":"invalid_api_key"}}}"#,
            r#"{"fault":{"detail":{"errorcode":"invalid.api.key"}}}"#,
            r#"{"__type":"x","error":{"status":"invalid_api_key"}}"#,
            r#"{"Response":{"Error":{"Code":"InvalidApiKey"}}}"#,
            r#""invalid_api_key""#,
            "<?xml version=\"1.0\"?><Error><Code>InvalidApiKey</Code></Error>",
            "\u{feff}{\"code\":\"InvalidApiKey\"}",
        ] {
            assert!(read(body).has_code(&["invalidapikey"]), "{body}");
        }
    }

    #[test]
    fn texts_are_found_whatever_the_shape() {
        for body in [
            r#"{"error":"No such key"}"#,
            r#"{"error":{"message":"No such key"}}"#,
            r#"{"message":"No such key"}"#,
            r#"{"msg":"No  such\nkey"}"#,
            r#"{"detail":"No such key"}"#,
            r#"{"detail":[{"msg":"No such key"}]}"#,
            r#"{"errors":["No such key"]}"#,
            r#"{"error":"access_denied","error_description":"No such key"}"#,
            r#"{"type":"about:blank","title":"No such key","status":401}"#,
            r#"{"base_resp":{"status_code":1004,"status_msg":"No such key"}}"#,
            r#""No such key""#,
            "No such key",
            "<Error><Message>No such key</Message></Error>",
        ] {
            assert!(read(body).text.contains("no such key"), "{body}");
        }
        let linked = r#"{"message":"see https://x.example/billing now"}"#;
        assert_eq!(read(linked).text, "see now\n");
    }

    #[test]
    fn an_error_that_comes_as_a_success_is_known_by_its_body() {
        for body in [
            r#"{"error":"Unexpected endpoint or method. (GET /models)"}"#,
            r#"{"object":"error","message":"m","code":404}"#,
            r#"{"error_code":110,"error_msg":"m"}"#,
            r#"{"code":401,"msg":"m","success":false}"#,
            r#"{"code":500,"msg":"404 NOT_FOUND"}"#,
            r#"{"errors":[{"message":"m"}]}"#,
            r#"{"base_resp":{"status_code":1004}}"#,
            r#"[{"error":{"code":400}}]"#,
        ] {
            assert!(read(body).is_error, "{body}");
        }
        for body in [
            r#"{"data":[],"error":null}"#,
            r#"{"object":"list","data":[{"id":"error"}]}"#,
            r#"{"code":0,"data":[],"message":"success"}"#,
            r#"{"code":200,"data":[],"msg":"ok","success":true}"#,
            r#"{"errors":[],"result":[]}"#,
            r#"[{"id":"m"}]"#,
            "[]",
            "{}",
        ] {
            assert!(!read(body).is_error, "{body}");
        }
    }

    #[test]
    fn the_status_in_a_body_is_read() {
        for body in [
            r#"{"error":{"code":401}}"#,
            r#"{"error":{"code":"401"}}"#,
            r#"{"status":401,"title":"Unauthorized"}"#,
            r#"{"statusCode":401.0,"message":"m"}"#,
        ] {
            assert_eq!(read(body).status, Some(401), "{body}");
        }
        assert_eq!(read(r#"{"code":20012}"#).status, None);
        assert_eq!(read(r#"{"code":20012}"#).code.as_deref(), Some("20012"));
    }

    #[test]
    fn forms_are_told_apart() {
        for (body, form) in [
            ("", Form::Empty),
            (" \n", Form::Empty),
            ("{}", Form::Json),
            ("\"x\"", Form::Json),
            ("<html><body>x</body></html>", Form::Page),
            ("<!DOCTYPE HTML PUBLIC>\n<title>403</title>", Form::Page),
            ("<?xml version=\"1.0\"?><!DOCTYPE html><html/>", Form::Page),
            ("<?xml version=\"1.0\"?><Error/>", Form::Xml),
            ("error code: 1020", Form::Text),
            ("{\"error\":", Form::Text),
        ] {
            assert_eq!(read(body).form, form, "{body}");
        }
        assert_eq!(ErrorBody::read(&page(403, "<p>no</p>")).form, Form::Page);
        let php = answer(403, "{}");
        assert_eq!(ErrorBody::read(&php).form, Form::Json);
        let long = format!("\"{}\"", "x".repeat(MAX_BYTES));
        assert_eq!(read(&long).form, Form::Opaque);
    }

    #[test]
    fn no_body_is_too_deep_or_too_wide() {
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read(&deep).form, Form::Text);
        let wide = serde_json::json!({ "detail": vec!["x"; 5_000] }).to_string();
        assert!(read(&wide).text.len() < 1_000);
    }
}
