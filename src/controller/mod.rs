//! Desired state: watches the four kinds and the opted-in Secrets, brings each declaration into
//! force in PostgreSQL and says on each resource what was found.
//!
//! Each kind is a folder and each phase of its reconcile a file: dereference (reads), validate
//! (pure), store (one transaction), status. No reconcile calls a vendor; that is what `checks` does,
//! which this module wires. It must never know the read API.

pub mod command;
pub mod context;
mod credential;
mod dispatch;
mod endpoint;
pub mod error;
mod events;
mod guard;
mod identity;
pub mod index;
mod judge;
pub mod key;
mod leader;
mod metrics;
mod model;
mod model_sync;
mod order;
mod parent;
mod patience;
mod provider;
pub mod queue;
mod reach;
mod run;
pub mod settings;
mod start;
mod status;
pub mod storable;
mod sweep;
mod unavailable;
mod upkeep;
mod watch;

/// For the fuzz targets: what is read of a Secret.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::credential::{Consent, Read, consent, read};
}

pub use run::{Controller, run};
pub use settings::Settings;
pub use start::StartError;
