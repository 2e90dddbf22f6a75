//! Endpoints.

use uuid::Uuid;

use super::object::{DeclaredRow, ObjectColumns, ObjectRow, columns, readings};
use super::verdict::set_verdict;
use crate::crd::Kind;
use crate::crd::base_url::BaseUrl;
use crate::crd::endpoint::{Header, HealthCheck};
use crate::crd::reasons::Reason;
use crate::db::{DbError, LastPassed, StoredCheck, WriteTx};

columns! {
    /// What the reconciler derives for an endpoint.
    #[derive(Default)]
    pub struct DeclaredEndpoint: ObjectColumns {
        /// Its provider.
        pub provider_uid: Uuid,
        /// Name shown to people.
        pub display_name: Option<String>,
        /// The URL in force.
        pub base_url: BaseUrl,
        /// API version that the vendor wants in its calls.
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
        /// Headers that every call needs; not secret.
        pub headers: Vec<Header>,
        /// Failover order: lower is tried first.
        pub priority: i32,
        /// Whether it is the one of its provider that is tried first.
        pub is_default: bool,
        /// PEM certificates that sign its own.
        pub ca_bundle: Option<String>,
        /// A hash of what calls to it are made with: a check that was made with others says nothing.
        pub check_inputs: String,
        /// How it is probed.
        pub health_check: HealthCheck,
    }
}

columns! {
    /// What checks found of an endpoint.
    #[derive(Default)]
    pub struct FoundEndpoint {
        /// What its probes concluded.
        pub verdict: Option<StoredCheck>,
        /// What the last reading of its model list concluded.
        pub list_verdict: Option<StoredCheck>,
    }
}

impl DeclaredRow for DeclaredEndpoint {
    const KIND: Kind = Kind::Endpoint;
    const TABLE: &'static str = "endpoints";
    type Found = FoundEndpoint;
}

/// An endpoint as it is stored.
pub type EndpointRow = ObjectRow<DeclaredEndpoint>;

readings!(
    EndpointRow,
    endpoint_row,
    endpoint_rows_by_uid,
    endpoint_rows_all,
    endpoint_rows_of_providers
);

impl EndpointRow {
    /// What the last reading of its model list concluded, if that was made with what it has now.
    pub fn list_verdict_here(&self) -> Option<&StoredCheck> {
        let verdict = self.found.list_verdict.as_ref();
        verdict.filter(|verdict| verdict.is_of(&self.check_inputs))
    }

    /// The reading of the model list that was read whole last, if that was made with what it has now.
    pub fn list_read_here(&self) -> Option<LastPassed> {
        let verdict = self.found.list_verdict.as_ref()?;
        let read = match verdict.reason {
            Reason::SyncSucceeded => LastPassed {
                at: verdict.since,
                inputs: verdict.inputs.clone(),
                key: verdict.key.clone(),
            },
            _ => verdict.last_passed.clone()?,
        };
        let here = !self.check_inputs.is_empty() && read.inputs == self.check_inputs;
        here.then_some(read)
    }
}

impl WriteTx {
    /// Notes what the probes concluded, unless the stored verdict says the same. It takes no revision.
    pub async fn endpoint_verdict_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        set_verdict!(self, "endpoints", "verdict", uid, verdict)
    }

    /// Notes what reading the model list concluded, unless the stored verdict says the same. It takes
    /// no revision.
    pub async fn endpoint_list_verdict_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        set_verdict!(self, "endpoints", "list_verdict", uid, verdict)
    }
}
