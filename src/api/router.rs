//! The table of contents: which route is answered by what. A route's method, path, parameters and description stand at its
//! handler, in the file of `routes` that this page names; what a write does, in `write`.

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Problem, ProblemType};
use super::routes::{
    actions, audit, classes, console, credentials, docs, endpoints, export, health, holders,
    import, models, needs, providers, resolve, watch, whose_key,
};
use super::server::observe::Observe;
use super::{ApiState, openapi};

/// The documented routes.
pub(super) fn routes() -> OpenApiRouter<ApiState> {
    // Whole paths: a nested router makes every request's URI anew.
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(providers::list, providers::create))
        .routes(routes!(
            providers::get,
            providers::replace,
            providers::delete
        ))
        .routes(routes!(providers::switch))
        .routes(routes!(endpoints::list, endpoints::create))
        .routes(routes!(
            endpoints::get,
            endpoints::replace,
            endpoints::delete
        ))
        .routes(routes!(health::get))
        .routes(routes!(credentials::list, credentials::create))
        .routes(routes!(
            credentials::get,
            credentials::replace,
            credentials::delete
        ))
        .routes(routes!(models::list))
        .routes(routes!(models::by_capability))
        .routes(routes!(models::create))
        .routes(routes!(models::get, models::replace, models::delete))
        .routes(routes!(classes::list))
        .routes(routes!(classes::get))
        .routes(routes!(export::get))
        .routes(routes!(import::post))
        .routes(routes!(holders::list))
        .routes(routes!(audit::list))
        .routes(routes!(whose_key::post))
        .routes(routes!(resolve::post))
        .routes(routes!(needs::list))
        .routes(routes!(watch::get))
        .routes(routes!(actions::health_check))
        .routes(routes!(actions::validate))
        .routes(routes!(actions::sync_models))
        .routes(routes!(actions::test_model))
        .routes(routes!(openapi::get))
}

/// The whole API, with the console where that is served too.
///
/// # Panics
///
/// Where two routes have one pattern, which no request decides.
pub(super) fn router(state: ApiState, with_console: bool) -> Observe<Router> {
    let (documented, description) = routes().split_for_parts();
    let console = match with_console {
        true => console::routes(),
        false => Router::new(),
    };
    let router = documented
        .merge(console)
        .route("/docs", get(docs::folder))
        .route("/docs/", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(state.clone());
    Observe::new(router, description.paths.paths.keys(), state)
        .expect("the router took the same patterns")
}

async fn no_route() -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "there is no such route; /openapi.json lists them",
    )
}

async fn no_method() -> Problem {
    Problem::new(
        ProblemType::MethodNotAllowed,
        "this route does not take this method; the header Allow lists those that it takes",
    )
}
