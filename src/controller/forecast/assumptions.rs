//! What is taken to be so of what no check has seen yet.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::crd::Kind;

/// Something that only a check could find.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assumption {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    /// What is taken to be so.
    pub what: Assumed,
}

/// What is taken to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumed {
    /// An endpoint answers.
    Answers,
    /// An endpoint's vendor lists what is known of its provider's other endpoints, or what is declared.
    Lists,
    /// A key is there, valid, and may go to the provider's endpoints.
    KeyWorks,
    /// Model sync makes nothing of a provider's lists, which are not known.
    SyncsNothing,
}

impl Assumed {
    /// In words, behind the object's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Lists => "lists what its provider's other endpoints list, else what is declared",
            Self::KeyWorks => "has a key that is valid and may go to its provider's endpoints",
            Self::SyncsNothing => {
                "gains and loses no model by model sync: what all its endpoints list is not known"
            }
        }
    }
}

/// The UID of an object that has none yet: the same each time.
pub fn assumed_uid(kind: Kind, namespace: &str, name: &str) -> Uuid {
    let text = format!("{}\0{namespace}\0{name}", kind.kubernetes());
    let hash = Sha256::digest(text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}
