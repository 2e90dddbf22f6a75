//! Schemas of the words that queries and paths take.

use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, Type};

use crate::crd::credential::VersionState;
use crate::crd::manifest::Format;
use crate::crd::model::{Capability, Modality, ModelType};
use crate::crd::{Kind, ProviderType};
use crate::db::AuditAction;

/// One of these words, in a query.
pub fn one_of(words: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

/// A provider type, in a query.
pub fn provider_type() -> Object {
    one_of(ProviderType::ALL.map(ProviderType::as_str))
}

/// The state of a key's version.
pub fn version_state() -> Object {
    one_of(VersionState::ALL.map(VersionState::as_str))
}

/// What was done, in a query.
pub fn audit_action() -> Object {
    one_of(AuditAction::ALL.map(AuditAction::as_str))
}

/// How manifests are written, in a query.
pub fn manifest_format() -> Object {
    one_of(Format::ALL.map(Format::as_str))
}

/// Whose configuration it is that is imported.
pub fn import_format() -> Object {
    one_of(crate::import::Format::ALL.map(crate::import::Format::as_str))
}

/// Kubernetes kinds, in a query.
pub fn kinds() -> Array {
    let kinds = one_of(Kind::ALL.map(Kind::kubernetes));
    ArrayBuilder::new().items(kinds).build()
}

/// A model type, in a query.
pub fn model_type() -> Object {
    one_of(ModelType::ALL.iter().map(|word| word.as_str()))
}

/// A capability, in a path.
pub fn capability() -> Object {
    one_of(Capability::ALL.iter().map(|word| word.as_str()))
}

/// Capabilities, in a query.
pub fn capabilities() -> Array {
    let each = Some(Capability::ALL.len());
    ArrayBuilder::new()
        .items(capability())
        .max_items(each)
        .build()
}

/// Modalities, in a query.
pub fn modalities() -> Array {
    let words = one_of(Modality::ALL.map(Modality::as_str));
    ArrayBuilder::new()
        .items(words)
        .max_items(Some(Modality::ALL.len()))
        .build()
}
