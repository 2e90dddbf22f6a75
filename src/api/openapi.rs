//! The API's description, made from the handlers: `/openapi.json` and `docs/openapi.json`.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use utoipa::IntoResponses;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    Array, ArrayBuilder, ArrayItems, Components, Object, ObjectBuilder, Schema, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required,
    ResponseBuilder, SecurityRequirement,
};

use super::problem::{Problem, ProblemBody};
use super::read::query_params::{FromQuery, Query, QueryParams};
use super::write;
use crate::crd::credential::VersionState;
use crate::crd::manifest::Format;
use crate::crd::model::{Capability, ModelType};
use crate::crd::{Kind, ProviderType};
use crate::db::AuditAction;

mod examples;
mod forms;

const BEARER: &str = "kubernetes_token";

/// What any route below `/api/v1` may answer with but for what was asked.
#[derive(IntoResponses)]
#[allow(dead_code)] // It is what is documented; the answers are made in `problem`.
pub enum Problems {
    /// What `If-None-Match` names is still what the answer would be.
    #[response(status = 304)]
    NotModified,
    /// A parameter is not valid or not known, or a namespace is needed.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody<'static>),
    /// There is no token, or it does not count here.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody<'static>),
    /// The caller may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody<'static>),
    /// There is no such thing, or the caller may not see it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemBody<'static>),
    /// The route exists, and not for this method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(ProblemBody<'static>),
    /// A defect of the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody<'static>),
    /// What the answer needs is not available; try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody<'static>),
    /// `min_revision` was not reached in time.
    #[response(status = 504, content_type = "application/problem+json")]
    RevisionTimeout(ProblemBody<'static>),
}

/// The same of a route that takes a body; 404 is its own.
#[derive(IntoResponses)]
#[allow(dead_code)] // As above.
pub enum PostProblems {
    /// The body, or a parameter, is not valid or not known, or a namespace is needed.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody<'static>),
    /// There is no token, or it does not count here.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody<'static>),
    /// The caller may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody<'static>),
    /// The route exists, and not for this method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(ProblemBody<'static>),
    /// The body did not come in time.
    #[response(status = 408, content_type = "application/problem+json")]
    BodyTimeout(ProblemBody<'static>),
    /// The body is larger than 64 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    BodyTooLarge(ProblemBody<'static>),
    /// The body is not JSON by its media type.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(ProblemBody<'static>),
    /// The caller asks for keys too often, or the credential's quota is used up; `Retry-After` says
    /// when to try again.
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyRequests(ProblemBody<'static>),
    /// A defect of the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody<'static>),
    /// What the answer needs is not available; try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody<'static>),
    /// `min_revision` was not reached in time.
    #[response(status = 504, content_type = "application/problem+json")]
    RevisionTimeout(ProblemBody<'static>),
}

/// The same of a route that asks for a check.
#[derive(IntoResponses)]
#[allow(dead_code)] // As above.
pub enum ActionProblems {
    /// A parameter is not valid or not known, or a namespace is needed.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody<'static>),
    /// There is no token, or it does not count here.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody<'static>),
    /// The caller may see it, and may not check it.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody<'static>),
    /// There is no such thing, or the caller may not see it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemBody<'static>),
    /// The route exists, and not for this method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(ProblemBody<'static>),
    /// The check is switched off.
    #[response(status = 409, content_type = "application/problem+json")]
    CheckDisabled(ProblemBody<'static>),
    /// A defect of the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody<'static>),
    /// What the answer needs is not available; try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody<'static>),
}

/// The same of a stream, which answers no `If-None-Match`.
#[derive(IntoResponses)]
#[allow(dead_code)] // As above.
pub enum WatchProblems {
    /// A parameter is not valid or not known, or a namespace is needed.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody<'static>),
    /// There is no token, or it does not count here.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody<'static>),
    /// The caller may not watch a kind that it asks for, or all of them.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody<'static>),
    /// The route exists, and not for this method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(ProblemBody<'static>),
    /// The caller has as many streams open as it may.
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyRequests(ProblemBody<'static>),
    /// A defect of the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody<'static>),
    /// What the answer needs is not available, or too many streams are open; try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody<'static>),
}

/// The same of a route that changes something.
#[derive(IntoResponses)]
#[allow(dead_code)] // As above.
pub enum WriteProblems {
    /// The body, or a parameter, is not valid or not known, or a namespace is needed.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody<'static>),
    /// There is no token, or it does not count here.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody<'static>),
    /// The caller may not do this, or its token is not for the kube-apiserver.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody<'static>),
    /// There is no such thing, or the caller may not see it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemBody<'static>),
    /// The route exists, and not for this method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(ProblemBody<'static>),
    /// The body did not come in time.
    #[response(status = 408, content_type = "application/problem+json")]
    BodyTimeout(ProblemBody<'static>),
    /// It is there already, was changed at the same time, has no room, or is managed by a GitOps tool.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemBody<'static>),
    /// The body is larger than 1 MiB, or an import than 8 MiB.
    #[response(status = 413, content_type = "application/problem+json")]
    BodyTooLarge(ProblemBody<'static>),
    /// The body is not JSON by its media type, nor, for an import, YAML.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(ProblemBody<'static>),
    /// The cluster does not take the object as it would be; `errors` names the fields.
    #[response(status = 422, content_type = "application/problem+json")]
    InvalidObject(ProblemBody<'static>),
    /// A defect of the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody<'static>),
    /// The kube-apiserver, or the audit, is not available; try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody<'static>),
}

/// The same of a route that deletes something.
#[derive(IntoResponses)]
#[allow(dead_code)] // As above.
pub enum DeleteProblems {
    /// A parameter is not valid or not known, or a namespace is needed.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemBody<'static>),
    /// There is no token, or it does not count here.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody<'static>),
    /// The caller may not do this, or its token is not for the kube-apiserver.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemBody<'static>),
    /// There is no such thing, or the caller may not see it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemBody<'static>),
    /// The route exists, and not for this method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(ProblemBody<'static>),
    /// It is still in use, is managed by a GitOps tool, or is another one now.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemBody<'static>),
    /// The cluster does not take the deletion.
    #[response(status = 422, content_type = "application/problem+json")]
    InvalidObject(ProblemBody<'static>),
    /// A defect of the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody<'static>),
    /// The kube-apiserver, or the audit, is not available; try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody<'static>),
}

/// Schemas of what is sent, of which nothing has to be, or which say so themselves.
fn is_sent(schema: &str) -> bool {
    schema == "ResolveRequest" || write::BODIES.contains(&schema)
}

/// What the routes are added to.
pub fn base() -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .schema_from::<ProblemBody<'static>>()
        .build();
    components.add_security_scheme(
        BEARER,
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .description(Some(
                    "A Kubernetes token of this API's audience: a projected volume in a pod, or \
                     `kubectl create token NAME --audience=llmplane`",
                ))
                .build(),
        ),
    );
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("llmplane")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Which LLM providers, endpoints, credentials and models there are, and what is \
                     known of them.",
                ))
                .license(Some(utoipa::openapi::License::new("Apache-2.0")))
                .build(),
        )
        .components(Some(components))
        .security(Some([SecurityRequirement::new(BEARER, [""; 0])]))
        .build()
}

/// One of these words, in a query.
pub(super) fn one_of(words: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

/// A provider type, in a query.
pub(super) fn provider_type() -> Object {
    one_of(ProviderType::ALL.map(ProviderType::as_str))
}

/// The state of a key's version.
pub(super) fn version_state() -> Object {
    one_of(VersionState::ALL.map(VersionState::as_str))
}

/// What was done, in a query.
pub(super) fn audit_action() -> Object {
    one_of(AuditAction::ALL.map(AuditAction::as_str))
}

/// How manifests are written, in a query.
pub(super) fn manifest_format() -> Object {
    one_of(Format::ALL.map(Format::as_str))
}

/// Whose configuration it is that is imported.
pub(super) fn import_format() -> Object {
    one_of(crate::import::Format::ALL.map(crate::import::Format::as_str))
}

/// Kubernetes kinds, in a query.
pub(super) fn kinds() -> Array {
    let kinds = one_of(Kind::ALL.map(Kind::kubernetes));
    ArrayBuilder::new().items(kinds).build()
}

/// A model type, in a query.
pub(super) fn model_type() -> Object {
    one_of(ModelType::ALL.iter().map(|word| word.as_str()))
}

/// A capability, in a path.
pub(super) fn capability() -> Object {
    one_of(Capability::ALL.iter().map(|word| word.as_str()))
}

/// Capabilities, in a query.
pub(super) fn capabilities() -> Array {
    let each = Some(Capability::ALL.len());
    ArrayBuilder::new()
        .items(capability())
        .max_items(each)
        .build()
}

/// What all answers and rows have in common, said once.
fn complete(description: &mut OpenApi) {
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

/// Fields that are not on every answer: of what is deleted, and of a key that was asked for.
const SOMETIMES: [&str; 3] = ["deleted_at", "secret", "secret_kwargs"];

/// A field that may be null is there all the same.
fn complete_rows(components: &mut Components) {
    fn complete(schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Object(object)) => {
                let names = object.properties.keys();
                object.required = names
                    .filter(|name| !SOMETIMES.contains(&name.as_str()))
                    .cloned()
                    .collect();
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

/// The description as it is served and committed: JSON with a final newline.
pub fn json() -> String {
    let (_, mut description) = super::router::routes().split_for_parts();
    complete(&mut description);
    // Made of plain data: it always has a form in JSON.
    let mut json = serde_json::to_string_pretty(&description).unwrap_or_default();
    json.push('\n');
    json
}

/// The parameters of a route that has none.
pub struct NoParameters;

impl FromQuery for NoParameters {
    fn names() -> &'static [String] {
        &[]
    }

    fn read(_: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "description", operation_id = "get_description", security(()),
    responses(
        (status = 200, description = "An OpenAPI 3.1 document", body = Object),
        (status = 400, description = "A parameter is not known", body = ProblemBody<'static>,
            content_type = "application/problem+json"),
        (status = 405, description = "The route exists, and not for this method",
            body = ProblemBody<'static>, content_type = "application/problem+json"),
    )
)]
pub async fn get(QueryParams(NoParameters): QueryParams<NoParameters>) -> impl IntoResponse {
    static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(json()));
    let json = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, json)], DESCRIPTION.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// Every operation, as method and path.
    fn operations() -> Vec<(String, Value)> {
        let description: Value = serde_json::from_str(&super::json()).expect("JSON");
        let paths = description["paths"].as_object().expect("paths").clone();
        let of_path = |(path, item): (String, Value)| {
            let methods = item.as_object().expect("operations").clone();
            methods
                .into_iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        };
        paths.into_iter().flat_map(of_path).collect()
    }

    #[test]
    fn only_what_is_in_the_path_must_be_sent() {
        for (path, operation) in operations() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let required = parameter["required"] == true;
                assert_eq!(required, parameter["in"] == "path", "{path}: {parameter}");
            }
        }
    }

    #[test]
    fn every_status_and_header_of_an_answer_is_described() {
        for (path, operation) in operations() {
            let responses = &operation["responses"];
            let has = |status: &str, header: &str| {
                responses[status]["headers"][header]["schema"].is_object()
            };
            assert!(
                has("200", "Llmplane-Revision") && has("405", "Allow"),
                "{path}"
            );
            if path.contains("/api/") {
                assert!(
                    has("401", "WWW-Authenticate") && has("503", "Retry-After"),
                    "{path}"
                );
            }
            // A stream is no answer that could still hold.
            if path.starts_with("get /api/") && path != "get /api/v1/watch" {
                assert!(has("304", "ETag") && has("200", "ETag"), "{path}");
                let sent = operation["parameters"].as_array().expect("parameters");
                assert!(
                    sent.iter().any(|one| one["name"] == "If-None-Match"),
                    "{path}"
                );
            }
        }
    }

    /// `make generate` writes the file.
    #[test]
    fn the_committed_description_is_the_handlers_own() {
        let committed = include_str!("../../docs/openapi.json");
        assert!(
            committed == super::json(),
            "docs/openapi.json is out of date: run make generate"
        );
    }
}
