//! What every integration test stands on.

pub mod api;
pub mod checks;
pub mod database;
pub mod fake_vendor;
pub mod keys;
pub mod plane;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod vendors;
pub mod world;
