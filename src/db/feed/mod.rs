//! The change feed: what each revision changed, where it stands, and who listens to it.

pub mod changes;
pub mod listener;
pub mod state;
