//! What the database promises its callers.

mod audit;
mod checks;
mod deleted;
mod feed;
mod fence;
mod keys;
mod plans;
mod roles;
mod rows;
mod schema;
mod server;
