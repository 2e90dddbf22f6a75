//! Credentials.

use jiff::Timestamp;
use uuid::Uuid;

use super::object::{DeclaredRow, ObjectColumns, ObjectRow, columns, readings};
use super::verdict::set_verdict;
use crate::crd::Kind;
use crate::crd::credential::{QuotaPeriod, QuotaUnit, Validation};
use crate::crd::federation::{ExchangeStatus, Federation};
use crate::db::{DbError, StoredCheck, WriteTx};

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
        /// Name of the Secret that holds the key; empty where a token is exchanged in place of one.
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
        /// By what agreement the vendor exchanges tokens, where there is no key.
        pub federation: Option<Federation>,
        /// The highest number that a version of its key ever had.
        pub newest_version: i32,
    }
}

columns! {
    /// What exchanges of a credential came to.
    #[derive(Default)]
    pub struct FoundCredential {
        /// What the last exchange concluded.
        pub exchange_verdict: Option<StoredCheck>,
        /// What the last one that worked was made with.
        pub last_exchange: Option<ExchangeStatus>,
    }
}

impl DeclaredRow for DeclaredCredential {
    const KIND: Kind = Kind::Credential;
    const TABLE: &'static str = "credentials";
    type Found = FoundCredential;
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

impl WriteTx {
    /// Switches off credentials whose rows are not known to say what the cluster says, until their
    /// reconciles store them: no key of theirs leaves meanwhile. Answers how many were on.
    pub async fn credentials_switch_off(&mut self, credentials: &[Uuid]) -> Result<usize, DbError> {
        let off = sqlx::query_scalar!(
            "UPDATE credentials SET is_active = false, updated_at = now()
             WHERE uid = ANY ($1) AND is_active RETURNING uid",
            credentials,
        )
        .fetch_all(&mut *self.tx)
        .await?;
        for uid in &off {
            self.changed(Kind::Credential, *uid);
        }
        Ok(off.len())
    }

    /// Notes what an exchange concluded, unless the stored conclusion says the same. It takes no revision.
    pub async fn credential_exchange_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        set_verdict!(self, "credentials", "exchange_verdict", uid, verdict)
    }

    /// Whether a credential is still there, in force and declared with this federation of this provider; it
    /// stays so until the transaction ends.
    pub async fn credential_is_still_federated(
        &mut self,
        uid: Uuid,
        provider_uid: Uuid,
        federation: &Federation,
    ) -> Result<bool, DbError> {
        let found = sqlx::query_scalar!(
            r#"SELECT coalesce(deleted_at IS NULL AND is_active AND provider_uid = $2 AND federation = $3, false)
                   AS "is_federated!"
               FROM credentials WHERE uid = $1 FOR UPDATE"#,
            uid,
            provider_uid,
            sqlx::types::Json(federation) as _,
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(found.unwrap_or(false))
    }

    /// Notes what an exchange that worked was made with. It takes no revision.
    pub async fn credential_exchanged(
        &mut self,
        uid: Uuid,
        with: &ExchangeStatus,
    ) -> Result<(), DbError> {
        let changed = sqlx::query!(
            "UPDATE credentials SET last_exchange = $2
             WHERE uid = $1 AND last_exchange IS DISTINCT FROM $2",
            uid,
            sqlx::types::Json(with) as _,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        if changed {
            self.wrote();
        }
        Ok(())
    }
}
