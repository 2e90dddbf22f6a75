//! What routes may answer with but for what was asked, by what they do.

use utoipa::IntoResponses;

use crate::api::problem::ProblemBody;

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
