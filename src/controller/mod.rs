//! Desired state: watches the five kinds and the opted-in Secrets, brings each declaration into
//! force in PostgreSQL and says on each resource what was found.
//!
//! Each kind is a folder and each phase of its reconcile a file: dereference (reads), validate
//! (pure), store (one transaction), status. No reconcile calls a vendor; that is what `checks` does,
//! which this module wires. It must never know the read API; what a class means it asks the same pure code
//! that answers `POST /resolve`.

pub mod error;
pub mod forecast;
mod kinds;
mod maintenance;
mod model_sync;
mod runtime;
pub mod settings;
mod status;

/// For the fuzz targets: what is read of a Secret.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::controller::kinds::credential::{Consent, SecretContents, consent, read};
}

pub use runtime::run::{Controller, run};
pub use runtime::start::StartError;
pub use settings::Settings;
