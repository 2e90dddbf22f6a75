//! Work that no single object asks for: rows whose objects are gone, the re-wrap after a rotation, what changes by itself with
//! time, and whether PostgreSQL and the kube-apiserver answer.

pub(super) mod audit;
pub(super) mod dependency_health;
pub(super) mod repair;
pub(super) mod rewrap;
pub(super) mod sweep;
pub(super) mod upkeep;
