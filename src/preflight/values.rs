//! The chart's values: the defaults with the user's over them, as Helm merges them, held to what the chart takes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::assignments::{AssignmentError, Reading, assign};
use super::contradictions;
use super::report::Report;

const DEFAULTS: &str = include_str!("../../charts/llmplane/values.yaml");
const SCHEMA: &str = include_str!("../../charts/llmplane/values.schema.json");

/// Values of the chart. `Debug` shows none, for they may hold passwords.
#[derive(Clone)]
pub struct Values {
    /// The user's, where some are given.
    given: Option<Value>,
    /// The defaults with these over them.
    merged: Value,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").finish_non_exhaustive()
    }
}

/// Why values cannot be read. The content is not repeated, for it may hold passwords.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The file cannot be opened.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no YAML, or no table of values.
    #[error("{0} holds no values: write YAML as for `helm install -f`")]
    Yaml(PathBuf),
    /// An assignment cannot be read.
    #[error("the values of {0} cannot be read: {1}")]
    Assignment(&'static str, AssignmentError),
}

impl Values {
    /// The defaults with these files over them, the last one on top.
    ///
    /// # Errors
    /// Where a file cannot be read, or holds no values.
    pub fn read(files: &[PathBuf]) -> Result<Self, ValuesError> {
        let mut given = None;
        for path in files {
            let text = std::fs::read_to_string(path).map_err(|source| ValuesError::Read {
                path: path.clone(),
                source,
            })?;
            overlay(given.get_or_insert_default(), file(path, &text)?);
        }
        Ok(Self::over_the_defaults(given))
    }

    /// The same with these assignments, of `--set` or of `--set-string`, over them.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn set<'a>(
        self,
        reading: Reading,
        assignments: impl Iterator<Item = &'a str>,
    ) -> Result<Self, ValuesError> {
        let mut given = self.given;
        let flag = match reading {
            Reading::Typed => "--set",
            Reading::Text => "--set-string",
        };
        for text in assignments {
            let assigned = assign(given.get_or_insert_default(), text, reading);
            assigned.map_err(|why| ValuesError::Assignment(flag, why))?;
        }
        Ok(Self::over_the_defaults(given))
    }

    fn over_the_defaults(given: Option<Value>) -> Self {
        let mut merged = parse(DEFAULTS).unwrap_or_default();
        if let Some(given) = &given {
            merge(&mut merged, given.clone());
        }
        Self { given, merged }
    }

    /// The audience of the API's tokens, where they name one.
    pub fn audience(&self) -> Option<&str> {
        let named = self.text(&["settings", "LLMPLANE_AUDIENCE"]);
        (!named.is_empty()).then_some(named)
    }

    /// A text, or nothing where it is none.
    pub(super) fn text(&self, path: &[&str]) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// A switch; off where it is none.
    pub(super) fn is_on(&self, path: &[&str]) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A list of texts.
    pub(super) fn list(&self, path: &[&str]) -> Vec<&str> {
        let items = self.at(path).and_then(Value::as_array);
        let items = items.into_iter().flatten();
        items.filter_map(Value::as_str).collect()
    }

    /// A text, or this one where it is empty.
    pub(super) fn text_or<'a>(&'a self, path: &[&str], default: &'a str) -> &'a str {
        match self.text(path) {
            "" => default,
            text => text,
        }
    }

    /// A table's entries, by their names.
    pub(super) fn entries(&self, path: &[&str]) -> impl Iterator<Item = (&str, &Value)> {
        let table = self.at(path).and_then(Value::as_object);
        let entries = table.into_iter().flatten();
        entries.map(|(name, value)| (name.as_str(), value))
    }

    /// A text, a number or a switch as text.
    pub(super) fn plain(&self, path: &[&str]) -> String {
        self.at(path).map(plain).unwrap_or_default()
    }

    /// Name of the Secret with the URL of a role; empty for the owner's where the chart migrates nothing.
    pub(super) fn database_secret(&self, role: &str) -> String {
        match self.text(&["database", role, "existingSecret"]) {
            "" if role == "owner" && !self.migrates() => String::new(),
            "" => format!("llmplane-{role}-database"),
            named => named.to_owned(),
        }
    }

    /// Name of the Secret with the API's certificate.
    pub(super) fn tls_secret(&self) -> &str {
        self.text_or(&["api", "tls", "existingSecret"], "llmplane-api-tls")
    }

    /// Namespaces that get a RoleBinding of the right to read Secrets.
    pub(super) fn secret_namespaces(&self) -> Vec<&str> {
        let watched = self.list(&["namespaces"]);
        // The base's keeps its own where every namespace is watched.
        match watched.contains(&"*") {
            true => vec!["default"],
            false => watched,
        }
    }

    /// Whether the chart brings the schema up to date.
    pub(super) fn migrates(&self) -> bool {
        let owner = |field| self.text(&["database", "owner", field]);
        !(owner("url").is_empty() && owner("existingSecret").is_empty())
    }

    pub(super) fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter()
            .try_fold(&self.merged, |value, key| value.get(key))
    }

    pub(super) fn check(&self, report: &mut Report) {
        if self.given.is_none() {
            return;
        }
        let faults = self.faults();
        match faults.is_empty() {
            true => report.ok("values", "the chart takes them"),
            false => report.fail(
                "values",
                faults.join("; "),
                "correct these values; charts/llmplane/values.yaml documents each",
            ),
        }
    }

    /// Why the chart would refuse them, one sentence a fault and without a password: what its schema says of each
    /// value, else where they contradict each other.
    pub fn faults(&self) -> Vec<String> {
        let violations = self.violations();
        match violations.is_empty() {
            true => contradictions::find(self),
            false => violations,
        }
    }

    /// What the schema says, without any value.
    fn violations(&self) -> Vec<String> {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap_or_default();
        let Ok(validator) = jsonschema::draft7::new(&schema) else {
            return vec!["the chart's schema cannot be used: a defect".to_owned()];
        };
        let errors = validator.iter_errors(&self.merged);
        errors
            .map(|error| {
                let place = error.instance_path().as_str();
                let place = place.trim_start_matches('/').replace('/', ".");
                match place.as_str() {
                    "" => error.masked().to_string(),
                    place => format!("{place}: {}", error.masked()),
                }
            })
            .collect()
    }
}

/// A text as it is, anything else as in JSON; a whole number without its fraction.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(|it| it.to_string()).unwrap_or_default()
        }
        other => other.to_string(),
    }
}

fn parse(text: &str) -> Option<Value> {
    serde_saphyr::from_str(text).ok()
}

fn file(path: &Path, text: &str) -> Result<Value, ValuesError> {
    // An empty file is one without values.
    let parsed = match text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        true => Some(Value::Object(serde_json::Map::new())),
        false => parse(text).filter(Value::is_object),
    };
    parsed.ok_or_else(|| ValuesError::Yaml(path.to_owned()))
}

/// Tables are merged, anything else replaces what was there.
fn overlay(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                overlay(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// Tables are merged, `null` takes a value away, anything else replaces what was there.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match value {
                    Value::Null => drop(into.remove(&key)),
                    value => merge(into.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Values {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values.yaml");
        std::fs::write(&path, text).unwrap();
        Values::read(&[path]).unwrap()
    }

    #[test]
    fn the_defaults_are_as_the_schema_wants_them() {
        let defaults = Values::read(&[]).unwrap();
        assert_eq!(defaults.faults(), [""; 0]);
        assert_eq!(defaults.list(&["namespaces"]), ["default"]);
        assert!(defaults.is_on(&["crds", "install"]));
    }

    #[test]
    fn values_are_merged_as_helm_does() {
        let values = values("database: {owner: {existingSecret: o}}\nlog: {level: debug}\n");
        assert_eq!(values.text(&["log", "level"]), "debug");
        assert_eq!(values.text(&["log", "format"]), "json");
        assert_eq!(values.violations(), [""; 0]);
    }

    #[test]
    fn assignments_come_over_files_and_texts_last() {
        let values = values("log: {level: debug}\nnamespaces: [a]\napi: {replicas: 2}\n");
        let values = values.set(
            Reading::Typed,
            ["api.replicas=3,namespaces[1]=b"].into_iter(),
        );
        let values = values.unwrap();
        assert_eq!(values.plain(&["api", "replicas"]), "3");
        assert_eq!(values.list(&["namespaces"]), ["a", "b"]);
        assert_eq!(values.text(&["log", "level"]), "debug");
        assert_eq!(values.violations(), [""; 0]);
        let values = values.set(Reading::Text, ["api.replicas=3"].into_iter());
        let said = values.unwrap().violations().join("\n");
        assert!(said.contains("api.replicas"), "a text is no number: {said}");
        let refused = Values::read(&[]).unwrap();
        let refused = refused.set(Reading::Text, ["canary"].into_iter());
        let said = refused.unwrap_err().to_string();
        assert!(
            said.contains("--set-string") && !said.contains("canary"),
            "{said}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_repeated() {
        let values = values(
            "api: {replicas: 0}\nnamespaces: null\ndatabase: {api: {existingSecret: 'Canary!'}}\nreplica: 2\n",
        );
        let said = values.violations().join("\n");
        for part in [
            "api.replicas: ",
            "namespaces",
            "database.api.existingSecret: ",
            "replica",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("Canary"), "{said}");
    }

    #[test]
    fn a_file_that_holds_no_values_is_refused_without_its_content() {
        for text in ["canary", "- canary", "{canary: "] {
            let refused = file(Path::new("v.yaml"), text).unwrap_err().to_string();
            assert!(
                refused.contains("v.yaml") && !refused.contains("canary"),
                "{refused}"
            );
        }
        assert!(file(Path::new("v.yaml"), "# nothing\n").is_ok());
    }
}
