//! What every integration test stands on.

pub mod database;
pub mod rows;
pub mod plane;
