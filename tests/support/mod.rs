//! What every integration test stands on.

pub mod api;
pub mod checks;
pub mod database;
pub mod fake_vendor;
pub mod plane;
pub mod postgres;
pub mod rows;
pub mod vendors;
pub mod world;
