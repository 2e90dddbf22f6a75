//! `POST /audit/whose-key`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use zeroize::Zeroize;

use crate::api::ApiState;
use crate::api::auth::{Authenticated, Scope};
use crate::api::openapi::PostProblems;
use crate::api::problem::{Problem, ProblemType};
use crate::api::read::answer::RequestHeaders;
use crate::api::read::query_params::{FromQuery, Query, QueryParams, documented_names};
use crate::api::read::request_body;
use crate::crd::credential::VersionState;
use crate::db::{AuditAction, CredentialHolder, StoredFingerprints};
use crate::keys::whose;

/// Holders of a version that are told of, those who were given it latest.
const MAX_HOLDERS: usize = 1000;

/// Characters of a string at most; no field of a key has more.
const MAX_STRING: usize = 16384;
/// Strings of a text that one turn of the caller's pays for.
const STRINGS_A_TURN: usize = 16;

/// Where to look.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhoseKeyParams {
    /// The namespace; `*` for all. Without it the caller's own, where the caller is a
    /// ServiceAccount.
    namespace: Option<String>,
}

impl FromQuery for WhoseKeyParams {
    documented_names!(WhoseKeyParams);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        Ok(Self {
            namespace: query.text("namespace")?,
        })
    }
}

/// A string that was found somewhere.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FoundString {
    /// The string: a key, or a field of one, or a line that it stands in. It is never logged.
    #[schema(min_length = 1, max_length = 16384, format = Password)]
    key: String,
}

impl Drop for FoundString {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Whose key a string is.
#[derive(Serialize, ToSchema)]
pub struct WhoseKey {
    /// The versions that it is, or is a field of; none: it is no key that was stored and is not
    /// forgotten.
    items: Vec<FoundVersion>,
}

/// A version of a key, and who was given it.
#[derive(Serialize, ToSchema)]
struct FoundVersion {
    /// The credential.
    credential_id: Uuid,
    /// Its namespace.
    namespace: String,
    /// Its name.
    name: String,
    /// Whether the credential was deleted since.
    is_deleted: bool,
    /// The version.
    version: i32,
    /// Its state: `Pending`, `Current`, `Previous` or `Destroyed`.
    #[schema(schema_with = crate::api::openapi::version_state)]
    state: VersionState,
    /// Since when it is in this state.
    since: Timestamp,
    /// Its fingerprint.
    fingerprint: String,
    /// When it was given to whom last: one row for each caller and pod, the latest first; at most 1000.
    disclosures: Vec<Disclosure>,
    /// Whether it was given to more than these, or may have been: where there are thousands, those that are
    /// found in time and those of the newest rows are named. The command `llmplane audit whose-key` names all.
    is_partial: bool,
}

/// A key that was given out.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyDisclosure)]
struct Disclosure {
    /// When.
    at: Timestamp,
    /// To whom: the Kubernetes user name.
    actor: String,
    /// The pod that its token was bound to.
    pod: Option<String>,
    /// UID of that pod.
    pod_uid: Option<String>,
    /// The node that the pod ran on.
    node: Option<String>,
    /// Why, in its words.
    purpose: Option<String>,
    /// Position of the row of the audit that says so.
    seq: i64,
}

impl From<CredentialHolder> for Disclosure {
    fn from(holder: CredentialHolder) -> Self {
        Self {
            at: holder.last_at,
            actor: holder.actor,
            pod: holder.pod,
            pod_uid: holder.pod_uid,
            node: holder.node,
            purpose: holder.purpose,
            seq: holder.seq,
        }
    }
}

/// Whose key a string is that was found where none should be.
///
/// Needs the right to `get` `auditlogs.llmplane.dev` in the namespace asked for, and a replica with a
/// keyring. Fingerprints are compared, in constant time. That it was asked is audited; the string is
/// not kept.
#[utoipa::path(
    post, path = "/api/v1/audit/whose-key", tag = "audit", operation_id = "whose_key",
    params(WhoseKeyParams),
    request_body(content = FoundString, example = json!({ "key": "the string" })),
    responses((status = 200, description = "The versions that it is", body = WhoseKey), PostProblems)
)]
pub async fn post(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryParams(params): QueryParams<WhoseKeyParams>,
    sent: RequestHeaders,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let scope = Scope::of(params.namespace.as_deref(), &caller)?;
    let disclosure = &state.disclosure;
    disclosure
        .require_auditor(&state.auth, &caller, &scope, AuditAction::WhoseKey)
        .await?;
    disclosure.turn(&caller, AuditAction::WhoseKey, 1)?;
    let keyring = disclosure.keyring()?;
    if let Some(check) = state.db.keyring_check().await? {
        keyring.expect(check);
    }
    let key = keyring.fingerprint_key().map_err(|error| {
        tracing::error!(%error, "fingerprints cannot be compared");
        Problem::new(
            ProblemType::KeyUnavailable,
            "this replica's keyring has another fingerprint.key than the one that fingerprints were made with; \
             its log says where",
        )
    })?;
    let body = request_body::json(&state.memory, &sent, body, request_body::MAX_QUESTION).await?;
    // What is wrong with it is not said in the parser's words: they repeat what was sent.
    let found: FoundString = serde_json::from_slice(&body)
        .map_err(|_| Problem::body("the body is an object with one field, key: the string"))?;
    if found.key.is_empty() {
        return Err(Problem::body("key: give the string; it is empty"));
    }
    if found.key.chars().nth(MAX_STRING).is_some() {
        return Err(Problem::body(format!(
            "key: no key has more than {MAX_STRING} characters"
        )));
    }
    let string = SecretString::from(found.key.as_str());
    drop((found, body));
    let strings =
        whose::strings_in(&string).map_err(|error| Problem::body(format!("key: {error}")))?;
    // Each is compared with every version.
    let further = u32::try_from(strings.len() / STRINGS_A_TURN).unwrap_or(u32::MAX);
    if further > 0 {
        disclosure.turn(&caller, AuditAction::WhoseKey, further)?;
    }
    let stored = state.db.stored_fingerprints(scope.namespace()).await?;
    let search = move || whose::versions_with(&key, &strings, stored);
    let versions = tokio::task::spawn_blocking(search)
        .await
        .map_err(|_| Problem::internal())?;
    let rows = whose::audited(caller.audit_actor(), scope.namespace(), &versions);
    state.db.audit_append(&rows).await.map_err(not_audited)?;
    let mut items = Vec::with_capacity(versions.len());
    for version in versions {
        items.push(with_disclosures(&state, version).await?);
    }
    let json = serde_json::to_vec(&WhoseKey { items }).map_err(|_| Problem::internal())?;
    let mut response = Response::new(Body::from(json));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn not_audited(error: crate::db::DbError) -> Problem {
    tracing::warn!(%error, "that someone asks whose key a string is cannot be audited");
    Problem::new(
        ProblemType::AuditUnavailable,
        "the audit takes no row now, and nothing is answered without one; try again",
    )
}

async fn with_disclosures(
    state: &ApiState,
    version: StoredFingerprints,
) -> Result<FoundVersion, Problem> {
    let (uid, number) = (version.credential_uid, Some(version.version));
    let told = state.db.latest_holders(uid, number, MAX_HOLDERS).await?;
    Ok(FoundVersion {
        credential_id: version.credential_uid,
        namespace: version.namespace,
        name: version.name,
        is_deleted: !version.is_live,
        version: version.version,
        state: version.state,
        since: version.since,
        fingerprint: version.fingerprint,
        disclosures: told.holders.into_iter().map(Disclosure::from).collect(),
        is_partial: told.is_partial,
    })
}
