//! Keys for callers: who may have one, how often, and how an answer with one looks.
//!
//! `keys::disclose` decides whether a key may leave and records it. Here is what belongs to HTTP: the
//! right of the caller, its rate, the problems, and a body that is wiped once it was sent.

mod body;
mod caller_rate;

use std::num::NonZeroU32;

use uuid::Uuid;

use super::auth::Caller;
use super::problem::{Problem, ProblemType};
use crate::db::AuditActor;
use crate::encryption::KeyringHandle;
use crate::keys::disclose::{Discloser, Refusal, RefusalDraft};

pub use body::{SecretBody, SecretView};
use caller_rate::CallerRate;

/// Gives out keys, or says why this replica cannot.
pub struct Disclosure {
    discloser: Option<Discloser>,
    rate: CallerRate,
}

impl Disclosure {
    /// With what gives keys out (none: this replica has no keyring), and how many keys one caller may
    /// ask for in a second, on average.
    pub fn new(discloser: Option<Discloser>, per_second: NonZeroU32) -> Self {
        Self {
            discloser,
            rate: CallerRate::new(per_second),
        }
    }

    /// The keyring, for what compares fingerprints.
    ///
    /// # Errors
    ///
    /// 503 where this replica has none, or none yet.
    pub fn keyring(&self) -> Result<&KeyringHandle, Problem> {
        let keyring = self.discloser.as_ref().and_then(Discloser::keyring);
        keyring.ok_or_else(|| {
            Problem::new(
                ProblemType::NoKeyring,
                "this replica has no keyring (LLMPLANE_KEYRING_DIR), without which no fingerprint can be compared; \
                 ask another, or run `llmplane audit whose-key` where the keyring is",
            )
        })
    }

    /// What gives keys out, for a caller whose turn it is, who asks for this many keys.
    ///
    /// # Errors
    ///
    /// 503 where this replica has no keyring; 429 where the caller asks too often, which is audited.
    pub fn turn(&self, caller: &Caller, keys: u32) -> Result<&Discloser, Problem> {
        let discloser = self.discloser.as_ref().ok_or_else(|| {
            Problem::new(
                ProblemType::NoKeyring,
                "this replica gives out no keys, for it has no keyring (LLMPLANE_KEYRING_DIR); \
                 everything else is served",
            )
        })?;
        self.rate.take(&caller.username, keys).map_err(|wait| {
            let actor = AuditActor::clone(caller.audit_actor());
            discloser.note_refusal(RefusalDraft::of_key(actor, None, "RateLimited"));
            let detail = "you ask for keys too often; keep a key until its valid_until";
            Problem::new(ProblemType::RateLimited, detail).after(wait)
        })?;
        Ok(discloser)
    }

    /// Notes for the audit that a caller may not use a credential; nobody waits for that.
    pub fn note_forbidden(
        &self,
        actor: &AuditActor,
        credential: (Uuid, &str, &str),
        purpose: Option<&str>,
    ) {
        if let Some(discloser) = &self.discloser {
            discloser.note_refusal(RefusalDraft {
                purpose: purpose.map(str::to_owned),
                ..RefusalDraft::of_key(actor.clone(), Some(credential), "Forbidden")
            });
        }
    }
}

/// What a refusal is to the caller. None: the credential counts as if it were not there, and another
/// one may do.
pub fn problem_of(refusal: &Refusal) -> Option<Problem> {
    let (kind, wait) = match refusal {
        Refusal::Gone
        | Refusal::Disabled
        | Refusal::Expired
        | Refusal::Superseded
        | Refusal::Invalid
        | Refusal::HostNotAllowed(_) => return None,
        Refusal::QuotaExhausted { retry_after } => {
            (ProblemType::QuotaExhausted, Some(*retry_after))
        }
        Refusal::NotSweptYet | Refusal::Unreadable | Refusal::KeyringUnavailable => {
            (ProblemType::KeyUnavailable, None)
        }
        Refusal::AuditUnavailable => (ProblemType::AuditUnavailable, None),
        Refusal::Overloaded => (ProblemType::Overloaded, None),
    };
    let problem = Problem::new(kind, format!("{refusal}; try again"));
    Some(match wait {
        Some(wait) => problem.after(wait),
        None => problem,
    })
}
