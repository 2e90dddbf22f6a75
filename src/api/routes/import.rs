//! `POST /import`: manifests, or what others have, applied as the caller.

use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::api::openapi::{self, WriteProblems};
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::answer;
use crate::api::read::query_params::{FromQuery, Query, documented_names};
use crate::api::read::request_body::{self, MAX_IMPORT};
use crate::api::write::{Record, Refused, Write, WriteParams, Writing, one_namespace};
use crate::db::{AuditAction, AuditObject};
use crate::import::apply::{Applied, ApplyError, Failure, apply_tried, try_all};
use crate::import::{self, Conversion, Finding, Format, Level, Manifest};
use crate::lint::documents::{Document, of_bytes};

/// Conversions at once: each holds a source of 8 MiB, and what is made of it.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Fields and items of a source at most, about: they take more memory than its text.
const MAX_FIELDS: usize = 200_000;
/// Bytes by which what became of an object may be longer than what was to.
const OUTCOME_BYTES: usize = 16;
/// Objects that the audit names.
const AUDITED: usize = 50;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// What is imported.
#[derive(Clone, Copy, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportParams {
    /// Whose configuration it is; without it that is told by its shape.
    #[param(schema_with = openapi::import_format, required = false)]
    format: Option<Format>,
}

impl FromQuery for ImportParams {
    documented_names!(ImportParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        let words = Format::ALL.map(Format::as_str);
        Ok(Self {
            format: query.word("format", &words, Format::parse)?,
        })
    }
}

/// What became of an import.
#[derive(Serialize, ToSchema)]
pub struct Imported {
    /// Whose configuration it was.
    #[schema(schema_with = openapi::import_format)]
    format: &'static str,
    /// Whether it was only tried.
    dry_run: bool,
    /// The worst of the findings.
    worst: Level,
    /// The manifests that were made of it.
    #[schema(value_type = Vec<Object>)]
    manifests: Vec<Manifest>,
    /// What became of each field of the source.
    findings: Vec<Finding>,
    /// What became of each object, or would.
    objects: Vec<Applied>,
}

/// Converts manifests, or others' configuration, and applies what comes of it, as the caller.
///
/// Every object is in the one namespace. All of them are tried before the first is applied; fields
/// that somebody else manages are not taken over. No key is imported: findings say how the Secrets are
/// made.
#[utoipa::path(
    post, path = "/api/v1/import", tag = "export", operation_id = "import",
    params(WriteParams, ImportParams),
    request_body(
        description = "YAML or JSON of at most 8 MiB: one object, or several documents, each an object",
        content(
            (Object = "application/yaml"),
            (Object = "application/json"),
        ),
    ),
    responses(
        (status = 200, description = "What became of it, or would", body = Imported),
        WriteProblems,
    )
)]
pub async fn post(
    Writing(write, ImportParams { format }): Writing<ImportParams>,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let namespace = one_namespace(&write)?;
    let source = request_body::text(&write.state.memory, &write.sent, body, MAX_IMPORT).await?;
    let turn = tokio::time::timeout(TURN_TIMEOUT, TURNS.acquire()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Problem::new(
            ProblemType::Overloaded,
            "too many imports at once; try again",
        ));
    };
    let wanted = namespace.clone();
    // Both are held to its end, whether or not the caller waits for it.
    let converting = move || {
        let _turn = turn;
        converted(source.to_vec(), format, &wanted)
    };
    let conversion = tokio::task::spawn_blocking(converting).await;
    let conversion = conversion.unwrap_or_else(|_| {
        tracing::error!("a conversion panicked");
        Err(Problem::internal())
    })?;
    write
        .run(|write| applied(write, namespace, conversion))
        .await
}

/// What a source is, and that the cluster's schemas take it.
fn converted(
    bytes: Vec<u8>,
    format: Option<Format>,
    namespace: &str,
) -> Result<Conversion, Problem> {
    let structure = bytes
        .iter()
        .filter(|byte| b",:[{\n-".contains(byte))
        .count();
    if structure > 4 * MAX_FIELDS {
        return Err(Problem::body(
            "the body has more fields than are imported at once; send it in parts",
        ));
    }
    let source = of_bytes("body", bytes);
    if let Some(error) = source.content.errors.first() {
        let line = error
            .line()
            .map_or_else(String::new, |line| format!("line {line}: "));
        return Err(Problem::body(format!("{line}the body {error}")));
    }
    let documents: Vec<&Document> = source.content.documents.iter().collect();
    let conversion = import::convert(&documents, format, Some(namespace))
        .map_err(|error| Problem::body(error.to_string()))?;
    let refused = import::judge(&conversion.manifests, &conversion.findings);
    let Some(first) = refused.first() else {
        return Ok(conversion);
    };
    let detail = format!("nothing was applied: {}: {}", first.target, first.message);
    let errors: Vec<Value> = (refused.iter().take(AUDITED))
        .map(|one| json!({ "field": one.target, "message": one.message }))
        .collect();
    Err(Problem::new(ProblemType::InvalidObject, detail).with("errors", errors))
}

async fn applied(
    write: Write,
    namespace: String,
    conversion: Conversion,
) -> Result<Response<Body>, Problem> {
    let client = write.cluster.client();
    let tried = try_all(&client, &namespace, &conversion.manifests).await;
    if let Err(error) = &tried {
        note_refusal(&write, &namespace, error);
    }
    let mut imported = Imported {
        format: conversion.format.as_str(),
        dry_run: write.params.dry_run,
        worst: conversion.worst(),
        manifests: conversion.manifests,
        findings: conversion.findings,
        objects: tried.map_err(|error| problem(&error))?,
    };
    // Before anything is changed: what was done must be told.
    let bytes = answer::json(&imported)?.len() + imported.objects.len() * OUTCOME_BYTES;
    let reserved = write.state.memory.reserve(&write.sent.share, bytes).await?;
    if !imported.dry_run {
        let record = begin(&write, &namespace, &imported).await?;
        let outcome = apply_tried(&client, &namespace, &imported.manifests).await;
        end(record, &outcome).await;
        imported.objects = outcome.map_err(|error| problem(&error))?;
    }
    answer::done(reserved, &imported, write.state.store.revision())
}

fn note_refusal(write: &Write, namespace: &str, error: &ApplyError) {
    let (ApplyError::Refused(failures) | ApplyError::BrokenOff { failures, .. }) = error;
    if let Some(first) = failures.first() {
        let object = AuditObject {
            namespace: Some(namespace.to_owned()),
            ..AuditObject::default()
        };
        write.note_refusal(AuditAction::Import, object, &refused(first));
    }
}

async fn begin(write: &Write, namespace: &str, imported: &Imported) -> Result<Record, Problem> {
    let object = AuditObject {
        namespace: Some(namespace.to_owned()),
        ..AuditObject::default()
    };
    let titles = imported.manifests.iter().map(Manifest::title);
    let mut detail = Map::new();
    detail.insert("format".to_owned(), imported.format.into());
    detail.insert("count".to_owned(), imported.manifests.len().into());
    detail.insert(
        "objects".to_owned(),
        titles.take(AUDITED).collect::<Vec<_>>().into(),
    );
    Record::begin(
        &write.state,
        &write.caller,
        AuditAction::Import,
        object,
        detail,
    )
    .await
}

async fn end(mut record: Record, outcome: &Result<Vec<Applied>, ApplyError>) {
    let (word, done) = match outcome {
        Ok(all) => ("Done", all.len()),
        Err(ApplyError::Refused(failures)) => (word(failures), 0),
        Err(ApplyError::BrokenOff {
            applied, failures, ..
        }) => (word(failures), applied.len()),
    };
    record.note("applied", done);
    record.end(word, None).await;
}

fn word(failures: &[Failure]) -> &'static str {
    failures
        .first()
        .map_or("Unknown", |first| refused(first).word())
}

fn refused(failure: &Failure) -> Refused {
    match &failure.status {
        Some(status) => Refused::from(kube::Error::Api(status.clone())),
        None => Refused::Unanswered,
    }
}

/// By what the first of them was refused for; all are told.
fn problem(error: &ApplyError) -> Problem {
    let (failures, before) = match error {
        ApplyError::Refused(failures) => (failures, "nothing was applied".to_owned()),
        ApplyError::BrokenOff {
            applied,
            failures,
            total,
        } => (
            failures,
            format!(
                "{} of {total} objects were applied before this; import again to apply the rest",
                applied.len()
            ),
        ),
    };
    let Some(first) = failures.first() else {
        return Problem::internal();
    };
    let mut problem = match refused(first) {
        Refused::Conflict => Problem::new(ProblemType::Conflict, first.message.clone()),
        other => other.problem(first.kind),
    };
    problem.detail = format!("{before}: {}: {}", first.object, problem.detail);
    let errors: Vec<Value> = (failures.iter())
        .map(|one| json!({ "field": one.object, "message": one.message }))
        .collect();
    let problem = problem.with("errors", errors);
    match error {
        ApplyError::BrokenOff { applied, .. } => problem.with("applied", json!(applied)),
        ApplyError::Refused(_) => problem,
    }
}
