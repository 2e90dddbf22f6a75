//! What all answers and rows have in common, added to what the handlers say of theirs.

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, Components, Object, Schema, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};

use super::{examples, forms};
use crate::api::write;

/// Schemas of what is sent, of which nothing has to be, or which say so themselves.
fn is_sent(schema: &str) -> bool {
    schema == "ResolveRequest" || write::BODIES.contains(&schema)
}

/// What all answers and rows have in common, said once.
pub fn complete(description: &mut OpenApi) {
    for path in description.paths.paths.values_mut() {
        let reads = [&mut path.get, &mut path.post];
        let changes = [&mut path.put, &mut path.patch, &mut path.delete];
        for operation in reads.into_iter().chain(changes).flatten() {
            add_limits(operation);
            complete_operation(operation);
            forms::complete(operation);
            examples::complete(operation);
        }
    }
    if let Some(components) = &mut description.components {
        complete_rows(components);
    }
}

/// What any request may be answered with that says too much, or comes while too much is under way.
fn add_limits(operation: &mut Operation) {
    let limits = [
        ("414", "Path and query are longer than 8 KiB"),
        ("429", "The caller has too much under way at once"),
        ("431", "The headers are larger than 128 KiB"),
        ("503", "Too much is under way here; try again"),
        ("504", "No answer came in time"),
    ];
    for (status, what) in limits {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description(what)
            .content("application/problem+json", content)
            .build();
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.to_owned())
            .or_insert(RefOr::T(response));
    }
}

fn complete_operation(operation: &mut Operation) {
    let text = || Object::with_type(Type::String);
    let number = || Object::with_type(Type::Integer);
    let header = |schema: Object, what: &str| -> RefOr<Header> {
        RefOr::T(
            HeaderBuilder::new()
                .schema(Some(schema))
                .description(Some(what))
                .build(),
        )
    };
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Path
        {
            parameter.required = Required::True;
        }
    }
    let conditional = operation.responses.responses.contains_key("304");
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut add = |name: &str, schema, what| {
            response
                .headers
                .insert(name.to_owned(), header(schema, what));
        };
        add(
            "Llmplane-Revision",
            number(),
            "Revision that the answer is of",
        );
        add(
            "Llmplane-Snapshot-Age",
            number(),
            "Seconds since the answer was known to be current; only while PostgreSQL is out of reach",
        );
        match status.as_str() {
            "200" | "304" if conditional => add("ETag", text(), "For If-None-Match"),
            "201" => add("Location", text(), "Where it is read"),
            "401" => add("WWW-Authenticate", text(), "Bearer"),
            "405" => add("Allow", text(), "The methods that the route knows"),
            "429" | "503" => add(
                "Retry-After",
                number(),
                "Seconds to wait before the next attempt",
            ),
            _ => {}
        }
    }
    if conditional {
        let asked = ParameterBuilder::new()
            .name("If-None-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "ETag of an answer that is at hand; 304 where it still holds",
            ))
            .schema(Some(text()))
            .build();
        operation
            .parameters
            .get_or_insert_default()
            .push(asked.into());
    }
}

/// A field that may be null is there all the same. One that is left out at times says so where it is defined:
/// it is neither required nor ever null.
fn complete_rows(components: &mut Components) {
    fn complete(schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Object(object)) => {
                let required = std::mem::take(&mut object.required);
                let fields = object.properties.iter();
                let there =
                    fields.filter(|(name, field)| required.contains(name) || may_be_null(field));
                object.required = there.map(|(name, _)| name.clone()).collect();
            }
            RefOr::T(Schema::AllOf(parts)) => parts.items.iter_mut().for_each(complete),
            _ => {}
        }
    }
    name_rows(components);
    let schemas = components.schemas.iter_mut();
    let answers = schemas.filter(|(name, _)| !is_sent(name));
    answers.for_each(|(_, schema)| complete(schema));
}

/// Whether null is one of the values that a schema takes.
fn may_be_null(schema: &RefOr<Schema>) -> bool {
    let is_null = |kind: &SchemaType| match kind {
        SchemaType::Type(one) => *one == Type::Null,
        SchemaType::Array(several) => several.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => is_null(&object.schema_type),
        RefOr::T(Schema::Array(list)) => is_null(&list.schema_type),
        RefOr::T(Schema::OneOf(one)) => one.items.iter().any(may_be_null),
        RefOr::T(Schema::AnyOf(any)) => any.items.iter().any(may_be_null),
        _ => false,
    }
}

/// The rows of a list, and what a change is answered with, are those of the kind's own schema, not one
/// that looks alike.
fn name_rows(components: &mut Components) {
    for (name, schema) in &mut components.schemas {
        let of_kind = |row: &str| Ref::from_schema_name(row).into();
        match schema {
            RefOr::T(Schema::Object(list)) => {
                if let Some(row) = name.strip_prefix("List_")
                    && let Some(RefOr::T(Schema::Array(items))) = list.properties.get_mut("items")
                {
                    items.items = ArrayItems::RefOrSchema(Box::new(of_kind(row)));
                }
            }
            RefOr::T(Schema::OneOf(written)) => {
                if let Some(row) = name.strip_prefix("Written_")
                    && let Some(first) = written.items.first_mut()
                {
                    *first = of_kind(row);
                }
            }
            _ => {}
        }
    }
}
