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
    /// A hash of what the check was made with: it says nothing of anything else. Empty: of an
    /// earlier release, or nobody was asked.
    #[serde(default)]
    pub inputs: String,
    /// What proofs name the key by that it was made with, where the check chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The last such check that passed, where this one did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_passed: Option<LastPassed>,
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
    /// What proofs name the key by that a model's answer proves: without it the model does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proves_key: Option<String>,
    /// A hash of what calls to the endpoint are made with where the key was proved so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_with: Option<String>,
    /// Whether the vendor took this key here before, and was not heard to reject it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_accepted: bool,
    /// Whether there was nothing at the path that was called, for now at least.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// When a check last passed, and what with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPassed {
    /// When.
    pub at: Timestamp,
    /// See [`StoredCheck::inputs`].
    pub inputs: String,
    /// See [`StoredCheck::key`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl StoredCheck {
    /// Whether it was concluded with these inputs.
    pub fn is_of(&self, inputs: &str) -> bool {
        !inputs.is_empty() && self.inputs == inputs
    }
}

/// Stores a verdict in a column, unless the one there says the same: then `since` and what came with the
/// answer stay as they are. Answers whether it was stored.
macro_rules! set_verdict {
    ($tx:ident, $table:literal, $column:literal, $uid:ident, $verdict:ident) => {{
        let changed = sqlx::query!(
            "UPDATE "
                + $table
                + " SET "
                + $column
                + " = $2 WHERE uid = $1 AND ("
                + $column
                + " -> 'reason', "
                + $column
                + " -> 'message', "
                + $column
                + " -> 'generation', "
                + $column
                + " -> 'inputs', "
                + $column
                + " -> 'key', "
                + $column
                + " -> 'proves_key', "
                + $column
                + " -> 'proved_with')
                   IS DISTINCT FROM
                     ($2::jsonb -> 'reason', $2 -> 'message', $2 -> 'generation', $2 -> 'inputs',
                      $2 -> 'key', $2 -> 'proves_key', $2 -> 'proved_with')",
            $uid,
            sqlx::types::Json($verdict) as _,
        )
        .execute(&mut *$tx.tx)
        .await?
        .rows_affected()
            > 0;
        if changed {
            $tx.wrote();
        }
        Ok(changed)
    }};
}
pub(super) use set_verdict;
