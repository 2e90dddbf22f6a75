//! One folder a kind, one file a phase: dereference (reads), validate (pure), store (one
//! transaction), status. What several kinds share stands beside the folders.

pub(super) mod credential;
pub(super) mod deadline;
pub(super) mod endpoint;
pub(super) mod identity;
pub(super) mod model;
pub(super) mod model_class;
pub(super) mod parent;
pub(super) mod precedence;
#[cfg(test)]
mod proof_table;
pub(super) mod provider;
pub(super) mod row;
pub(super) mod storable;
