//! The audit as evidence: how its rows are chained, whether a chain is whole, and what it looks like
//! outside.
//!
//! The database appends the rows (`llmplane_fn.append_audit`, `record_disclosures`) and hashes them.
//! What is decided here is decided again from the columns, by nothing that the database could change:
//! who can alter its rows can alter its functions too.

mod chain;
mod export;
mod verify;

pub use chain::{Anchor, NotAnAnchor, anchor, row_hash};
pub use export::export_line;
pub use verify::{ChainReport, Finding, Verifier};
