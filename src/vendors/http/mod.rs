//! The one way to the vendors: client, address guard, redaction.

pub mod address_guard;
pub mod client;
pub mod error;
pub mod message;
pub mod own_addresses;
pub mod redaction;
#[cfg(any(test, fuzzing))]
pub mod script;

pub use client::{HttpClient, HttpClients};
