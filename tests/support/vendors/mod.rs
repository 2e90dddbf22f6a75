//! Vendors to test against: one server, with a personality for each vendor's protocol.
//!
//! A personality knows a vendor's auth, paging, errors and headers, and answers from the files in
//! `fixtures/`, each of which says where its shape is from. Nothing here uses the drivers' code, so
//! that a misreading there is not repeated here. Faults are the server's, and the same for all.

pub mod attacker;
pub mod certificates;
pub mod fault;
pub mod fixture;
mod io;
pub mod jwt;
mod personalities;
mod personality;
pub mod request;
pub mod server;
mod sigv4;
pub mod token_service;

pub use fault::Fault;
pub use fixture::Fixture;
pub use request::Recorded;
pub use server::Fake;
