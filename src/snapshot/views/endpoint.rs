//! Endpoints as they are shown.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Common;
use crate::crd::base_url::BaseUrl;
use crate::crd::endpoint::Header;
use crate::db::EndpointRow;
use crate::snapshot::state::Health;

/// A base URL of a provider, and how to call it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub struct EndpointView {
    #[serde(flatten)]
    pub common: Common,
    /// Its provider.
    pub provider_id: Uuid,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// The URL in force.
    #[schema(value_type = String)]
    pub base_url: BaseUrl,
    /// The API version that the vendor wants in calls.
    pub api_version: Option<String>,
    /// The vendor's name of the region.
    pub region: Option<String>,
    /// Seconds that a client should wait for a connection.
    pub timeout_connect: i32,
    /// Seconds that a client should wait for an answer.
    pub timeout_read: i32,
    /// Further attempts that a client should make.
    pub retry_count: i32,
    /// Milliseconds between two attempts.
    pub retry_interval_ms: i32,
    /// Whether it is the one of its provider that is tried first.
    pub is_default: bool,
    /// Failover order: lower is tried first.
    pub priority: i32,
    /// Whether it answers.
    pub health: Health,
    /// Headers that every call needs. Not shown: they are in a client's configuration.
    #[serde(skip)]
    pub headers: Vec<Header>,
    /// A hash of what calls to it are made with. Not shown.
    #[serde(skip)]
    pub check_inputs: String,
}

impl From<&EndpointRow> for EndpointView {
    fn from(row: &EndpointRow) -> Self {
        Self {
            common: Common::of(row, row.health_check.enabled),
            provider_id: row.provider_uid,
            display_name: row.display_name.clone(),
            base_url: row.base_url.clone(),
            api_version: row.api_version.clone(),
            region: row.region.clone(),
            timeout_connect: row.timeout_connect,
            timeout_read: row.timeout_read,
            retry_count: row.retry_count,
            retry_interval_ms: row.retry_interval_ms,
            is_default: row.is_default,
            priority: row.priority,
            health: Health::of(&row.conditions),
            headers: row.headers.clone(),
            check_inputs: row.check_inputs.clone(),
        }
    }
}
