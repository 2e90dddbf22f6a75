//! Rows that nobody asks about any more, and partitions ahead of time.

pub(super) mod partitions;
pub(super) mod purge;
pub(super) mod repair;
