//! What a successful answer must hold. A page from something in between, a proxy's or a hotel's,
//! comes with HTTP 200 too, and proves nothing.

use serde_json::Value;

use super::error_body::{ErrorBody, Form};
use crate::vendors::http::client::Response;

/// An answer's JSON, or what it is in the place of it.
pub(in crate::vendors) fn json(answer: &Response) -> Result<Value, String> {
    let bytes = &answer.body;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|_| {
        let what = match ErrorBody::read(answer).form {
            Form::Empty => "it is empty",
            Form::Page => "it is a web page",
            _ => "it is not JSON",
        };
        what.to_owned()
    })
}

/// What keeps an answer from being read; `None` for a JSON object that has one of these fields, or
/// any object where none is named.
pub(in crate::vendors) fn unreadable(answer: &Response, fields: &[&str]) -> Option<String> {
    match json(answer) {
        Err(what) => Some(what),
        Ok(Value::Object(object)) => {
            let has_one = fields.is_empty() || fields.iter().any(|f| object.contains_key(*f));
            (!has_one).then(|| format!("it has no `{}`", fields.join("` or `")))
        }
        Ok(_) => Some("it is not a JSON object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::testing::answer;

    #[test]
    fn what_is_missing_is_named() {
        let said = |body: &str, fields: &[&str]| unreadable(&answer(200, body), fields);
        assert_eq!(said(r#"{"data":null}"#, &["data"]), None);
        assert_eq!(said("{}", &[]), None);
        assert_eq!(said("", &[]).as_deref(), Some("it is empty"));
        assert_eq!(said("<html>", &[]).as_deref(), Some("it is a web page"));
        assert_eq!(said("{", &[]).as_deref(), Some("it is not JSON"));
        assert_eq!(said("[1]", &[]).as_deref(), Some("it is not a JSON object"));
        assert_eq!(
            said("{}", &["id", "name"]).as_deref(),
            Some("it has no `id` or `name`")
        );
    }
}
