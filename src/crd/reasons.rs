//! Every reason a condition can carry, and what each means for its condition and for `Ready`.
//!
//! Alerts rely on these names: one is never renamed, and never given another meaning.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Status of a condition, as Kubernetes writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    /// The word that stands in `status.conditions[].status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a reason does to `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyEffect {
    /// In force, and nothing is left for the user to fix.
    True,
    /// The user must fix something.
    False,
    /// Until this generation has been verified once: the given status; afterwards True, for an
    /// outage elsewhere is not the declaration's fault.
    UntilVerified(ConditionStatus),
    /// Nothing is known that would change it.
    AsItWas,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $status:ident, $ready:expr;)+) => {
        /// Why a condition has the status it has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The word that stands in `status.conditions[].reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)+ }
            }

            /// Status of the condition that carries this reason.
            pub fn status(self) -> ConditionStatus {
                match self { $(Reason::$name => ConditionStatus::$status,)+ }
            }

            /// What it does to `Ready`.
            pub fn ready(self) -> ReadyEffect {
                match self { $(Reason::$name => $ready,)+ }
            }

            /// Whether a check that ends with it leaves its question open: a later one may answer
            /// it, is made soon, and an earlier verdict stands meanwhile.
            pub fn is_open(self) -> bool {
                self.status() == ConditionStatus::Unknown && self != Reason::Unverifiable
            }

            /// Whether it tells of PostgreSQL or the keyring, and says nothing of the object itself.
            pub fn is_of_what_we_depend_on(self) -> bool {
                self.ready() == ReadyEffect::AsItWas
            }

            /// The reason of this name, if there is one.
            pub fn parse(name: &str) -> Option<Reason> {
                match name { $(stringify!($name) => Some(Reason::$name),)+ _ => None }
            }
        }
    };
}

/// Reason of the Event that tells of a stored key that did not authenticate. No condition carries it:
/// when it is told, the key was sealed anew or destroyed already.
pub const STORED_KEY_TAMPERED: &str = "StoredKeyTampered";

/// Reason of the Event that tells which model a class means now, where it meant another before.
pub const CURRENT_MODEL_CHANGED: &str = "CurrentModelChanged";

/// Reason of the Event that tells what became of a stored key whose key-encryption key was declared lost.
pub const KEY_ENCRYPTION_KEY_LOST: &str = "KeyEncryptionKeyLost";

const UNKNOWN: ReadyEffect = ReadyEffect::UntilVerified(ConditionStatus::Unknown);
const FAILED: ReadyEffect = ReadyEffect::UntilVerified(ConditionStatus::False);

reasons! {
    /// This generation is stored and nothing is wrong with it.
    Reconciled => True, ReadyEffect::True;
    /// Switched off by its own `enabled`.
    Disabled => True, ReadyEffect::True;
    /// Switched off by its provider's `enabled`.
    ProviderDisabled => True, ReadyEffect::True;
    /// `lifecycle: Maintenance`.
    UnderMaintenance => True, ReadyEffect::True;
    /// `lifecycle: Deprecated`.
    Deprecated => True, ReadyEffect::True;
    /// The endpoint answered.
    ProbeSucceeded => True, ReadyEffect::True;
    /// The vendor took the key.
    KeyAccepted => True, ReadyEffect::True;
    /// The key is genuine, and lacks a scope that a check needs.
    KeyRestricted => True, ReadyEffect::True;
    /// The credential expires within seven days.
    ExpiresSoon => True, ReadyEffect::True;
    /// The model retires within 30 days.
    RetiresSoon => True, ReadyEffect::True;
    /// The vendor's list holds the model.
    ModelListed => True, ReadyEffect::True;
    /// The class means a model that can be called.
    CandidateFound => True, ReadyEffect::True;
    /// The model answered a test.
    ModelAnswered => True, ReadyEffect::True;
    /// The vendor's model list was read whole.
    SyncSucceeded => True, ReadyEffect::True;
    /// The check is switched off.
    CheckDisabled => Unknown, ReadyEffect::True;
    /// Model sync is switched off.
    SyncDisabled => Unknown, ReadyEffect::True;
    /// No check that is switched on can prove it, and no later one will.
    Unverifiable => Unknown, ReadyEffect::True;
    /// No verdict yet.
    NotCheckedYet => Unknown, UNKNOWN;
    /// The check ran and proved nothing; the last verdict stands.
    CheckInconclusive => Unknown, UNKNOWN;
    /// The provider has no endpoint that a check could use.
    NoEndpoint => Unknown, UNKNOWN;
    /// The provider has no credential that a check could use.
    NoValidCredential => Unknown, UNKNOWN;
    /// The endpoint did not answer as it should.
    ProbeFailed => False, FAILED;
    /// The vendor's model list could not be read.
    SyncFailed => False, FAILED;
    /// The vendor says that the account's quota or balance is used up.
    QuotaExhausted => False, FAILED;
    /// Models are what the class asks for, and none of them can be called now.
    CandidatesUnavailable => False, FAILED;
    /// PostgreSQL cannot be reached or refuses.
    DatabaseUnavailable => False, ReadyEffect::AsItWas;
    /// The keyring cannot be read.
    KeyringUnavailable => False, ReadyEffect::AsItWas;
    /// `providerRef` names no provider of this namespace.
    ProviderNotFound => False, ReadyEffect::False;
    /// `endpointRefs` or `defaultEndpointRef` names no endpoint of the provider.
    EndpointNotFound => False, ReadyEffect::False;
    /// `healthCheck.credentialRef` names no credential of the provider.
    CredentialNotFound => False, ReadyEffect::False;
    /// The provider has as many of this kind as it may.
    LimitExceeded => False, ReadyEffect::False;
    /// An older model has the same provider and `modelId`.
    DuplicateModel => False, ReadyEffect::False;
    /// The spec cannot be put in force as it stands.
    InvalidSpec => False, ReadyEffect::False;
    /// The host resolves to an address that checks may not reach.
    AddressRefused => False, ReadyEffect::False;
    /// `secretRef` names no Secret of this namespace.
    SecretNotFound => False, ReadyEffect::False;
    /// The Secret lacks the label that opts it in.
    SecretNotLabelled => False, ReadyEffect::False;
    /// The Secret lacks an entry that `secretRef.keys` names.
    SecretFieldMissing => False, ReadyEffect::False;
    /// The Secret's entry cannot be a key.
    KeyMalformed => False, ReadyEffect::False;
    /// The Secret's owner has not allowed any host of this credential's endpoints.
    HostNotAllowed => False, ReadyEffect::False;
    /// The vendor refuses the key.
    KeyRejected => False, ReadyEffect::False;
    /// The vendor does not exchange the ServiceAccount's token, or there is none to be exchanged.
    ExchangeRefused => False, ReadyEffect::False;
    /// `expiresAt` has passed.
    Expired => False, ReadyEffect::False;
    /// The model's end has come.
    Retired => False, ReadyEffect::False;
    /// No model is what the class asks for.
    NoCandidate => False, ReadyEffect::False;
    /// The vendor does not know the model.
    ModelNotFound => False, ReadyEffect::False;
    /// The vendor knows the model and does not grant it.
    ModelAccessDenied => False, ReadyEffect::False;
}

impl Reason {
    /// Whether a check that ends with it says nothing of what it asked: its question stays open, or tells of
    /// PostgreSQL or the keyring.
    pub fn says_nothing(self) -> bool {
        self.is_open() || self.is_of_what_we_depend_on()
    }

    /// Whether a check that ends with it speaks against the key itself.
    pub fn is_against_the_key(self) -> bool {
        self.status() == ConditionStatus::False && !self.is_of_what_we_depend_on()
    }

    /// Whether another object ends it, which may still be applied, or deleted: a tool applies many
    /// objects in any order over seconds. `Stalled` is absent until it has stood for
    /// [`STALL_GRACE`](super::conditions::STALL_GRACE).
    pub fn may_still_end_by_itself(self) -> bool {
        matches!(
            self,
            Self::ProviderNotFound
                | Self::EndpointNotFound
                | Self::CredentialNotFound
                | Self::SecretNotFound
                | Self::DuplicateModel
                | Self::LimitExceeded
                | Self::ExchangeRefused
                | Self::NoCandidate
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[path = "reasons_doc_tests.rs"]
mod doc_tests;

#[cfg(test)]
mod tests {
    use super::*;

    /// A GitOps tool that waits for `Ready` must not wait for a proof that cannot come.
    #[test]
    fn what_no_check_can_prove_is_ready_and_settled() {
        let reason = Reason::Unverifiable;
        assert_eq!(reason.status(), ConditionStatus::Unknown);
        assert_eq!(reason.ready(), ReadyEffect::True);
        assert!(!reason.is_open());
        assert!(Reason::CheckInconclusive.is_open());
    }

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
    }
}
