//! What the read routes share: query parameters, lists and cursors, answers with their headers.

pub mod answer;
pub(super) mod cursor;
pub(super) mod deleted;
pub mod list_cache;
pub(super) mod list_query;
pub(super) mod query_params;
pub(super) mod request_body;
pub mod revision_cache;
pub(super) mod revisions;
pub(super) mod row;
