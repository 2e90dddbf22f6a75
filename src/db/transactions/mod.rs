//! Write transactions: the fence that each ends with, what shares one, and how long each may take.

pub(super) mod deadline;
pub(super) mod group;
pub(super) mod write;
