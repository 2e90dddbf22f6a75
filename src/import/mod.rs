//! From what people have to manifests: a conversion, and what has to be said of it.
//!
//! [`convert`] is pure: documents that were read go in, manifests and findings come out. [`source`] walks a
//! document and keeps account of what was taken from it, so that nothing is dropped without a word;
//! [`plan`] gathers providers, endpoints, credentials and models, and gives them names; one file a format
//! says what becomes of its fields. [`apply`] brings manifests into a cluster, all or none. No key that
//! stands in a source is ever written: not into a manifest, not into a finding.

pub mod apply;
mod detect;
mod envoy;
pub mod finding;
mod kagent;
mod litellm;
mod manifests;
mod models_dev;
mod own;
mod plan;
mod secret_headers;
mod secrets;
mod source;
#[cfg(test)]
mod tests;
mod values;
mod vendor;

use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use crate::crd::words::words;
use crate::lint::documents::Document;

pub use detect::DetectError;
pub use finding::{Finding, Level};
pub use manifests::{Manifest, Refused, judge, to_yaml};

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// Manifests of ours.
    Llmplane,
    /// LiteLLM's `config.yaml`.
    #[strum(serialize = "litellm")]
    LiteLlm,
    /// Manifests of Envoy AI Gateway.
    EnvoyAiGateway,
    /// `ModelConfig` and `ModelProviderConfig` of kagent.
    Kagent,
    /// The catalog of models.dev, or a part of it.
    ModelsDev,
}

words!(Format);

/// What became of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// What it was.
    pub format: Format,
    /// The objects, parents first.
    pub manifests: Vec<Manifest>,
    /// What is to be said, in the source's order.
    pub findings: Vec<Finding>,
}

impl Conversion {
    /// The worst of its findings.
    pub fn worst(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Exact)
    }
}

/// Converts documents of one format; without one it is told by their shape. With a namespace every
/// manifest is of that namespace.
///
/// # Errors
/// Where there is nothing, or a document without fields; where the format cannot be told, or where there
/// are several.
pub fn convert(
    documents: &[&Document],
    format: Option<Format>,
    namespace: Option<&str>,
) -> Result<Conversion, DetectError> {
    detect::objects(documents)?;
    let format = match format {
        Some(format) => format,
        None => detect::format(documents)?,
    };
    let ledger = source::Ledger::default();
    let sources: Vec<source::Field<'_>> = (documents.iter())
        .map(|document| source::Field::root(document, &ledger))
        .collect();
    let mut manifests = match format {
        Format::Llmplane => own::convert(&sources, namespace),
        Format::LiteLlm => litellm::convert(&sources, namespace),
        Format::EnvoyAiGateway => envoy::convert(&sources, namespace),
        Format::Kagent => kagent::convert(&sources, namespace),
        Format::ModelsDev => models_dev::convert(&sources, namespace),
    };
    for source in &sources {
        source.leftovers();
    }
    manifests.sort_by_key(|manifest| manifest.kind);
    Ok(Conversion {
        format,
        manifests,
        findings: ledger.into_findings(),
    })
}
