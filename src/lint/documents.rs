//! Reading files, folders and standard input into objects with line numbers.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::node::{self, Content, Node, in_file};
use super::stream::{self, Fault};
use crate::crd::GROUP;
use crate::files::open_regular;

/// Largest file that is read, in bytes. An object in etcd has at most 1.5 MiB.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most nested folders that are entered.
const MAX_FOLDER_DEPTH: usize = 32;

/// Why a file, or a part of it, could not be read as objects.
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
    /// kubectl refuses the separator.
    #[error("has more than a comment after ---, which kubectl refuses: let --- stand alone")]
    Separator {
        /// Line, from 1.
        line: u64,
    },
    /// kubectl stops after several JSON objects.
    #[error(
        "has something else than JSON after its JSON objects, which kubectl refuses: write all of it as JSON, or all as YAML with a line of --- between the objects"
    )]
    AfterJson {
        /// Line, from 1.
        line: u64,
    },
    /// kubectl reads one object between two separators.
    #[error("has a second object here that kubectl passes over: put a line of --- before it")]
    PassedOver {
        /// Line, from 1.
        line: u64,
    },
    /// Bytes that are no text. Not an error of kubectl's, which replaces them.
    #[error(
        "is not all UTF-8: kubectl replaces what it cannot read here by U+FFFD; save the file as UTF-8"
    )]
    NotText {
        /// Line, from 1, of the first.
        line: u64,
    },
}

impl ReadError {
    /// The line in the file, from 1, where there is one.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Yaml { line, .. } => *line,
            Self::Separator { line }
            | Self::AfterJson { line }
            | Self::PassedOver { line }
            | Self::NotText { line } => Some(*line),
            _ => None,
        }
    }
}

/// A file, and what was in it.
#[derive(Debug)]
pub struct Source {
    /// As it was named; `-` for standard input.
    pub file: String,
    /// Whether it was found in a folder, among files that need not be manifests.
    pub found: bool,
    /// What was read of it.
    pub content: Objects,
}

/// The objects of a file, and what of it could not be read.
#[derive(Debug, Default)]
pub struct Objects {
    /// In order, those of a `List` one by one.
    pub documents: Vec<Document>,
    pub errors: Vec<ReadError>,
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
    /// The file's line, from 1, on which its document begins.
    first_line: u64,
}

impl Document {
    /// Line, from 1, of a field such as `spec.headers[0].name`, or of the nearest field above it.
    pub fn line(&self, field: &str) -> u64 {
        let mut node = &self.lines;
        for segment in segments(field) {
            match node.child(segment) {
                Some(child) => node = child,
                None => break,
            }
        }
        in_file(node.line, self.first_line)
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

    /// Whether it is a Kubernetes ServiceAccount.
    pub fn is_service_account(&self) -> bool {
        self.api_version() == Some("v1") && self.kind() == Some("ServiceAccount")
    }

    /// Whether it is a Kubernetes Secret.
    pub fn is_secret(&self) -> bool {
        self.api_version() == Some("v1") && self.kind() == Some("Secret")
    }
}

/// The names and indices of a field such as `metadata.labels[example.com/a].b[0]`.
fn segments(field: &str) -> impl Iterator<Item = &str> {
    let mut rest = field;
    std::iter::from_fn(move || {
        let (segment, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None if rest.is_empty() => return None,
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        rest = after.strip_prefix('.').unwrap_or(after);
        Some(segment)
    })
}

/// Reads what the command line names: files, folders (all `.yaml`, `.yml` and `.json` in them, in
/// order of name, but for hidden ones), and `-` for `stdin`. What is reached by two ways is read
/// once.
pub fn read_all(names: &[PathBuf], stdin: &mut dyn Read) -> Vec<Source> {
    let mut reading = Reading::default();
    for name in names {
        if name.as_os_str() == "-" {
            reading.sources.push(named("-", read_bytes(&mut *stdin)));
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
                    let bytes = read_file(&path);
                    self.sources
                        .push(source(&path.to_string_lossy(), true, bytes));
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

fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    let file = match is_descriptor(path) {
        true => fs::File::open(path)?,
        false => open_regular(path)?,
    };
    read_bytes(file)
}

/// Whether the shell handed it over opened, as in `lint <(kustomize build .)`: then it may be a pipe,
/// like standard input.
fn is_descriptor(path: &Path) -> bool {
    let folders = ["/dev/fd", "/proc/self/fd"];
    let folder = path.parent().and_then(Path::to_str).unwrap_or_default();
    folders.contains(&folder) || path == Path::new("/dev/stdin")
}

fn read_bytes(reader: impl Read) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(bytes)
}

/// What came as bytes, under a name of its own.
pub fn of_bytes(name: &str, bytes: Vec<u8>) -> Source {
    named(name, Ok(bytes))
}

fn failed(path: &Path, error: ReadError) -> Source {
    source(&path.to_string_lossy(), true, Err(error))
}

/// A file that the command line names: there has to be something in it.
fn named(file: &str, bytes: Result<Vec<u8>, ReadError>) -> Source {
    let mut source = source(file, false, bytes);
    let content = &mut source.content;
    if content.documents.is_empty() && content.errors.is_empty() {
        content.errors.push(ReadError::NoObject);
    }
    source
}

fn source(file: &str, found: bool, bytes: Result<Vec<u8>, ReadError>) -> Source {
    let content = match bytes {
        Ok(bytes) => {
            let text = stream::decode(bytes);
            let mut content = parse(file, &text.text);
            let not_text = text.replaced.map(|line| ReadError::NotText { line });
            content.errors.extend(not_text);
            content
        }
        Err(error) => Objects {
            errors: vec![error],
            ..Objects::default()
        },
    };
    Source {
        file: file.to_owned(),
        found,
        content,
    }
}

/// The objects in one file's text. A document that cannot be read does not keep the others from it.
pub fn parse(file: &str, text: &str) -> Objects {
    let mut objects = Objects::default();
    let split = stream::split(text);
    let mut number = 0;
    for chunk in &split.chunks {
        match node::parse(chunk) {
            Ok(parsed) => {
                if let Some(root) = parsed.root {
                    number += 1;
                    expand(file, number, chunk.line, root, &mut objects.documents);
                }
                let passed_over = parsed
                    .passed_over
                    .map(|line| ReadError::PassedOver { line });
                objects.errors.extend(passed_over);
            }
            Err(unreadable) => {
                number += 1;
                objects.errors.push(ReadError::Yaml {
                    message: unreadable.message,
                    line: unreadable.line,
                });
            }
        }
    }
    let faults = split.faults.into_iter().map(|(line, fault)| match fault {
        Fault::Separator => ReadError::Separator { line },
        Fault::AfterJson => ReadError::AfterJson { line },
    });
    objects.errors.extend(faults);
    objects
}

/// A `List` (or `LlmModelList`, ...) counts as its items.
fn expand(file: &str, document: usize, first_line: u64, root: Node, documents: &mut Vec<Document>) {
    match items_of(root) {
        Ok(items) => {
            for item in items {
                expand(file, document, first_line, item, documents);
            }
        }
        Err(lines) => documents.push(Document {
            file: file.to_owned(),
            document,
            value: lines.to_value(),
            lines,
            first_line,
        }),
    }
}

/// The items of a list; anything else is given back.
fn items_of(mut root: Node) -> Result<Vec<Node>, Node> {
    let is_list = root.child("kind").is_some_and(
        |k| matches!(&k.content, Content::Scalar(Value::String(s)) if s.ends_with("List")),
    );
    if is_list
        && let Content::Map(entries) = &mut root.content
        && let Some(node) = entries.get_mut("items")
        && let Content::List(items) = &mut node.content
    {
        return Ok(std::mem::take(items));
    }
    Err(root)
}
