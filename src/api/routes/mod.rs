//! One file a path, or a kind: parameters, handlers, and what the description says of them. `router` lists them.

pub mod actions;
pub mod audit;
pub mod classes;
pub mod console;
pub mod credentials;
pub mod docs;
pub mod endpoints;
pub mod export;
pub mod health;
pub mod holders;
pub mod import;
pub mod models;
pub mod needs;
pub mod providers;
pub mod resolve;
pub mod watch;
pub mod whose_key;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::problem::Problem;

/// The `{...}` of a path, as the handler's argument.
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            // It is no text: nothing can have that name.
            Err(_) => Err(Problem::not_found("thing")),
        }
    }
}
