//! What a check concluded, as it is kept beside the object.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crd::reasons::Reason;

/// The conclusion of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCheck {
    /// What was concluded.
    pub reason: Reason,
    /// In our words; never the vendor's own text.
    pub message: String,
    /// Since when the reason is this one.
    pub since: Timestamp,
    /// Generation of the object that was checked.
    pub generation: i64,
    /// The URL that was asked, where the verdict is on a key, a model or a model list: it says
    /// nothing of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// HTTP status of the vendor's answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The vendor's own error code, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The vendor's id of the request, for its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Answers in a row since the reason is this one that put it in doubt without disproving it, at
    /// most three: only of keys.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub doubts: u8,
    /// Whether the vendor took this key here before, and was not heard to reject it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_accepted: bool,
}

fn is_zero(count: &u8) -> bool {
    *count == 0
}

impl StoredCheck {
    /// Whether it was concluded at this URL.
    pub fn is_of(&self, url: &str) -> bool {
        self.url.as_deref() == Some(url)
    }
}
