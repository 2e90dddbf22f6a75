//! `GET /export`: what is declared, as manifests.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use bytes::Bytes;
use futures::{Stream, stream};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::IntoParams;

use crate::api::auth::{Authenticated, CallerTurn, Heavy, HeavyTurn, Scope};
use crate::api::openapi::{self, Problems};
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::answer::{self, RequestHeaders};
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::api::{ApiState, read::revisions};
use crate::crd::Kind;
use crate::crd::manifest::{Format, ManifestError, ManifestWriter};
use crate::db::{DeclarationCounts, DeclarationPlace};
use crate::http_server::ConnectionShare;

/// Objects that are read, and held, at once.
const PAGE: i64 = 32;
/// Memory that is reserved before a page is read; few pages take more.
const PAGE_BYTES: usize = 64 << 10;
/// Exports at once.
const AT_ONCE: usize = 4;
/// Objects that are left out, and named, of one kind: what is declared of them is not stored, for their
/// namespace is watched no more, or the controller cannot read them.
const MAX_LEFT_OUT: i64 = 50;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

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
    /// Only of these kinds; repeat it for several. Without it all five, each of which the caller
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
        (status = 200, description = "Manifests: providers, endpoints, credentials, models, then model classes", content(
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
    let scope = Scope::of(asked.namespace.as_deref(), &caller)?;
    for kind in &asked.kind {
        // Without a kind the rest would apply, and be something else than what is declared here.
        scope.require_list(&state.auth, &caller, *kind).await?;
    }
    let snapshot = revisions::snapshot(&state, asked.min_revision).await?;
    let format = asked.format.unwrap_or_default();
    let told = format!("export {} {scope:?} {asked:?}", snapshot.revision);
    let revision = snapshot.revision;
    let content_type = match format {
        Format::Yaml => "application/yaml",
        Format::Json => "application/json",
    };
    let body = async {
        let turn = Turn::begin(&caller)?;
        let notes = notes(&state, &scope, &asked.kind).await?;
        let export = Export {
            state,
            share: sent.share,
            namespace: scope.namespace().map(str::to_owned),
            kinds: asked.kind.into(),
            after: DeclarationPlace::default(),
            writer: ManifestWriter::new(format),
            text: ManifestWriter::new(format).begin(&notes),
            left_out: Vec::new(),
            is_over: false,
            _turn: turn,
        };
        Ok(export.stream())
    };
    answer::streamed(content_type, body, &told, revision, &sent.headers).await
}

/// A place among the exports under way, of the replica and of the caller.
struct Turn {
    _place: SemaphorePermit<'static>,
    _caller: HeavyTurn,
}

impl Turn {
    fn begin(caller: &CallerTurn) -> Result<Self, Problem> {
        let caller = caller.begin_heavy(Heavy::Export)?;
        let place = TURNS.try_acquire().map_err(|_| {
            Problem::new(
                ProblemType::Overloaded,
                "too many exports are under way; try again",
            )
        })?;
        Ok(Self {
            _place: place,
            _caller: caller,
        })
    }
}

/// What is told first. Where much is not stored, a controller of this release has not been here yet.
async fn notes(state: &ApiState, scope: &Scope, kinds: &[Kind]) -> Result<Vec<String>, Problem> {
    let mut generated = 0;
    for kind in kinds {
        let counts = state.db.declaration_counts(*kind, scope.namespace());
        let DeclarationCounts {
            unknown,
            generated: made,
            ..
        } = counts.await?;
        if unknown > MAX_LEFT_OUT {
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
    /// Of what nothing is written, for what is declared is not known.
    left_out: Vec<String>,
    is_over: bool,
    _turn: Turn,
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
        let memory = self.state.memory.clone();
        let reserved = memory.reserve(&self.share, PAGE_BYTES).await?;
        match self.kinds.front().copied() {
            Some(kind) => self.page(kind).await?,
            None => {
                self.text.push_str(&self.writer.end(&self.left_out));
                self.is_over = true;
            }
        }
        let text = std::mem::take(&mut self.text);
        let more = text.len().saturating_sub(PAGE_BYTES);
        let (_, own) = reserved.hold(Bytes::from(text));
        if more == 0 {
            return Ok(Some(own));
        }
        let (_, own) = memory.reserve(&self.share, more).await?.hold(own);
        Ok(Some(own))
    }

    /// Writes the next page of a kind.
    async fn page(&mut self, kind: Kind) -> Result<(), Problem> {
        let (db, namespace) = (&self.state.db, self.namespace.as_deref());
        let rows = db.declarations(kind, namespace, &self.after, PAGE).await?;
        for row in &rows {
            let shown = namespace.is_none().then_some(&*row.place.namespace);
            let written = (self.writer).object(kind, shown, &row.place.name, &row.declaration);
            match written {
                Ok(text) => self.text.push_str(&text),
                Err(ManifestError::Unreadable { kind, name }) => {
                    let namespace = &row.place.namespace;
                    self.left_out.push(format!("{kind} {namespace}/{name}"));
                }
                Err(error) => {
                    tracing::error!(%error, "a stored declaration cannot be exported");
                    return Err(Problem::internal());
                }
            }
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
