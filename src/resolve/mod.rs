//! From a model's name, a class's, or from a need, to a model and the endpoints and credentials to call it with.
//!
//! Pure: what is answered depends on the snapshot, on the request, on what the caller may see and on
//! the time, and on nothing else. `POST /resolve` calls [`resolve`]; nothing here asks PostgreSQL, the
//! kube-apiserver or a vendor, and nothing here knows a key.

mod candidates;
mod choose;
mod class;
mod client;
mod considered;
mod currency;
mod exchange;
mod filter;
mod named;
mod passed_over;
mod preference;
mod price;
mod question;
mod request;
mod targets;

pub use candidates::{Access, Tier};
pub use choose::resolve;
pub use class::{Class, resolve_class};
pub use client::client_config;
pub use considered::{Considered, MAX_CONSIDERED, PassedOver};
pub use currency::{CurrencyUnclear, settle_currency};
pub use exchange::{ExchangeOffer, exchange_offer};
pub use passed_over::{CredentialReason, Reason};
pub use price::Prices;
pub use request::{Need, Prefer, Request, TypicalCall, Wanted};
pub use targets::{Target, is_in, withheld};

use std::sync::Arc;

use jiff::Timestamp;

use crate::snapshot::{Entry, ModelClassView, ModelView, Revision};

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The model.
    pub model: Arc<Entry<ModelView>>,
    /// The class by which it was found.
    pub class: Option<Arc<Entry<ModelClassView>>>,
    /// The endpoints to call it at, in the order in which they are to be tried; one at least. Of a
    /// class those of its other models follow.
    pub targets: Vec<Target>,
    /// How many models are what was asked for, whether they can be called or not.
    pub candidates: usize,
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
    /// No class is named so.
    ClassNotNamed,
    /// The class is switched off.
    ClassOff,
    /// Classes of several namespaces are named so.
    ClassAmbiguous,
}

/// A request without an answer.
#[derive(Clone, Debug)]
pub struct Unresolved {
    /// Why.
    pub why: NoAnswer,
    /// The models that were passed over; where the name is ambiguous, those that it may mean.
    pub considered: Considered,
    /// The class by which it was looked for.
    pub class: Option<Arc<Entry<ModelClassView>>>,
    /// How many models are what was asked for: none of them can be called.
    pub candidates: usize,
    /// Names that come near the one asked for, where nothing has it; where it is that of several
    /// classes, their namespaces.
    pub near: Vec<String>,
    /// The revision that it is of.
    pub revision: Revision,
    /// When time alone may change it.
    pub changes_at: Option<Timestamp>,
}

impl Unresolved {
    /// No answer, of which nothing else is known.
    fn new(finder: &targets::TargetFinder<'_>, why: NoAnswer) -> Self {
        Self {
            why,
            considered: Considered::default(),
            class: None,
            candidates: 0,
            near: Vec::new(),
            revision: finder.snapshot.revision,
            changes_at: finder.changes_at(),
        }
    }
}

#[cfg(test)]
mod class_tests;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
pub(crate) mod fixtures_tests;
#[cfg(test)]
mod named_tests;
#[cfg(test)]
mod need_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod targets_tests;
