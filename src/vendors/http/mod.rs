//! The one way to the vendors: client, address guard, redaction.

pub mod address_guard;
mod answer;
pub mod client;
mod connection;
pub mod error;
pub(in crate::vendors) mod key_echo;
mod memory;
pub mod message;
mod meter;
pub mod own_addresses;
pub mod redaction;
mod retry;
#[cfg(any(test, fuzzing))]
pub mod script;
mod tls;

pub use client::{HttpClient, HttpClients};
