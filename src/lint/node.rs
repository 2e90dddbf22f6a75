//! One document's YAML, or JSON, as values with the lines that they begin on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Spanned, UserMessageFormatter};

use super::stream::Chunk;

/// Why a document cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What the parser says; never the file's text, which may hold a key.
    pub message: String,
    /// Line in the file, from 1, where it is known.
    pub line: Option<u64>,
}

/// What is in one document's text.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The document; none where there are but comments, or `null`.
    pub root: Option<Node>,
    /// Line in the file of what follows the document: kubectl reads no further.
    pub passed_over: Option<u64>,
}

/// Reads one document.
///
/// # Errors
/// Where it is not YAML, has a key twice, or aliases that grow out of bounds.
pub fn parse(chunk: &Chunk<'_>) -> Result<Parsed, Unreadable> {
    // As kubectl reads YAML: booleans and octal numbers of YAML 1.1. No snippet in an error, for
    // the lines around it may hold a key.
    let options = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
    };
    let roots: Vec<Node> = serde_saphyr::from_multiple_with_options(chunk.text, options)
        .map_err(|error| unreadable(&error, chunk.line))?;
    let mut roots = roots.into_iter();
    Ok(Parsed {
        root: roots.next(),
        passed_over: roots.next().map(|node| in_file(node.line, chunk.line)),
    })
}

/// A line of a document that begins on `first`, as a line of its file.
pub fn in_file(line: u64, first: u64) -> u64 {
    first + line.saturating_sub(1)
}

/// Where something stands, as the parser words it.
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r" at line ([0-9]+), column ([0-9]+)").expect("a constant pattern")
});

fn unreadable(error: &serde_saphyr::Error, first: u64) -> Unreadable {
    let line = error.location().map(|place| in_file(place.line(), first));
    let said = error
        .without_snippet()
        .render_with_formatter(&UserMessageFormatter);
    let place = |found: &Captures<'_>| {
        let line = found[1].parse().map_or(first, |line| in_file(line, first));
        format!(" at line {line}, column {}", &found[2])
    };
    let said = PLACE.replace_all(&said, place);
    // The parser's own words for a second object where one belongs.
    let message = match said.strip_prefix("did not find expected <document start>") {
        Some(place) => {
            format!("something follows the object{place}; put a line of `---` between two objects")
        }
        None => said.into_owned(),
    };
    Unreadable { message, line }
}

/// A YAML node and the line it begins on.
#[derive(Debug)]
pub struct Node {
    /// Line in its document's text, from 1; 0 where the parser does not say.
    pub line: u64,
    pub content: Content,
}

/// What a node holds.
#[derive(Debug)]
pub enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// The field of this name, or the item of this index.
    pub fn child(&self, segment: &str) -> Option<&Node> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => items.get(segment.parse::<usize>().ok()?),
            Content::Map(entries) => entries.get(segment),
        }
    }

    /// The same without its lines.
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Node::to_value).collect(),
            Content::Map(entries) => {
                let entries = entries.iter().map(|(k, n)| (k.clone(), n.to_value()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Node {
            line: spanned.referenced.line(),
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        Number::from_f64(value)
            .map(|n| Content::Scalar(Value::Number(n)))
            .ok_or_else(|| E::custom("a number that JSON cannot hold; quote it if it is text"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, inner: D) -> Result<Content, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(Content::Map(map))
    }
}
