//! Requests as a fake got them.

use std::time::Duration;

use url::form_urlencoded;

/// One request.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Time since the fake was started.
    pub at: Duration,
    pub method: String,
    /// As it stood in the request, percent-encoding and all.
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The path's segments, decoded.
    pub fn segments(&self) -> Vec<String> {
        let path = self.path.trim_start_matches('/');
        path.split('/').map(decode).collect()
    }

    /// The body, where it is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What stands after `Bearer `.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// Whether this text stands anywhere in it.
    pub fn holds(&self, text: &str) -> bool {
        let body = String::from_utf8_lossy(&self.body);
        [&self.path, &self.query]
            .into_iter()
            .any(|part| part.contains(text))
            || body.contains(text)
            || self.headers.iter().any(|(_, value)| value.contains(text))
    }
}

/// Percent-decodes one segment; a plus sign is itself in a path.
fn decode(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
