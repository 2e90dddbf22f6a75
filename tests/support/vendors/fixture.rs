//! Answers of vendors, each a file that says where its shape is from.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One documented answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Sections of `docs/vendor-facts.md`.
    pub facts: String,
    /// The vendor's pages, or other public sources, that the section was read from.
    pub sources: Vec<String>,
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON body.
    #[serde(default)]
    pub body: Option<Value>,
    /// A body that is not JSON.
    #[serde(default)]
    pub text: Option<String>,
    /// Entries of a list; the personality puts its pages around them.
    #[serde(default)]
    pub entries: Vec<Value>,
}

fn ok() -> u16 {
    200
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/vendors/fixtures")
}

impl Fixture {
    /// Reads one; a missing file or field is a broken test.
    pub fn read(vendor: &str, name: &str) -> Self {
        let file = folder().join(vendor).join(format!("{name}.json"));
        let text =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// All there are: vendor, name, contents.
    pub fn all() -> Vec<(String, String, Self)> {
        let mut all = Vec::new();
        for vendor in fs::read_dir(folder()).unwrap() {
            let vendor = vendor.unwrap().file_name().into_string().unwrap();
            for file in fs::read_dir(folder().join(&vendor)).unwrap() {
                let file = file.unwrap().file_name().into_string().unwrap();
                let name = file.strip_suffix(".json").expect("only .json files here");
                all.push((vendor.clone(), name.to_owned(), Self::read(&vendor, name)));
            }
        }
        all
    }

    /// As the server sends it.
    pub fn answer(&self) -> Answer {
        let (type_, body) = match (&self.body, &self.text) {
            (Some(json), _) => ("application/json", json.to_string()),
            (None, Some(text)) => ("text/plain; charset=utf-8", text.clone()),
            (None, None) => ("application/json", String::new()),
        };
        let mut answer = Answer::new(self.status, body.into_bytes()).with("content-type", type_);
        for (name, value) in &self.headers {
            answer = answer.with(name, value);
        }
        answer
    }
}

/// What a server sends.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self::new(status, body).with("content-type", "application/json")
    }

    /// Sets a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a word in the place of `{word}` in the body.
    pub fn filled(mut self, word: &str, value: &str) -> Self {
        let text = String::from_utf8(self.body).unwrap();
        self.body = text.replace(&format!("{{{word}}}"), value).into_bytes();
        self
    }
}
