//! Vendor drivers: one file a vendor, one HTTP layer under all of them.
//!
//! The checks call a driver to probe an endpoint, validate a key, list or test models; the
//! controller and the read API ask it for defaults and for a client's configuration. A driver
//! knows one vendor's protocol and turns every answer into a [`Reason`]; it never stores anything,
//! and never repeats a vendor's text, for that may hold the key, as OpenAI's 401 does (facts, 3.4).
//! Numbers after "facts" are sections of `docs/vendor-facts.md`.

pub mod answers;
mod base_url;
pub mod catalog;
mod driver;
mod drivers;
pub mod federation;
pub mod http;
mod isolated;
#[cfg(test)]
mod property_tests;

pub use answers::result::{CheckResult, Retry};
pub use driver::{
    Call, ClientConfig, ClientInput, Driver, KeyField, KeyFields, Listed, ListedModel, ModelList,
    TestedBy, TestedModel, VendorPhase, WrongFields, find, is_pattern, like_id,
};
pub use drivers::{driver, vendor};
pub use http::{HttpClient, HttpClients};
