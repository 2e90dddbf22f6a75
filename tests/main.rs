//! One binary for every integration test; one module a behaviour.

mod database;
mod support;
