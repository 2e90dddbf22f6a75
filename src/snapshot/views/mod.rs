//! The rows as the read API shows them: these fields, under these names, and no others.
//!
//! Here is what the rows of all kinds carry, and which kinds there are. Each kind has a file of its own: the row that
//! is shown, how it is made of the database's, and what is read off it.

mod class;
mod credential;
mod endpoint;
mod model;
mod provider;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use class::{ClassNeedView, CurrentModelView, ModelClassView, PreferView};
pub use credential::{CredentialVersionView, CredentialView, KeyInForce};
pub use endpoint::EndpointView;
pub use model::{CallPrices, CapabilityView, LimitView, ModelStatus, ModelView, PriceTierView};
pub use provider::ProviderView;

use crate::crd::Kind;
use crate::db::{DeclaredRow, ObjectRow};

/// A row of one of the five kinds.
pub trait View: Serialize + Send + Sync + 'static {
    /// Which kind.
    const KIND: Kind;
    /// What all rows carry.
    fn common(&self) -> &Common;
    /// The provider that it belongs to; none for a provider and for a class.
    fn provider_id(&self) -> Option<Uuid> {
        None
    }
}

macro_rules! view {
    ($view:ident, $kind:ident $(, $provider:ident)?) => {
        impl View for $view {
            const KIND: Kind = Kind::$kind;
            fn common(&self) -> &Common {
                &self.common
            }
            $(fn provider_id(&self) -> Option<Uuid> {
                Some(self.$provider)
            })?
        }
    };
}

view!(ProviderView, Provider);
view!(EndpointView, Endpoint, provider_id);
view!(CredentialView, Credential, provider_id);
view!(ModelView, Model, provider_id);
view!(ModelClassView, ModelClass);

/// What all rows carry.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Common {
    /// UID of the object.
    pub id: Uuid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is in force: its own switch and its provider's are on.
    pub is_active: bool,
    /// When the object was created.
    pub created_at: Timestamp,
    /// When this row last changed.
    pub updated_at: Timestamp,
    /// When it was found deleted; only on rows that `include_deleted` adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub deleted_at: Option<Timestamp>,
    /// The conditions of the object's status.
    pub conditions: Vec<ConditionView>,
    /// Whether its check is switched on. Not shown: its condition says so.
    #[serde(skip)]
    pub is_checked: bool,
}

impl Common {
    fn of<D: DeclaredRow>(row: &ObjectRow<D>, is_checked: bool) -> Self {
        Self {
            id: row.uid,
            namespace: row.namespace.clone(),
            name: row.name.clone(),
            is_active: row.is_active,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            conditions: row.conditions.iter().map(ConditionView::from).collect(),
            is_checked,
        }
    }
}

/// A condition, with Kubernetes' field names.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Condition)]
pub struct ConditionView {
    /// What it is about, for example `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence or two.
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Timestamp,
    /// The generation of the object that it speaks of.
    pub observed_generation: Option<i64>,
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        Self {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            last_transition_time: condition.last_transition_time.0,
            observed_generation: condition.observed_generation,
        }
    }
}
