//! Reading files, folders and standard input into objects with line numbers.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Spanned, UserMessageFormatter};
use thiserror::Error;

use crate::crd::GROUP;

/// Largest file that is read, in bytes. An object in etcd has at most 1.5 MiB.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most nested folders that are entered.
const MAX_FOLDER_DEPTH: usize = 32;

/// Why a file could not be read as objects.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file or folder cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Larger than any manifest.
    #[error("is larger than {} MiB, which no manifest is", MAX_FILE_BYTES >> 20)]
    TooLarge,
    /// A folder without manifests, or nested too deep.
    #[error("{0}")]
    Folder(&'static str),
    /// Named on the command line, and nothing is in it.
    #[error("holds no object")]
    NoObject,
    /// Not YAML, or YAML that would grow out of bounds.
    #[error("is not valid YAML: {message}")]
    Yaml {
        /// What the parser says; never the file's text, which may hold a key.
        message: String,
        /// Line, from 1, where it is known.
        line: Option<u64>,
    },
}

/// A file, and what was in it.
#[derive(Debug)]
pub struct Source {
    /// As it was named; `-` for standard input.
    pub file: String,
    /// Whether it was found in a folder, among files that need not be manifests.
    pub found: bool,
    /// Its objects in order, those of a `List` one by one.
    pub content: Result<Vec<Document>, ReadError>,
}

/// An object in a file.
#[derive(Debug)]
pub struct Document {
    /// The file's name.
    pub file: String,
    /// Which of the file's documents that are not empty it stands in, from 1.
    pub document: usize,
    /// The object.
    pub value: Value,
    lines: Node,
}

impl Document {
    /// Line, from 1, of a field such as `spec.headers[0].name`, or of the nearest field above it.
    pub fn line(&self, field: &str) -> u64 {
        let mut node = &self.lines;
        for segment in field.split(['.', '[']) {
            match node.child(segment.trim_end_matches(']')) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.line
    }

    /// `apiVersion`.
    pub fn api_version(&self) -> Option<&str> {
        self.value.get("apiVersion")?.as_str()
    }

    /// What stands before the slash of `apiVersion`.
    pub fn group(&self) -> Option<&str> {
        Some(self.api_version()?.split_once('/')?.0)
    }

    /// `kind`.
    pub fn kind(&self) -> Option<&str> {
        self.value.get("kind")?.as_str()
    }

    /// `metadata.name`.
    pub fn name(&self) -> Option<&str> {
        self.value.pointer("/metadata/name")?.as_str()
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> Option<&str> {
        self.value.pointer("/metadata/namespace")?.as_str()
    }

    /// Whether it says that it is a list and lacks `items`: one that has them counts as its items.
    pub fn is_list_without_items(&self) -> bool {
        self.kind().is_some_and(|kind| kind == "List")
            || (self.group() == Some(GROUP) && self.kind().is_some_and(|k| k.ends_with("List")))
    }

    /// Whether it is a Kubernetes Secret.
    pub fn is_secret(&self) -> bool {
        self.api_version() == Some("v1") && self.kind() == Some("Secret")
    }
}

/// Reads what the command line names: files, folders (all `.yaml`, `.yml` and `.json` in them, in
/// order of name, but for hidden ones), and `-` for `stdin`. What is reached by two ways is read
/// once.
pub fn read_all(names: &[PathBuf], stdin: &mut dyn Read) -> Vec<Source> {
    let mut reading = Reading::default();
    for name in names {
        if name.as_os_str() == "-" {
            reading.sources.push(named("-", read_text(&mut *stdin)));
        } else if name.is_dir() {
            if reading.is_new(name) && !reading.folder(name, 0) {
                let nothing = "holds no .yaml, .yml or .json file";
                let nothing = failed(name, ReadError::Folder(nothing));
                reading.sources.push(nothing);
            }
        } else if reading.is_new(name) {
            let file = named(&name.to_string_lossy(), read_file(name));
            reading.sources.push(file);
        }
    }
    reading.sources
}

/// What was read, and which files and folders that was.
#[derive(Default)]
struct Reading {
    sources: Vec<Source>,
    seen: HashSet<PathBuf>,
}

impl Reading {
    /// Whether this file or folder was not met yet, by this or another name.
    fn is_new(&mut self, path: &Path) -> bool {
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.seen.insert(canonical)
    }

    /// Whether there is anything to say of the folder: a manifest in it, read now or before, or an
    /// error.
    fn folder(&mut self, folder: &Path, depth: usize) -> bool {
        if depth > MAX_FOLDER_DEPTH {
            let deep = failed(folder, ReadError::Folder("is nested too deep"));
            self.sources.push(deep);
            return true;
        }
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries: Vec<PathBuf> = match listed {
            Ok(entries) => entries.into_iter().map(|e| e.path()).collect(),
            Err(error) => {
                self.sources.push(failed(folder, error.into()));
                return true;
            }
        };
        entries.sort();
        let mut any = false;
        for path in entries.into_iter().filter(|path| !is_hidden(path)) {
            if path.is_dir() {
                any |= self.is_new(&path) && self.folder(&path, depth + 1);
            } else if has_manifest_extension(&path) {
                any = true;
                if self.is_new(&path) {
                    let text = read_file(&path);
                    self.sources
                        .push(source(&path.to_string_lossy(), true, text));
                }
            }
        }
        any
    }
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

fn has_manifest_extension(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

fn read_file(path: &Path) -> Result<String, ReadError> {
    fs::File::open(path)
        .map_err(ReadError::from)
        .and_then(read_text)
}

fn read_text(reader: impl Read) -> Result<String, ReadError> {
    let mut text = String::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(text)
}

fn failed(path: &Path, error: ReadError) -> Source {
    source(&path.to_string_lossy(), true, Err(error))
}

/// A file that the command line names: there has to be something in it.
fn named(file: &str, text: Result<String, ReadError>) -> Source {
    let mut source = source(file, false, text);
    if source.content.as_ref().is_ok_and(Vec::is_empty) {
        source.content = Err(ReadError::NoObject);
    }
    source
}

fn source(file: &str, found: bool, text: Result<String, ReadError>) -> Source {
    Source {
        file: file.to_owned(),
        found,
        content: text.and_then(|text| parse(file, &text)),
    }
}

/// The objects in one file's text.
///
/// # Errors
/// Where it is not YAML, has a key twice, or aliases that grow out of bounds.
pub fn parse(file: &str, text: &str) -> Result<Vec<Document>, ReadError> {
    // As kubectl reads YAML: booleans and octal numbers of YAML 1.1. No snippet in an error, for
    // the lines around it may hold a key.
    let options = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
    };
    let roots: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| yaml_error(&error))?;
    let mut documents = Vec::new();
    for (index, root) in roots.into_iter().enumerate() {
        expand(file, index + 1, root, &mut documents);
    }
    Ok(documents)
}

fn yaml_error(error: &serde_saphyr::Error) -> ReadError {
    ReadError::Yaml {
        line: error.location().map(|l| l.line()),
        message: error
            .without_snippet()
            .render_with_formatter(&UserMessageFormatter),
    }
}

/// A `List` (or `LlmModelList`, ...) counts as its items.
fn expand(file: &str, document: usize, root: Node, documents: &mut Vec<Document>) {
    match items_of(root) {
        Ok(items) => {
            for item in items {
                expand(file, document, item, documents);
            }
        }
        Err(lines) => documents.push(Document {
            file: file.to_owned(),
            document,
            value: lines.to_value(),
            lines,
        }),
    }
}

/// The items of a list; anything else is given back.
fn items_of(mut root: Node) -> Result<Vec<Node>, Node> {
    let is_list = root.child("kind").is_some_and(
        |k| matches!(&k.content, Content::Scalar(Value::String(s)) if s.ends_with("List")),
    );
    if is_list && let Content::Map(entries) = &mut root.content {
        let items = entries.iter_mut().find(|(key, _)| key == "items");
        if let Some((_, node)) = items
            && let Content::List(items) = &mut node.content
        {
            return Ok(std::mem::take(items));
        }
    }
    Err(root)
}

/// A YAML node and the line it begins on.
#[derive(Debug)]
struct Node {
    line: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn child(&self, segment: &str) -> Option<&Node> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => items.get(segment.parse::<usize>().ok()?),
            Content::Map(entries) => entries.iter().find(|(k, _)| k == segment).map(|(_, n)| n),
        }
    }

    fn to_value(&self) -> Value {
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
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Content::Map(map))
    }
}
