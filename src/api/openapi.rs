//! The API's description, made from the handlers: `/openapi.json` and `docs/openapi.json`.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement,
};

use super::problem::{Problem, ProblemBody};
use super::read::query_params::{FromQuery, Query, QueryParams};

mod complete;
mod examples;
mod forms;
mod problems;
mod words;

pub use problems::{
    ActionProblems, DeleteProblems, PostProblems, Problems, WatchProblems, WriteProblems,
};
pub(super) use words::{
    audit_action, capabilities, capability, import_format, kinds, manifest_format, modalities,
    model_type, one_of, provider_type, version_state,
};

const BEARER: &str = "kubernetes_token";

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

/// The description as it is served and committed: JSON with a final newline.
pub fn json() -> String {
    let (_, mut description) = super::router::routes().split_for_parts();
    complete::complete(&mut description);
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
