//! Credentials.

use jiff::Timestamp;
use uuid::Uuid;

use super::object::{DeclaredRow, ObjectColumns, ObjectRow, columns, readings};
use crate::crd::Kind;
use crate::crd::credential::{QuotaPeriod, QuotaUnit, Validation};

columns! {
    /// What the reconciler derives for a credential.
    #[derive(Default)]
    pub struct DeclaredCredential: ObjectColumns {
        /// Its provider.
        pub provider_uid: Uuid,
        /// The endpoints it is for; empty: all of its provider's.
        pub endpoint_uids: Vec<Uuid>,
        /// Name shown to people.
        pub alias: Option<String>,
        /// What it is for.
        pub description: Option<String>,
        /// When it ends.
        pub expires_at: Option<Timestamp>,
        /// How much may be used in a period.
        pub quota_limit: Option<i64>,
        /// Of what.
        pub quota_unit: Option<QuotaUnit>,
        /// In which period.
        pub quota_period: Option<QuotaPeriod>,
        /// Order among the provider's credentials: lower is tried first.
        pub priority: i32,
        /// Seconds that a replaced key stays usable.
        pub grace_seconds: i32,
        /// How its key is checked.
        pub validation: Validation,
        /// Name of the Secret that holds the key.
        pub secret_name: String,
        /// UID of the Secret that was read.
        pub secret_uid: Option<String>,
        /// Version of the Secret that was read.
        pub secret_resource_version: Option<String>,
        /// The key in force, masked.
        pub masked_key: Option<String>,
        /// Fingerprint of the key in force.
        pub fingerprint: Option<String>,
        /// Version of the key in force.
        pub version: Option<i32>,
    }
}

impl DeclaredRow for DeclaredCredential {
    const KIND: Kind = Kind::Credential;
    const TABLE: &'static str = "credentials";
    type Found = ();
}

/// A credential as it is stored.
pub type CredentialRow = ObjectRow<DeclaredCredential>;

readings!(
    CredentialRow,
    credential_row,
    credential_rows_by_uid,
    credential_rows_all,
    credential_rows_of_providers
);
