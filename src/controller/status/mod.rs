//! What a resource's status and Events say: conditions are evaluated, held back while a first
//! verdict is under way, and written.

pub(super) mod debounce;
pub(super) mod evaluate;
pub(super) mod events;
pub(super) mod repair;
pub(super) mod unavailable;
pub(super) mod write;
