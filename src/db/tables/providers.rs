//! Providers.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::object::{DeclaredRow, ObjectColumns, ObjectRow, columns, readings};
use crate::crd::provider::ModelSync;
use crate::crd::{Kind, ProviderType};
use crate::db::{DbError, WriteTx};

columns! {
    /// What the reconciler derives for a provider.
    pub struct DeclaredProvider: ObjectColumns {
        /// The vendor or protocol.
        pub type_: ProviderType,
        /// Name shown to people.
        pub display_name: Option<String>,
        /// What it is for.
        pub description: Option<String>,
        /// Name of the endpoint that is tried first.
        pub default_endpoint: Option<String>,
        /// How the vendor's model list is read.
        pub model_sync: ModelSync,
    }
}

columns! {
    /// What checks found of a provider.
    #[derive(Default)]
    pub struct FoundProvider {
        /// When the vendor's list was last taken over and something changed.
        pub last_synced_at: Option<Timestamp>,
    }
}

impl DeclaredRow for DeclaredProvider {
    const KIND: Kind = Kind::Provider;
    const TABLE: &'static str = "providers";
    type Found = FoundProvider;
}

/// A provider as it is stored.
pub type ProviderRow = ObjectRow<DeclaredProvider>;

readings!(
    ProviderRow,
    provider_row,
    provider_rows_by_uid,
    provider_rows_all
);

impl WriteTx {
    /// Notes when the vendor's list was taken over and something changed: visible.
    pub async fn provider_synced(&mut self, uid: Uuid, at: Timestamp) -> Result<(), DbError> {
        let found = sqlx::query!(
            "UPDATE providers SET last_synced_at = $2, updated_at = now() WHERE uid = $1",
            uid,
            at.to_sqlx(),
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected();
        if found > 0 {
            self.changed(Kind::Provider, uid);
        }
        Ok(())
    }
}
