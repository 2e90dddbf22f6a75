//! Schemas of what the resources define and the read API shows: enums of words.

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type,
};

use crate::crd::credential::{QuotaPeriod, QuotaUnit, VersionState};
use crate::crd::model::{Capability, LimitUnit, Modality, ModelType, Origin};
use crate::crd::{Kind, ProviderType, field_schemas};

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

/// A list of modalities.
pub(super) fn modalities() -> Array {
    let words = words(Modality::ALL.map(Modality::as_str));
    ArrayBuilder::new().items(words).build()
}

/// What a limit counts.
pub(super) fn limit_unit() -> Object {
    words(LimitUnit::ALL.map(LimitUnit::as_str))
}

/// Several capabilities.
pub(super) fn capabilities() -> Array {
    ArrayBuilder::new().items(capability()).build()
}

/// Several provider types.
pub(super) fn provider_types() -> Array {
    ArrayBuilder::new().items(provider_type()).build()
}

/// What a quota counts, or null.
pub(super) fn quota_unit() -> Object {
    use QuotaUnit as U;
    or_null([U::Disclosures, U::Requests, U::Tokens, U::Cost])
}

/// The period of a quota, or null.
pub(super) fn quota_period() -> Object {
    use QuotaPeriod as P;
    or_null([P::Minute, P::Hour, P::Day, P::Month])
}

/// The states of a key's version.
pub(super) fn version_state() -> Object {
    use VersionState as S;
    words([S::Pending, S::Current, S::Previous, S::Destroyed].map(S::as_str))
}

/// An agreement by which tokens are exchanged, or null.
pub(super) fn federation() -> RefOr<Schema> {
    let schema = field_schemas::shown_part(Kind::Credential, "federation");
    // Made of plain data: it always is one.
    serde_json::from_value(schema).unwrap_or_else(|_| Object::new().into())
}

/// Where a field's value comes from, by the field's name.
pub(super) fn origins() -> Object {
    let origin = [Origin::Declared, Origin::Vendor, Origin::Catalog];
    let origin = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(origin.map(written)))
        .build();
    ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::from(Schema::Object(origin))))
        .build()
}

fn or_null<T: Serialize, const N: usize>(all: [T; N]) -> Object {
    let words = all
        .map(written)
        .into_iter()
        .chain([serde_json::Value::Null]);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words))
        .build()
}

/// The word that stands in a row.
fn written(word: impl Serialize) -> serde_json::Value {
    // A unit variant: it always has a form in JSON.
    serde_json::to_value(word).unwrap_or_default()
}
