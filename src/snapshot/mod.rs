//! The configuration in memory.
//!
//! A [`Snapshot`] is immutable: a reader takes one and sees one revision. The [`feed`] makes the
//! next one from the rows that changed and puts it into the [`Store`]; persistent maps make that
//! cost by what changed, not by what there is. Everything but the feed is pure. Nothing here asks
//! PostgreSQL while a request waits, and nothing here knows a key.

mod change_log;
mod configuration;
pub mod feed;
mod schema;
mod state;
mod store;
mod table;
mod views;

pub use crate::crd::decimal::Decimal;
pub use crate::db::Revision;
pub use change_log::{ChangeBatch, ChangeCursor, NextChange, RowChange};
pub use configuration::{Snapshot, Views};
pub use state::{Availability, AvailabilityState, Health, HealthState, Validity, ValidityState};
pub use store::Store;
pub use table::{Entry, Table, etag, name_key, split_name_key};
pub use views::{
    CallPrices, CapabilityView, ClassNeedView, Common, ConditionView, CredentialVersionView,
    CredentialView, CurrentModelView, EndpointView, KeyInForce, LimitView, ModelClassView,
    ModelStatus, ModelView, PreferView, PriceTierView, ProviderView, View,
};
