//! Providers as they are shown.

use serde::Serialize;
use utoipa::ToSchema;

use super::Common;
use crate::crd::ProviderType;
use crate::db::ProviderRow;
use crate::snapshot::schema;

/// A vendor account, or a server, that offers models.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct ProviderView {
    #[serde(flatten)]
    pub common: Common,
    /// The vendor or protocol.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::provider_type)]
    pub type_: ProviderType,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

impl From<&ProviderRow> for ProviderView {
    fn from(row: &ProviderRow) -> Self {
        Self {
            common: Common::of(row, row.model_sync.enabled),
            type_: row.type_,
            display_name: row.display_name.clone(),
            description: row.description.clone(),
        }
    }
}
