//! Reading what vendors answer: an answer's body, an error's, and what a refusal means.

pub(super) mod document;
pub(super) mod error_body;
pub(super) mod health;
pub(super) mod model_list;
pub(super) mod moment;
pub(super) mod refusal;
pub mod result;
mod words;
