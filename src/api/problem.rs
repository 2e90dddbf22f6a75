//! Errors as RFC 9457 has them: `application/problem+json`.
//!
//! Every type is explained in `docs/api.md`. A detail says what the caller can do and nothing
//! about what the caller may not see.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::db::DbError;
use crate::http_server::NoMemory;

const TYPE_PREFIX: &str = "https://llmplane.dev/problems/";

/// What went wrong, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemType {
    /// A parameter's value, or the path's, cannot be understood.
    InvalidParameter,
    /// A query parameter that this route does not know.
    UnknownParameter,
    /// The body is not what the route takes.
    InvalidBody,
    /// The body is not of the media type that the route takes.
    UnsupportedMediaType,
    /// The body has more bytes than any that the route takes.
    BodyTooLarge,
    /// The body did not come in time.
    BodyTimeout,
    /// The caller is in no namespace and named none.
    NamespaceRequired,
    /// No bearer token came with the request.
    Unauthenticated,
    /// The token is not one that counts here.
    InvalidToken,
    /// The caller may not do this.
    Forbidden,
    /// The token counts here and not at the kube-apiserver, which a write needs.
    TokenNotForApiserver,
    /// There is no such thing, or the caller may not see it.
    NotFound,
    /// No model is what was asked for, or none that can be called.
    NoModel,
    /// Several models are named as asked for.
    AmbiguousModel,
    /// The route exists, and not for this method.
    MethodNotAllowed,
    /// The check that is asked for is switched off.
    CheckDisabled,
    /// Path and query have more bytes than they may.
    UriTooLong,
    /// The headers have more bytes than they may.
    HeadersTooLarge,
    /// No answer came in time.
    AnswerTimeout,
    /// An object of this name is there already.
    AlreadyExists,
    /// Someone else changed the object at the same time.
    Conflict,
    /// The provider has as many of these as it may have.
    LimitReached,
    /// The provider has endpoints, credentials or models that would be left behind.
    HasChildren,
    /// A GitOps tool would undo the change.
    ManagedElsewhere,
    /// The cluster does not take the object as it would be.
    InvalidObject,
    /// The caller asks for keys too often.
    RateLimited,
    /// The caller has too much under way at once.
    TooManyRequests,
    /// The credential's quota of disclosures is used up.
    QuotaExhausted,
    /// `min_revision` was not reached in time.
    RevisionTimeout,
    /// This replica has no keyring.
    NoKeyring,
    /// The key cannot be given out now.
    KeyUnavailable,
    /// It cannot be recorded that a key was given out.
    AuditUnavailable,
    /// PostgreSQL is needed for this answer and cannot be reached.
    DatabaseUnavailable,
    /// The kube-apiserver cannot be asked who the caller is or what it may do.
    ApiserverUnavailable,
    /// Too many callers wait to be looked up, in all or from one address, or too many answers for
    /// their readers.
    Overloaded,
    /// This replica has not read the configuration yet.
    NotReady,
    /// A defect of this server.
    Internal,
}

impl ProblemType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 37] = [
        Self::InvalidParameter,
        Self::UnknownParameter,
        Self::InvalidBody,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::NamespaceRequired,
        Self::Unauthenticated,
        Self::InvalidToken,
        Self::Forbidden,
        Self::TokenNotForApiserver,
        Self::NotFound,
        Self::NoModel,
        Self::AmbiguousModel,
        Self::MethodNotAllowed,
        Self::CheckDisabled,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::AnswerTimeout,
        Self::AlreadyExists,
        Self::Conflict,
        Self::LimitReached,
        Self::HasChildren,
        Self::ManagedElsewhere,
        Self::InvalidObject,
        Self::RateLimited,
        Self::TooManyRequests,
        Self::QuotaExhausted,
        Self::RevisionTimeout,
        Self::NoKeyring,
        Self::KeyUnavailable,
        Self::AuditUnavailable,
        Self::DatabaseUnavailable,
        Self::ApiserverUnavailable,
        Self::Overloaded,
        Self::NotReady,
        Self::Internal,
    ];

    /// Last part of the type's URL, HTTP status and title.
    pub fn parts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidParameter => (
                "invalid-parameter",
                S::BAD_REQUEST,
                "A parameter is not valid",
            ),
            Self::UnknownParameter => (
                "unknown-parameter",
                S::BAD_REQUEST,
                "A parameter is not known",
            ),
            Self::InvalidBody => ("invalid-body", S::BAD_REQUEST, "The body is not valid"),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body is of another media type",
            ),
            Self::BodyTooLarge => (
                "body-too-large",
                S::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Self::BodyTimeout => (
                "body-timeout",
                S::REQUEST_TIMEOUT,
                "The body did not come in time",
            ),
            Self::NamespaceRequired => (
                "namespace-required",
                S::BAD_REQUEST,
                "A namespace is needed",
            ),
            Self::Unauthenticated => (
                "unauthenticated",
                S::UNAUTHORIZED,
                "A bearer token is needed",
            ),
            Self::InvalidToken => (
                "invalid-token",
                S::UNAUTHORIZED,
                "The token does not count here",
            ),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "You may not do this"),
            Self::TokenNotForApiserver => (
                "token-not-for-apiserver",
                S::FORBIDDEN,
                "The kube-apiserver does not take this token",
            ),
            Self::NotFound => ("not-found", S::NOT_FOUND, "Not found"),
            Self::NoModel => ("no-model", S::NOT_FOUND, "No model is what was asked for"),
            Self::AmbiguousModel => (
                "ambiguous-model",
                S::NOT_FOUND,
                "Several models are named so",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "This route does not know this method",
            ),
            Self::CheckDisabled => ("check-disabled", S::CONFLICT, "The check is switched off"),
            Self::UriTooLong => ("uri-too-long", S::URI_TOO_LONG, "The URI is too long"),
            Self::HeadersTooLarge => (
                "headers-too-large",
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The headers are too large",
            ),
            Self::AnswerTimeout => (
                "answer-timeout",
                S::GATEWAY_TIMEOUT,
                "No answer came in time",
            ),
            Self::AlreadyExists => ("already-exists", S::CONFLICT, "It is there already"),
            Self::Conflict => ("conflict", S::CONFLICT, "Someone else changed it"),
            Self::LimitReached => ("limit-reached", S::CONFLICT, "The provider has no room"),
            Self::HasChildren => ("has-children", S::CONFLICT, "The provider is still in use"),
            Self::ManagedElsewhere => {
                ("managed-elsewhere", S::CONFLICT, "A GitOps tool manages it")
            }
            Self::InvalidObject => (
                "invalid-object",
                S::UNPROCESSABLE_ENTITY,
                "The cluster does not take it",
            ),
            Self::RateLimited => (
                "rate-limited",
                S::TOO_MANY_REQUESTS,
                "You ask for keys too often",
            ),
            Self::TooManyRequests => (
                "too-many-requests",
                S::TOO_MANY_REQUESTS,
                "You have too much under way at once",
            ),
            Self::QuotaExhausted => (
                "quota-exhausted",
                S::TOO_MANY_REQUESTS,
                "The credential's quota is used up",
            ),
            Self::NoKeyring => (
                "no-keyring",
                S::SERVICE_UNAVAILABLE,
                "This replica gives out no keys",
            ),
            Self::KeyUnavailable => (
                "key-unavailable",
                S::SERVICE_UNAVAILABLE,
                "The key cannot be given out now",
            ),
            Self::AuditUnavailable => (
                "audit-unavailable",
                S::SERVICE_UNAVAILABLE,
                "The audit log takes no rows",
            ),
            Self::RevisionTimeout => (
                "revision-timeout",
                S::GATEWAY_TIMEOUT,
                "The revision was not reached in time",
            ),
            Self::DatabaseUnavailable => (
                "database-unavailable",
                S::SERVICE_UNAVAILABLE,
                "The database is not available",
            ),
            Self::ApiserverUnavailable => (
                "apiserver-unavailable",
                S::SERVICE_UNAVAILABLE,
                "The kube-apiserver is not available",
            ),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "Too much at once"),
            Self::NotReady => ("not-ready", S::SERVICE_UNAVAILABLE, "Not ready yet"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem.
    pub kind: ProblemType,
    /// What the caller can do.
    pub detail: String,
    /// Seconds after which it may try again; none: as the status has it.
    pub retry_after: Option<u64>,
    /// Further members of the body; none: there are none.
    pub members: Option<Box<Map<String, Value>>>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// URL that names the kind of problem; `docs/api.md` explains each.
    #[serde(rename = "type")]
    pub type_: String,
    /// The kind of problem in words.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request, and what to do.
    pub detail: &'a str,
}

/// A field that the cluster does not take.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, in the words of the body.
    pub field: String,
    /// What is wrong with it, and what to write.
    pub message: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: None,
            members: None,
        }
    }

    /// With a further member of its body (RFC 9457, 3.2).
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        let members = self.members.get_or_insert_default();
        members.insert(member.to_owned(), value.into());
        self
    }

    /// With the time after which the caller may try again, rounded up to seconds.
    pub fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            retry_after: Some(seconds.max(1)),
            ..self
        }
    }

    /// Whether it says that the token does not count.
    pub fn is_of_token(&self) -> bool {
        self.kind == ProblemType::InvalidToken
    }

    /// A parameter whose value is not valid.
    pub fn parameter(name: &str, what: impl std::fmt::Display) -> Self {
        Self::new(ProblemType::InvalidParameter, format!("{name}: {what}"))
    }

    /// A body, or a field of it, that is not valid.
    pub fn body(what: impl Into<String>) -> Self {
        Self::new(ProblemType::InvalidBody, what)
    }

    /// The one answer for what is not there and for what the caller may not see.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            ProblemType::NotFound,
            format!("there is no such {what}, or you may not see it"),
        )
    }

    /// A defect; what it was is for the log alone.
    pub fn internal() -> Self {
        Self::new(
            ProblemType::Internal,
            "this is a defect of the server; its log has more",
        )
    }
}

impl From<NoMemory> for Problem {
    fn from(full: NoMemory) -> Self {
        Self::new(
            ProblemType::Overloaded,
            format!("{full}; read to their end those that you asked for, and try again"),
        )
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            // Only what a request says can be of no form that PostgreSQL holds.
            DbError::Unstorable(_) => {
                tracing::error!(%error, "asked PostgreSQL what it cannot hold");
                return Self::internal();
            }
            // The feed says when an outage begins and ends; one line a request would say no more.
            DbError::Unavailable(_) | DbError::Conflict(_) | DbError::ReadOnly(_) => {
                tracing::debug!(%error, "cannot answer from PostgreSQL");
            }
            _ => tracing::error!(%error, "cannot answer from PostgreSQL"),
        }
        Self::new(
            ProblemType::DatabaseUnavailable,
            "this answer comes from PostgreSQL, which does not answer; try again",
        )
    }
}

/// A body with members of its own problem (RFC 9457, 3.2).
#[derive(Serialize)]
struct ExtendedBody<'a, M> {
    #[serde(flatten)]
    body: ProblemBody<'a>,
    #[serde(flatten)]
    members: &'a M,
}

impl Problem {
    /// Its body, with further members.
    ///
    /// # Errors
    ///
    /// Where they are no JSON object.
    pub fn body_with(&self, members: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
        let (slug, status, title) = self.kind.parts();
        serde_json::to_vec(&ExtendedBody {
            body: ProblemBody {
                type_: format!("{TYPE_PREFIX}{slug}"),
                title,
                status: status.as_u16(),
                detail: &self.detail,
            },
            members,
        })
    }

    /// The answer that says so with this body, which was made before.
    pub fn answer(&self, body: impl Into<Body>) -> Response {
        let (_, status, _) = self.kind.parts();
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.body_with(&self.members).unwrap_or_default();
        self.answer(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_database_is_no_defect_of_the_server() {
        for fault in [
            DbError::Unavailable("shutdown".to_owned()),
            DbError::SchemaUnknown("relation does not exist".to_owned()),
            DbError::Other("password authentication failed".to_owned()),
        ] {
            assert_eq!(Problem::from(fault).kind, ProblemType::DatabaseUnavailable);
        }
    }

    #[test]
    fn every_type_is_documented_with_its_status() {
        let documentation = include_str!("../../docs/api.md");
        for kind in ProblemType::ALL {
            let (slug, status, _) = kind.parts();
            let row = format!("| `{slug}` | {} |", status.as_u16());
            assert!(documentation.contains(&row), "{row}");
        }
    }
}
