//! `GET /export`: what is declared, as manifests.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use bytes::Bytes;
use futures::{Stream, stream};
use utoipa::IntoParams;

use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::{self, Problems};
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::answer::{self, RequestHeaders};
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::api::{ApiState, read::revisions};
use crate::crd::Kind;
use crate::crd::manifest::{Format, ManifestWriter};
use crate::db::{DeclarationCounts, DeclarationPlace};
use crate::http_server::ConnectionShare;

/// Objects that are read, and held, at once.
const PAGE: i64 = 32;

/// What is exported.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportParams {
    /// The namespace; `*` for all. Without it the caller's own, where the caller is a
    /// ServiceAccount. Manifests of one namespace do not name it, so that they can be applied to
    /// any.
    namespace: Option<String>,
    /// Wait up to 5 seconds until the answer is at least of this revision.
    #[param(minimum = 0)]
    min_revision: Option<i64>,
    /// `yaml` (documents) or `json` (one List).
    #[param(schema_with = openapi::manifest_format, required = false)]
    format: Option<Format>,
    /// Only of these kinds; repeat it for several. Without it all four, each of which the caller
    /// must have the right to list.
    #[param(schema_with = openapi::kinds, required = false)]
    kind: Vec<Kind>,
}

impl FromQuery for ExportParams {
    documented_names!(ExportParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        let formats = Format::ALL.map(Format::as_str);
        Ok(Self {
            namespace: query.text("namespace")?,
            min_revision: query.number("min_revision", 0..=i64::MAX)?,
            format: query.word("format", &formats, Format::parse)?,
            kind: query.kinds("kind")?,
        })
    }
}

/// What is declared and in force, as manifests that `kubectl apply` takes.
///
/// Secrets are named, never shown. What model sync made and nobody touched is left out: it comes
/// back by itself.
#[utoipa::path(
    get, path = "/api/v1/export", tag = "export", operation_id = "export",
    params(ExportParams),
    responses(
        (status = 200, description = "Manifests: providers, endpoints, credentials, then models", content(
            (String = "application/yaml"),
            (Object = "application/json"),
        )),
        Problems
    )
)]
pub async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParams(asked): QueryParams<ExportParams>,
    sent: RequestHeaders,
) -> Result<Response<Body>, Problem> {
    let snapshot = revisions::snapshot(&state, asked.min_revision).await?;
    let scope = Scope::of(asked.namespace.as_deref(), &caller)?;
    for kind in &asked.kind {
        // Without a kind the rest would apply, and be something else than what is declared here.
        scope.require_list(&state.auth, &caller, *kind).await?;
    }
    let format = asked.format.unwrap_or_default();
    let notes = notes(&state, &scope, &asked.kind).await?;
    let told = format!("export {} {scope:?} {asked:?}", snapshot.revision);
    let revision = snapshot.revision;
    let export = Export {
        state,
        share: sent.share,
        namespace: scope.namespace().map(str::to_owned),
        kinds: asked.kind.into(),
        after: DeclarationPlace::default(),
        writer: ManifestWriter::new(format),
        text: ManifestWriter::new(format).begin(&notes),
        is_over: false,
    };
    let content_type = match format {
        Format::Yaml => "application/yaml",
        Format::Json => "application/json",
    };
    let body = export.stream();
    Ok(answer::streamed(
        content_type,
        body,
        &told,
        revision,
        &sent.headers,
    ))
}

/// What is told of what is left out.
async fn notes(state: &ApiState, scope: &Scope, kinds: &[Kind]) -> Result<Vec<String>, Problem> {
    let mut generated = 0;
    for kind in kinds {
        let counts = state.db.declaration_counts(*kind, scope.namespace());
        let DeclarationCounts {
            unknown,
            generated: made,
            ..
        } = counts.await?;
        if unknown > 0 {
            return Err(Problem::new(
                ProblemType::NotReady,
                format!(
                    "what is declared of {unknown} {} is not stored yet: a controller of this release stores it as it \
                     starts; try again",
                    kind.plural()
                ),
            ));
        }
        generated += made;
    }
    let made = "models that model sync made are left out: their providers bring them back.";
    Ok(match generated {
        0 => Vec::new(),
        generated => vec![format!("{generated} {made}")],
    })
}

/// An export that is under way. It holds one page.
struct Export {
    state: ApiState,
    share: ConnectionShare,
    namespace: Option<String>,
    /// Those that are not done yet.
    kinds: VecDeque<Kind>,
    after: DeclarationPlace,
    writer: ManifestWriter,
    /// Written, and not sent.
    text: String,
    is_over: bool,
}

impl Export {
    /// Its parts. One that fails ends the answer before its end, so that the reader is told.
    fn stream(self) -> impl Stream<Item = Result<Bytes, axum::Error>> {
        stream::try_unfold(self, |mut export| async move {
            match export.next().await {
                Ok(None) => Ok(None),
                Ok(Some(bytes)) => Ok(Some((bytes, export))),
                Err(problem) => {
                    tracing::warn!(detail = %problem.detail, "an export was broken off");
                    Err(axum::Error::new(std::io::Error::other("broken off")))
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.is_over {
            return Ok(None);
        }
        match self.kinds.front().copied() {
            Some(kind) => self.page(kind).await?,
            None => {
                self.text.push_str(&self.writer.end());
                self.is_over = true;
            }
        }
        let text = std::mem::take(&mut self.text);
        let memory = self.state.memory.reserve(&self.share, text.len()).await?;
        let (_, own) = memory.hold(Bytes::from(text));
        Ok(Some(own))
    }

    /// Writes the next page of a kind.
    async fn page(&mut self, kind: Kind) -> Result<(), Problem> {
        let (db, namespace) = (&self.state.db, self.namespace.as_deref());
        let rows = db.declarations(kind, namespace, &self.after, PAGE).await?;
        for row in &rows {
            let shown = namespace.is_none().then_some(&*row.place.namespace);
            let written = (self.writer).object(kind, shown, &row.place.name, &row.declaration);
            let text = written.map_err(|error| {
                tracing::error!(%error, "a stored declaration cannot be exported");
                Problem::internal()
            })?;
            self.text.push_str(&text);
        }
        match rows.into_iter().last() {
            Some(last) => self.after = last.place,
            None => {
                self.after = DeclarationPlace::default();
                self.kinds.pop_front();
            }
        }
        Ok(())
    }
}
