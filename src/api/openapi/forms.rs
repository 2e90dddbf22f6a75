//! The forms that parameters have, said once for every route that takes them.

use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};

use crate::api::routes::models::SELECTOR_PATTERN;

/// What a text has to look like, by the parameter's name, and how long it may be.
fn form_of(name: &str) -> (&'static str, Option<usize>) {
    match name {
        "namespace" => (r"^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$", Some(63)),
        "currency" => ("^[A-Z]{3}$", None),
        "selector" => (SELECTOR_PATTERN, None),
        "max_input_price" => (r"^[0-9]+(\.[0-9]+)?$", Some(64)),
        // As `Query::text` has it.
        _ => (r"^[^\x00]*$", None),
    }
}

/// Adds the form of every parameter of a query that is a text.
pub(super) fn complete(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Query
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        {
            give(schema, form_of(&parameter.name));
        }
    }
}

fn give(schema: &mut Object, (pattern, longest): (&str, Option<usize>)) {
    let is_text = matches!(schema.schema_type, SchemaType::Type(Type::String));
    // A word has its own list of what it may be, and a time or a UID its own form.
    if is_text && schema.enum_values.is_none() && schema.format.is_none() {
        // One that says its own is narrower.
        schema.pattern.get_or_insert_with(|| pattern.to_owned());
        schema.max_length = schema.max_length.or(longest);
    }
}
