//! A key's life: how it is sealed, opened and re-wrapped, where it may go, which of several is used, what
//! becomes of its versions.
//!
//! The controller seals, the checks and the read API open; none of them decides by itself where a
//! key may go. This room knows the schema, the ciphertexts and the tables, and calls nobody else.

pub mod destinations;
pub mod disclose;
pub mod key_text;
pub mod open;
pub mod rewrap;
pub mod seal;
pub mod select;
pub mod versions;
pub mod whose;

pub use destinations::{BoundKey, Destinations, HostNotAllowed, Vendor, key_allowed};
