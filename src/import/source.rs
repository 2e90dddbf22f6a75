//! A document of the source, walked field by field. What is taken is noted with what became of it; what
//! nobody took is found at the end.

use std::cell::RefCell;
use std::collections::HashSet;

use serde_json::Value;

use super::finding::{Finding, Level};
use super::manifests::misfit;
use super::secrets;
use crate::crd::Kind;
use crate::lint::documents::Document;

/// What was taken of the documents, and what is to be said of them.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Values by their addresses: documents stay where they are while they are converted.
    taken: RefCell<HashSet<usize>>,
    findings: RefCell<Vec<Finding>>,
}

impl Ledger {
    /// By document and line.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by(|a, b| {
            let place = |it: &Finding| (it.file.clone(), it.document, it.line);
            place(a).cmp(&place(b)).then_with(|| a.path.cmp(&b.path))
        });
        findings.dedup();
        findings
    }
}

/// A field of a document.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    document: &'a Document,
    ledger: &'a Ledger,
    value: &'a Value,
    path: String,
}

impl<'a> Field<'a> {
    /// A document's whole.
    pub fn root(document: &'a Document, ledger: &'a Ledger) -> Self {
        Self {
            document,
            ledger,
            value: &document.value,
            path: String::new(),
        }
    }

    /// The document that it is of.
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// Its value, whatever it is.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The field of this name; `null` is as good as none.
    pub fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.child(value, key))
    }

    /// A field further down.
    pub fn at(&self, keys: &[&str]) -> Option<Self> {
        keys.iter()
            .try_fold(self.clone(), |field, key| field.get(key))
    }

    /// The fields of an object, by name.
    pub fn entries(&self) -> Vec<(&'a str, Self)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.as_str(), self.child(value, key)))
            .collect()
    }

    /// The items of a list.
    pub fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items
            .map(|(index, value)| Self {
                value,
                path: format!("{}[{index}]", self.path),
                ..self.clone()
            })
            .collect()
    }

    fn child(&self, value: &'a Value, key: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let path = match (key.bytes().all(plain), self.path.is_empty()) {
            (true, true) => key.to_owned(),
            (true, false) => format!("{}.{key}", self.path),
            (false, _) => format!("{}[{key}]", self.path),
        };
        Self {
            value,
            path,
            ..self.clone()
        }
    }

    /// Its text.
    pub fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// The text of the field of this name, if it is one that is not empty.
    pub fn text_at(&self, key: &str) -> Option<&'a str> {
        let text = self.value.get(key)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// A whole number within bounds, also one in quotes. Where it is none that is said.
    pub fn integer(&self, least: i64, most: i64) -> Option<i64> {
        let number = match self.value {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and within i64"
            )]
            Value::Number(number) => number.as_i64().or_else(|| {
                let float = number.as_f64()?;
                (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
            }),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.manual(format!(
                "left out: llmplane takes a whole number from {least} to {most} here"
            ));
        }
        number
    }

    /// A value that this field of a kind's spec takes; where it does not, that is said.
    pub fn fitting(&self, kind: Kind, field: &str, value: Value) -> Option<Value> {
        match misfit(kind, field, &value) {
            None => Some(value),
            Some(why) => {
                self.manual(format!("left out: {} {field}: {why}", kind.kubernetes()));
                None
            }
        }
    }

    /// Its text, where it may be carried over: it is no reference to a variable and does not look like a
    /// key.
    pub fn plain_text(&self) -> Option<&'a str> {
        self.text_without(secrets::looks_like_key)
    }

    fn text_without(&self, is_key: impl Fn(&str) -> bool) -> Option<&'a str> {
        let Some(text) = self.text() else {
            self.manual("left out: llmplane takes text here");
            return None;
        };
        if let Some(variable) = secrets::variable(text) {
            self.manual(format!(
                "left out: its value is in the variable {variable}; write it into the manifest"
            ));
            return None;
        }
        if is_key(text) {
            self.manual(
                "left out: it looks like a key, and manifests hold none; put it into a Secret",
            );
            return None;
        }
        Some(text)
    }

    /// An address that clients append a path to.
    pub fn url(&self) -> Option<String> {
        let text = self.text_without(secrets::url_holds_key)?.trim();
        let value = self.fitting(Kind::Endpoint, "baseUrl", text.into())?;
        value.as_str().map(str::to_owned)
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        self.value == &Value::Bool(true)
    }

    /// It came over as it is.
    pub fn exact(&self, target: impl Into<String>) {
        self.note(Level::Exact, Some(target.into()), String::new(), Vec::new());
    }

    /// It came over and means nearly the same.
    pub fn approximate(&self, target: impl Into<String>, message: impl Into<String>) {
        let target = Some(target.into());
        self.note(Level::Approximate, target, message.into(), Vec::new());
    }

    /// Somebody has to do something.
    pub fn manual(&self, message: impl Into<String>) {
        self.note(Level::Manual, None, message.into(), Vec::new());
    }

    /// The same, with the commands that do it.
    pub fn manual_by(&self, target: String, message: String, commands: Vec<String>) {
        self.note(Level::Manual, Some(target), message, commands);
    }

    /// There is no place for it.
    pub fn unsupported(&self, message: impl Into<String>) {
        self.note(Level::Unsupported, None, message.into(), Vec::new());
    }

    /// Its turn comes later, and something will be said of it then.
    pub fn take(&self) {
        self.ledger.taken.borrow_mut().insert(address(self.value));
    }

    /// Whether something was said of it, or is to be.
    pub fn is_told(&self) -> bool {
        self.ledger.taken.borrow().contains(&address(self.value))
    }

    fn note(&self, level: Level, target: Option<String>, message: String, commands: Vec<String>) {
        self.take();
        self.ledger.findings.borrow_mut().push(Finding {
            level,
            file: self.document.file.clone(),
            document: self.document.document,
            line: self.document.line(&self.path),
            path: self.path.clone(),
            target,
            message,
            commands,
        });
    }

    /// Says of everything that nobody has taken that it is left out.
    pub fn leftovers(&self) {
        if self.value.is_null() || self.is_told() {
            return;
        }
        if !self.is_taken_in_part() {
            self.unsupported("left out: llmplane has no place for it");
            return;
        }
        for (_, field) in self.entries() {
            field.leftovers();
        }
        for item in self.items() {
            item.leftovers();
        }
    }

    /// Whether something was said of a part of it.
    pub fn is_taken_in_part(&self) -> bool {
        let inner = |field: &Self| field.is_told() || field.is_taken_in_part();
        self.entries().iter().any(|(_, field)| inner(field)) || self.items().iter().any(inner)
    }
}

fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}
