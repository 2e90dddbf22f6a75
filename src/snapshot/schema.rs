//! Schemas of what the resources define and the read API shows: enums of words.

use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::crd::ProviderType;
use crate::crd::model::{Capability, ModelType};

fn words(all: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(all))
        .build()
}

/// The provider types.
pub(super) fn provider_type() -> Object {
    words(ProviderType::ALL.map(ProviderType::as_str))
}

/// The model types, or null.
pub(super) fn model_type() -> Object {
    let words = ModelType::ALL.iter().map(|word| Some(word.as_str()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.chain([None])))
        .build()
}

/// The capabilities.
pub(super) fn capability() -> Object {
    words(Capability::ALL.iter().map(|word| word.as_str()))
}
