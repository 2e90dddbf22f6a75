//! The API's description, made from the handlers: `/openapi.json` and `docs/openapi.json`.

use utoipa::IntoResponses;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement,
};

use super::problem::ProblemBody;

const BEARER: &str = "kubernetes_token";

/// The errors that any route may answer with.
#[derive(IntoResponses)]
#[allow(dead_code)] // It is what is documented; the answers are made in `problem`.
pub enum Problems {
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
    /// What the answer needs is not available; try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemBody<'static>),
    /// `min_revision` was not reached in time.
    #[response(status = 504, content_type = "application/problem+json")]
    RevisionTimeout(ProblemBody<'static>),
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

/// The description as it is served and committed: JSON with a final newline.
pub fn json() -> String {
    let (_, description) = super::router::routes().split_for_parts();
    // Made of plain data: it always has a form in JSON.
    let mut json = serde_json::to_string_pretty(&description).unwrap_or_default();
    json.push('\n');
    json
}

#[cfg(test)]
mod tests {
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
