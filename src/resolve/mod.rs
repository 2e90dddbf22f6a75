//! From a model's name, or from a need, to a model and the endpoints and credentials to call it with.
//!
//! Pure: what is answered depends on the snapshot, on the request, on what the caller may see and on
//! the time, and on nothing else. `POST /resolve` calls [`resolve`]; nothing here asks PostgreSQL, the
//! kube-apiserver or a vendor, and nothing here knows a key.

mod candidates;
mod choose;
mod client;
mod considered;
mod filter;
mod named;
mod preference;
mod reasons;
mod request;
mod targets;

pub use candidates::{Access, Tier};
pub use choose::resolve;
pub use client::client_config;
pub use considered::{Considered, MAX_CONSIDERED, PassedOver};
pub use reasons::{CredentialReason, Reason};
pub use request::{Need, Prefer, Request, TypicalCall, Wanted};
pub use targets::Target;

use std::sync::Arc;

use jiff::Timestamp;

use crate::snapshot::{Entry, ModelView, Revision};

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The model.
    pub model: Arc<Entry<ModelView>>,
    /// The endpoints to call it at, in the order in which they are to be tried; one at least.
    pub targets: Vec<Target>,
    /// The models that were passed over.
    pub considered: Considered,
    /// The revision that it is of.
    pub revision: Revision,
    /// When time alone may change it: the first end of a credential that is in it.
    pub changes_at: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// No model is named so, or none that is can be called.
    NotNamed,
    /// No model meets the need.
    NotMet,
    /// More than one is named so, and nothing says which is meant.
    Ambiguous,
}

/// A request without an answer.
#[derive(Clone, Debug)]
pub struct Unresolved {
    /// Why.
    pub why: NoAnswer,
    /// The models that were passed over; where the name is ambiguous, those that it may mean.
    pub considered: Considered,
    /// Names that come near the one asked for, where no model has it.
    pub near: Vec<String>,
    /// The revision that it is of.
    pub revision: Revision,
    /// When time alone may change it.
    pub changes_at: Option<Timestamp>,
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod fixtures_tests;
#[cfg(test)]
mod named_tests;
#[cfg(test)]
mod need_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod targets_tests;
