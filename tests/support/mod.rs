//! What every integration test stands on.
