//! An answer with tokens in it, of which no text stays in memory.

use serde_json::Value;
use zeroize::Zeroize;

/// A JSON document whose texts are wiped when it is dropped: the token that is taken, the others that came with it
/// (`refresh_token`, `id_token`), and all of them where the answer cannot be used.
#[derive(Default)]
pub(super) struct TokenDocument(Value);

impl TokenDocument {
    /// The document in an answer's body.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body).map(Self)
    }

    /// A member of the document.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A member that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

impl From<Value> for TokenDocument {
    fn from(document: Value) -> Self {
        Self(document)
    }
}

impl Drop for TokenDocument {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Wipes every text of a document; names of members are no secrets.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_text_is_wiped_however_deep_it_stands() {
        let mut document = json!({
            "access_token": "canary", "expires_in": 3600, "refresh_token": "canary", "scope": null,
            "more": [{ "id_token": "canary", "is_new": true }, ["canary", 1]],
        });
        wipe(&mut document);
        let wiped = json!({
            "access_token": "", "expires_in": 3600, "refresh_token": "", "scope": null,
            "more": [{ "id_token": "", "is_new": true }, ["", 1]],
        });
        assert_eq!(document, wiped);
        let mut text = json!("canary");
        wipe(&mut text);
        assert_eq!(text, "");
    }

    #[test]
    fn members_are_read_by_their_names() {
        let document = TokenDocument::read(br#"{"access_token":"canary","expires_in":3600}"#);
        let document = document.expect("a document");
        assert_eq!(document.text("access_token"), Some("canary"));
        assert_eq!(document.text("expires_in"), None);
        assert_eq!(document.get("expires_in"), Some(&json!(3600)));
        assert_eq!(document.get("id_token"), None);
        assert!(TokenDocument::read(b"<html>").is_err());
    }
}
