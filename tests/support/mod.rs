//! What every integration test stands on.

pub mod api;
pub mod checks;
pub mod collector;
pub mod database;
pub mod etcd;
pub mod events;
pub mod fake_vendor;
pub mod gate;
pub mod history;
pub mod keys;
pub mod outcome;
pub mod plane;
pub mod postgres;
pub mod process;
pub mod rows;
pub mod sealed_fleet;
pub mod tools;
pub mod vendors;
pub mod world;
