//! Giving keys out: the one way by which a key leaves the process for a caller.
//!
//! Whoever asks has been authenticated, and has the right to use the very credential; the read API
//! has seen to that. What is decided here: whether the sealed key may go to the endpoint that it is
//! asked for, and whether the database, which knows more than any snapshot, still lets it go. A key
//! leaves only after the row that says so was committed, and the requests that come while a commit is
//! under way share the next one. Where nothing can be recorded, nothing leaves.

mod keyring;
mod metrics;
mod record;
mod refusals;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;
use uuid::Uuid;

use super::destinations::{HostNotAllowed, Vendor};
use crate::db::{AuditActor, Verdict};
use crate::encryption::SecretFields;

pub use keyring::LateKeyring;
pub use metrics::DisclosureMetrics;
pub use record::Ledger;
pub use refusals::{RefusalDraft, RefusalLog};
#[cfg(test)]
use service::WORKERS;
pub use service::{Discloser, Workers, ledger};

/// A key that a caller asks for.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// Who asks.
    pub actor: Arc<AuditActor>,
    /// Which key, and what for. Requests that share it are checked as one.
    pub key: Arc<WantedKey>,
    /// Why, in the caller's words; at most 256 characters, none of them a control character.
    pub purpose: Option<String>,
}

/// A credential whose key is asked for, and where it is to go.
#[derive(Clone, Debug)]
pub struct WantedKey {
    /// UID of the credential.
    pub credential: Uuid,
    /// Namespace of the credential that the caller has the right to use.
    pub namespace: String,
    /// Name of that credential.
    pub name: String,
    /// The vendor that the endpoint is of.
    pub vendor: Vendor,
    /// Where the caller is going to send the key.
    pub url: Url,
    /// What the key is for, as the audit keeps it: a JSON object.
    pub detail: serde_json::Value,
}

/// A key that was given out, and recorded.
#[derive(Debug)]
pub struct DisclosedKey {
    /// The key.
    pub fields: SecretFields,
    /// Its version.
    pub version: i32,
    /// Until when it may be used; none where nobody set an end.
    pub valid_until: Option<Timestamp>,
}

/// Why a key stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credential is deleted, or has no key in use.
    #[error("the credential is gone, or has no key in use")]
    Gone,
    /// The credential, or its provider, is switched off.
    #[error("the credential, or its provider, is switched off")]
    Disabled,
    /// Its time is up.
    #[error("the credential has expired")]
    Expired,
    /// Its key was replaced while it was being asked for, twice in a row.
    #[error("the key was replaced just now; ask again")]
    Superseded,
    /// The vendor does not take it, or its owner has withdrawn it.
    #[error("the credential is not valid; its condition Valid says why")]
    Invalid,
    /// Its quota of disclosures is used up.
    #[error("the credential's quota of disclosures is used up")]
    QuotaExhausted {
        /// When the next period begins.
        retry_after: Duration,
    },
    /// The database was restored, and the controller has not compared it with the cluster yet.
    #[error(
        "the database was restored, and the controller has not compared it with the cluster yet"
    )]
    NotSweptYet,
    /// Its owner does not let it go to this endpoint.
    #[error("{0}")]
    HostNotAllowed(HostNotAllowed),
    /// What is stored does not authenticate. The controller was told.
    #[error("the stored key does not authenticate; the controller seals it anew from its Secret")]
    Unreadable,
    /// The keyring cannot open it, for now.
    #[error("the keyring does not have what opens this key yet")]
    KeyringUnavailable,
    /// It cannot be recorded that the key was given out.
    #[error("the audit log takes no row now, and no key leaves without one")]
    AuditUnavailable,
    /// Too many wait for keys.
    #[error("too many requests wait for keys")]
    Overloaded,
}

impl Refusal {
    /// What the database refused; none where it lets the key go.
    fn of(verdict: Verdict, retry_after: Option<i32>) -> Option<Self> {
        Some(match verdict {
            Verdict::Disclosed => return None,
            Verdict::Gone => Self::Gone,
            Verdict::Disabled => Self::Disabled,
            Verdict::Expired => Self::Expired,
            Verdict::Superseded => Self::Superseded,
            Verdict::Invalid => Self::Invalid,
            Verdict::NotSweptYet => Self::NotSweptYet,
            Verdict::QuotaExhausted => {
                let seconds = retry_after.unwrap_or(1).max(1);
                Self::QuotaExhausted {
                    retry_after: Duration::from_secs(seconds.unsigned_abs().into()),
                }
            }
        })
    }

    /// Whether no other credential's key would leave either, for now.
    pub fn is_of_all(&self) -> bool {
        matches!(
            self,
            Self::NotSweptYet | Self::AuditUnavailable | Self::Overloaded
        )
    }

    /// The word that the audit and the metrics have for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Gone => Verdict::Gone.as_str(),
            Self::Disabled => Verdict::Disabled.as_str(),
            Self::Expired => Verdict::Expired.as_str(),
            Self::Superseded => Verdict::Superseded.as_str(),
            Self::Invalid => Verdict::Invalid.as_str(),
            Self::QuotaExhausted { .. } => Verdict::QuotaExhausted.as_str(),
            Self::NotSweptYet => Verdict::NotSweptYet.as_str(),
            Self::HostNotAllowed(_) => "HostNotAllowed",
            Self::Unreadable => "Unreadable",
            Self::KeyringUnavailable => "KeyringUnavailable",
            Self::AuditUnavailable => "AuditUnavailable",
            Self::Overloaded => "Overloaded",
        }
    }
}
