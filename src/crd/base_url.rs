//! The URL of an endpoint.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};
use url::Url;

/// The URL of an endpoint: as it is written, and what that means. It is read once.
#[derive(Clone, Default)]
pub struct BaseUrl {
    written: String,
    /// None where it is no URL: the apiserver takes none such, but whoever writes to the database is not
    /// asked.
    url: Option<Url>,
}

impl BaseUrl {
    /// What is written is kept as it is, also where it is no URL.
    pub fn new(written: impl Into<String>) -> Self {
        let written = written.into();
        let url = Url::parse(&written).ok();
        Self { written, url }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What it means; none where it is no URL.
    pub fn url(&self) -> Option<&Url> {
        self.url.as_ref()
    }
}

impl Deref for BaseUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.written
    }
}

impl PartialEq for BaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for BaseUrl {}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}
