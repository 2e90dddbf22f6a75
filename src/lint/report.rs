//! What lint says, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::documents::{Document, ReadError, Source};
use super::schema::Violation;
use crate::output::printable;

/// Most characters that any object's name has.
const LONGEST_NAME: usize = 253;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The apiserver would refuse it, or two files contradict each other.
    Error,
    /// It would be taken and not work as the files stand, or one way of applying it is refused.
    Warning,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: String,
    /// Which of the file's documents that are not empty, from 1; `None` where the file as a whole
    /// cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<usize>,
    /// Line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Kind of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The field, for example `spec.headers[0].name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem of an object's field.
    pub fn new(severity: Severity, object: &Document, violation: Violation) -> Self {
        Self {
            severity,
            file: object.file.clone(),
            document: Some(object.document),
            line: Some(object.line(&violation.field)).filter(|line| *line > 0),
            kind: object.kind().map(str::to_owned),
            name: object.name().map(cut),
            field: violation.field,
            message: violation.message,
        }
    }

    /// A file that cannot be read, or not all of it.
    pub fn of_file(source: &Source, error: &ReadError) -> Self {
        let severity = match error {
            ReadError::NotText { .. } => Severity::Warning,
            _ => Severity::Error,
        };
        Self {
            severity,
            file: source.file.clone(),
            document: None,
            line: error.line(),
            kind: None,
            name: None,
            field: String::new(),
            message: error.to_string(),
        }
    }

    /// What problems are sorted by.
    pub(super) fn place(&self) -> (&str, Option<usize>, Option<u64>, &str) {
        (&self.file, self.document, self.line, &self.field)
    }

    fn text(&self) -> String {
        let mut text = self.file.clone();
        for number in [self.document.map(|d| d as u64), self.line]
            .into_iter()
            .flatten()
        {
            let _ = write!(text, ":{number}");
        }
        if let Some(kind) = &self.kind {
            let _ = write!(text, " {kind}/{}", self.name.as_deref().unwrap_or("?"));
        }
        if !self.field.is_empty() {
            let _ = write!(text, " {}", self.field);
        }
        text.push_str(": ");
        if self.severity == Severity::Warning {
            text.push_str("warning: ");
        }
        text.push_str(&self.message);
        printable(&text).into_owned()
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// How many objects in them were judged.
    pub objects: usize,
    /// What is wrong, by file and line.
    pub problems: Vec<Problem>,
}

impl Report {
    /// How many problems of this severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        let same = self.problems.iter().filter(|p| p.severity == severity);
        same.count()
    }

    /// One line a problem, `file:document:line kind/name field: message`.
    pub fn text(&self) -> String {
        self.problems.iter().map(|p| p.text() + "\n").collect()
    }

    /// One line that sums up.
    pub fn summary(&self) -> String {
        format!(
            "{} and {} in {} of {}",
            counted(self.count(Severity::Error), "error"),
            counted(self.count(Severity::Warning), "warning"),
            counted(self.objects, "object"),
            counted(self.files, "file"),
        )
    }
}

/// A name as it is repeated with each problem of its object.
fn cut(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
