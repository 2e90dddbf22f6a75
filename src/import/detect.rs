//! Whose configuration it is, by its shape.

use serde_json::Value;

use super::Format;
use crate::crd::GROUP;
use crate::lint::documents::Document;

/// Why the format cannot be told. One line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// There is nothing.
    #[error("there is nothing to import")]
    Nothing,
    /// A document without fields.
    #[error("{place}: this is no configuration: it has no fields")]
    NoObject {
        /// File and document.
        place: String,
    },
    /// No document looks like any of them.
    #[error(
        "{place}: this is no configuration that can be imported; it is read as {formats}, and --format (format=) names one"
    )]
    Unknown {
        /// File and document.
        place: String,
        /// What there is.
        formats: String,
    },
    /// Documents of two formats.
    #[error("{first} is of {a}, and {second} is of {b}: import them one after the other")]
    Several {
        /// File and document.
        first: String,
        /// Its format.
        a: Format,
        /// File and document.
        second: String,
        /// Its format.
        b: Format,
    },
}

/// That there is something, and that every document has fields, as those of every format have.
pub fn objects(documents: &[&Document]) -> Result<(), DetectError> {
    let Some(odd) = documents.iter().find(|one| !one.value.is_object()) else {
        return match documents.is_empty() {
            true => Err(DetectError::Nothing),
            false => Ok(()),
        };
    };
    Err(DetectError::NoObject { place: place(odd) })
}

/// The one format that all documents are of. Secrets and what else comes along with manifests decide
/// nothing.
pub fn format(documents: &[&Document]) -> Result<Format, DetectError> {
    let mut found: Option<(Format, &Document)> = None;
    for document in documents {
        let Some(format) = of(document) else { continue };
        match found {
            Some((other, first)) if other != format => {
                return Err(DetectError::Several {
                    first: place(first),
                    a: other,
                    second: place(document),
                    b: format,
                });
            }
            Some(_) => {}
            None => found = Some((format, document)),
        }
    }
    match (found, documents.first()) {
        (Some((format, _)), _) => Ok(format),
        (None, Some(first)) => Err(DetectError::Unknown {
            place: place(first),
            formats: Format::ALL.map(Format::as_str).join(", "),
        }),
        (None, None) => Err(DetectError::Nothing),
    }
}

fn place(document: &Document) -> String {
    format!("{}:{}", document.file, document.document)
}

/// Sections of LiteLLM's configuration.
const LITELLM: [&str; 5] = [
    "model_list",
    "credential_list",
    "litellm_settings",
    "router_settings",
    "general_settings",
];

fn of(document: &Document) -> Option<Format> {
    match document.group() {
        Some(GROUP) => return Some(Format::Llmplane),
        Some("aigateway.envoyproxy.io") => return Some(Format::EnvoyAiGateway),
        Some("kagent.dev") => return Some(Format::Kagent),
        _ => {}
    }
    if document.kind().is_some() {
        return None;
    }
    let fields = document.value.as_object()?;
    if LITELLM.iter().any(|section| fields.contains_key(*section)) {
        return Some(Format::LiteLlm);
    }
    let is_provider = |value: &Value| value.get("models").is_some_and(Value::is_object);
    let is_catalog = !fields.is_empty() && fields.values().all(is_provider);
    (is_catalog || is_provider(&document.value)).then_some(Format::ModelsDev)
}
