//! The configuration in memory, the feed that fills it, and resolve.
