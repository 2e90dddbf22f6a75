//! Every span that is exported as a trace, and all that it holds. No header, body, query, URL, message or key is
//! in one: what is not named here leaves the process in none.

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// Target of the spans. Others' spans, whose fields nobody here chose, are not exported; these are not logged.
pub(super) const TARGET: &str = "llmplane::spans";

const TRACEPARENT: &str = "traceparent";

/// Span of a request to the API. `route` is a pattern such as `/api/v1/models/{id}`. It continues the trace of
/// a caller that sends `traceparent`.
pub fn request(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Span {
    let span = info_span!(
        target: TARGET,
        "request",
        otel.name = %request_name(method, route),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = known_method(method),
        http.route = route,
        http.response.status_code = Empty,
    );
    if !span.is_disabled() && headers.contains_key(TRACEPARENT) {
        let caller = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &Traceparent(headers));
        if caller.span().span_context().is_valid() {
            // It fails where the layer is missing or the span began, neither of which is so here.
            let _ = span.set_parent(caller);
        }
    }
    span
}

/// Notes the answer to a request.
pub fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Span of the reconcile of an object; [`reconciled`] notes how it ended.
pub fn reconcile(kind: &str, namespace: &str, name: &str) -> Span {
    info_span!(
        target: TARGET,
        "reconcile",
        otel.name = %format_args!("reconcile {kind}"),
        otel.status_code = Empty,
        k8s.namespace.name = namespace,
        llmplane.kind = kind,
        llmplane.name = name,
        llmplane.result = Empty,
    )
}

/// Notes on the span of the reconcile that is under way how it ended.
pub fn reconciled(result: &'static str) {
    Span::current().record("llmplane.result", result);
}

/// The span in which work was asked for that is done later, apart from it. It does not keep that span open.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause(SpanContext);

impl Cause {
    /// The span that is under way here; none outside of any, and where no traces are sent.
    pub fn current() -> Option<Self> {
        let context = Span::current().context();
        let cause = context.span().span_context().clone();
        cause.is_valid().then_some(Self(cause))
    }
}

/// Span of a check of the object with this UID. It belongs to the span that made it due, and without one has a
/// trace of its own.
pub fn check(kind: &str, subject: Uuid, cause: Option<Cause>) -> Span {
    let span = info_span!(
        target: TARGET,
        "check",
        otel.name = %format_args!("check {kind}"),
        otel.status_code = Empty,
        error.type = Empty,
        llmplane.check = kind,
        llmplane.uid = %subject,
    );
    if let Some(Cause(cause)) = cause.filter(|_| !span.is_disabled()) {
        // It fails where the layer is missing or the span began, neither of which is so here.
        let _ = span.set_parent(Context::new().with_remote_span_context(cause));
    }
    span
}

/// Span of work that the controller does by itself, such as a sweep.
pub fn upkeep(task: &'static str) -> Span {
    info_span!(target: TARGET, "upkeep", otel.name = task)
}

/// Span of one call of a vendor.
pub fn vendor_call(method: &Method, host: &str, port: u16) -> Span {
    info_span!(
        target: TARGET,
        "vendor call",
        otel.name = %known_method(method),
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
        http.request.method = known_method(method),
        http.response.status_code = Empty,
        server.address = host,
        server.port = port,
    )
}

/// Span of a call of PostgreSQL, or of a transaction.
pub fn database(operation: &'static str) -> Span {
    info_span!(
        target: TARGET,
        "database",
        otel.name = %format_args!("postgresql {operation}"),
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
        db.system.name = "postgresql",
        db.operation.name = operation,
    )
}

/// Notes that what a span stands for failed. `error` is a word of ours, not a message.
pub fn failed(span: &Span, error: &'static str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error);
}

fn request_name(method: &Method, route: Option<&str>) -> String {
    let method = known_method(method);
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// A caller may write any word as its method.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

/// The one header that is taken from callers: `tracestate` beside it is free text.
struct Traceparent<'a>(&'a HeaderMap);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let header = (key == TRACEPARENT).then(|| self.0.get(key)).flatten()?;
        header.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
