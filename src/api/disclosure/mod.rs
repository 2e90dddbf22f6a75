//! Keys for callers: who may have one, how often, and how an answer with one looks.
//!
//! `keys::disclose` decides whether a key may leave and records it. Here is what belongs to HTTP: the
//! right of the caller, its rate, the problems, and a body that is wiped once it was sent.

mod body;
mod caller_rate;
mod refused_before;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use super::auth::{Auth, Caller, Scope};
use super::problem::{Problem, ProblemType};
use crate::db::{AuditAction, AuditActor, AuditObject};
use crate::encryption::KeyringHandle;
use crate::keys::disclose::{
    DisclosedKey, Discloser, KeyRequest, Refusal, RefusalDraft, RefusalLog,
};
use crate::snapshot::{CredentialView, Entry};

pub use body::{SecretBody, SecretView};
use caller_rate::CallerRate;
use refused_before::RefusedBefore;

/// Gives out keys, or says why this replica cannot.
pub struct Disclosure {
    discloser: Option<Discloser>,
    refusals: RefusalLog,
    refused_before: RefusedBefore<Entry<CredentialView>>,
    rate: CallerRate,
}

impl Disclosure {
    /// With what gives keys out (none: this replica has no keyring), what tells the audit of refusals, and
    /// how many keys one caller may ask for in a second, on average.
    pub fn new(discloser: Option<Discloser>, refusals: RefusalLog, per_second: NonZeroU32) -> Self {
        Self {
            discloser,
            refusals,
            refused_before: RefusedBefore::default(),
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

    /// What gives keys out, for a caller whose turn it is, who asks for this many keys, or about one.
    ///
    /// # Errors
    ///
    /// 503 where this replica has no keyring; 429 where the caller asks too often. Both are audited.
    pub fn turn(
        &self,
        caller: &Caller,
        action: AuditAction,
        keys: u32,
    ) -> Result<&Discloser, Problem> {
        let discloser = self.discloser.as_ref().ok_or_else(|| {
            self.note_no_turn(caller, action, "NoKeyring");
            Problem::new(
                ProblemType::NoKeyring,
                "this replica gives out no keys, for it has no keyring (LLMPLANE_KEYRING_DIR); \
                 everything else is served",
            )
        })?;
        self.rate.take(&caller.username, keys).map_err(|wait| {
            self.note_no_turn(caller, action, "RateLimited");
            let detail = "you ask for keys too often; keep a key until its valid_until";
            Problem::new(ProblemType::RateLimited, detail).after(wait)
        })?;
        Ok(discloser)
    }

    /// The key of this credential, unless the database refused it to the caller a moment ago.
    ///
    /// # Errors
    ///
    /// As [`Discloser::disclose`].
    pub async fn disclose(
        &self,
        discloser: &Discloser,
        caller: &Caller,
        entry: &Arc<Entry<CredentialView>>,
        request: KeyRequest,
    ) -> Result<DisclosedKey, Refusal> {
        let common = &entry.view.common;
        let who = (&*caller.username, common.id);
        if let Some(refusal) = self.refused_before.get(who, entry, Instant::now()) {
            let purpose = request.purpose.as_deref();
            self.note_refusal(caller, &entry.view, refusal.word(), purpose);
            return Err(refusal);
        }
        let answered = discloser.disclose(request).await;
        if let Err(refusal) = &answered {
            self.refused_before
                .note(who, entry, refusal, Instant::now());
        }
        answered
    }

    /// Notes for the audit that a caller was given no key of a credential, and why. Nobody waits for that.
    pub fn note_refusal(
        &self,
        caller: &Caller,
        credential: &CredentialView,
        why: &'static str,
        purpose: Option<&str>,
    ) {
        let common = &credential.common;
        let which = (common.id, &*common.namespace, &*common.name);
        let actor = AuditActor::clone(caller.audit_actor());
        self.refusals.note_key(RefusalDraft {
            purpose: purpose.map(str::to_owned),
            ..RefusalDraft::of_key(actor, Some(which), why)
        });
    }

    /// The same, where no credential is known: in this namespace, or in several.
    pub fn note_refusal_in(
        &self,
        caller: &Caller,
        namespace: Option<&str>,
        why: &'static str,
        purpose: Option<&str>,
    ) {
        let actor = AuditActor::clone(caller.audit_actor());
        let mut draft = RefusalDraft::of_key(actor, None, why);
        draft.object.namespace = namespace.map(str::to_owned);
        draft.purpose = purpose.map(str::to_owned);
        self.refusals.note_key(draft);
    }

    fn note_no_turn(&self, caller: &Caller, action: AuditAction, why: &'static str) {
        match action {
            AuditAction::Disclose => self.note_refusal_in(caller, None, why, None),
            action => self.note_refused(caller, action, None, why),
        }
    }

    /// Makes sure that the caller may read the audit here, for this; the audit is told of one who may not.
    ///
    /// # Errors
    ///
    /// 403 when not.
    pub async fn require_auditor(
        &self,
        auth: &Auth,
        caller: &Caller,
        scope: &Scope,
        action: AuditAction,
    ) -> Result<(), Problem> {
        let allowed = scope.require_audit(auth, caller).await;
        allowed.inspect_err(|problem| {
            if problem.kind == ProblemType::Forbidden {
                self.note_refused(caller, action, scope.namespace(), "Forbidden");
            }
        })
    }

    /// Notes for the audit that a caller is refused this, and why: to read it, or to ask whose key a string is.
    fn note_refused(
        &self,
        caller: &Caller,
        action: AuditAction,
        namespace: Option<&str>,
        why: &'static str,
    ) {
        self.refusals.note(RefusalDraft {
            actor: AuditActor::clone(caller.audit_actor()),
            action,
            object: AuditObject {
                namespace: namespace.map(str::to_owned),
                ..AuditObject::default()
            },
            result: why,
            purpose: None,
        });
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
