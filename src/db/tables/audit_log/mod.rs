//! Who used which key, and who changed what. Rows are added by the database's own functions, each
//! chained to the one before it; no account but the owner can change or remove one.
//!
//! Here is who did what with what; `write` is what is appended, anchored and removed, `rows` what is asked for,
//! `holders` who has which key, and `read` the chain's head and its anchors.

mod holders;
mod read;
mod rows;
mod write;

use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

pub use holders::{CredentialHolder, CredentialHolders};
pub use read::{AuditAnchor, AuditHead};
pub use rows::{AuditFilter, AuditReader, AuditRow, AuditRows};
pub use write::AuditEntry;

use crate::crd::words::words;

/// Who did something, as the kube-apiserver's TokenReview names him.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditActor {
    /// The user name, for example `system:serviceaccount:team-a:agent`.
    pub actor: String,
    /// The user's UID.
    pub actor_uid: Option<String>,
    /// The user's groups.
    pub actor_groups: Vec<String>,
    /// The pod that the token is bound to.
    pub pod: Option<String>,
    /// UID of that pod.
    pub pod_uid: Option<String>,
    /// The node that the pod runs on.
    pub node: Option<String>,
    /// The token's id (`authentication.kubernetes.io/credential-id`).
    pub token_id: Option<String>,
}

impl AuditActor {
    /// What the controller does by itself.
    pub fn controller() -> Self {
        Self {
            actor: "llmplane-controller".to_owned(),
            ..Self::default()
        }
    }
}

/// What a row of the audit is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditObject {
    /// Namespace of the object.
    pub namespace: Option<String>,
    /// Kind of the object, for example `LlmCredential`.
    pub kind: Option<String>,
    /// Name of the object.
    pub name: Option<String>,
    /// UID of the object.
    pub object_uid: Option<Uuid>,
    /// Version of the key.
    pub credential_version: Option<i32>,
    /// Fingerprint of the key.
    pub fingerprint: Option<String>,
}

/// What can be done that the audit tells.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum AuditAction {
    /// A key was asked for.
    Disclose,
    /// Keys were used by checks; one row for many.
    Check,
    /// A new version of a key took over.
    Rotate,
    /// Key material was destroyed.
    Revoke,
    /// Key versions were wrapped under another key-encryption key.
    Rewrap,
    /// Another key-encryption key became the active one.
    KeyringActivate,
    /// Someone asked whose key a string is.
    WhoseKey,
    /// The audit was read or exported.
    Read,
    /// Rows older than the retention were removed.
    Prune,
    /// An object was created through the API.
    Create,
    /// An object was changed through the API.
    Update,
    /// An object was deleted through the API.
    Delete,
    /// Objects were imported through the API.
    Import,
}

words!(AuditAction);
