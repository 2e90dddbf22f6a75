//! What the audit is told of a request that gets no key, and what the caller of its own credentials.

use super::misfits;
use super::with_key::{KeySearch, Known};
use crate::resolve::{CredentialReason, Reason, Resolution, Unresolved};
use crate::snapshot::CredentialView;

/// Credentials that a caller may not use, of which one request leaves word in the audit.
const MAX_FORBIDDEN_TOLD: usize = 10;
/// Credentials that serve nobody, of which one request asks whether they are the caller's own.
const MAX_MISFITS_ASKED: usize = 10;

impl KeySearch<'_> {
    /// Leaves word in the audit of the credentials that would have fitted, had the caller the right.
    pub(super) fn tell_forbidden(&self, known: &Known) {
        for id in known.forbidden().take(MAX_FORBIDDEN_TOLD) {
            if let Some(entry) = self.snapshot.credentials.by_uid(*id) {
                self.tell(Some(&entry.view), "Forbidden");
            }
        }
    }

    /// Leaves word of a request whose targets have no credential for anybody: of the one that came nearest.
    pub(super) fn tell_without_key(&self, found: &Resolution, known: &Known) {
        // What was asked for is told of. Who exchanges a token of its own, or needs none, was refused nothing.
        let targets = || found.targets.iter();
        if !known.reasons.is_empty() || targets().any(|target| target.exchange.is_some()) {
            return;
        }
        let nearest = targets()
            .flat_map(|target| misfits::of_target(self.snapshot, target, self.now))
            .max_by_key(|(_, why)| *why);
        let needs_none = targets().any(|target| target.works_without_credential());
        match nearest {
            Some((entry, why)) => self.tell(Some(&entry.view), misfits::audited(why)),
            None if needs_none || known.forbidden().next().is_some() => {}
            None => self.tell(None, CredentialReason::NoCredential.as_str()),
        }
    }

    /// Leaves word of a request that found no model to call, with the credential that stands in its way, if one does.
    pub(super) fn tell_no_answer(&self, refused: &Unresolved, known: &Known) {
        if !known.reasons.is_empty() {
            return;
        }
        if let Some((entry, why)) = misfits::of_no_answer(self.snapshot, refused, self.now) {
            self.tell(Some(&entry.view), misfits::audited(why));
        } else if known.forbidden().next().is_none() {
            let nearest = refused.considered.models.first();
            let why = nearest.map_or(Reason::NotFound, |passed| passed.reason);
            self.tell(None, why.as_str());
        }
    }

    fn tell(&self, credential: Option<&CredentialView>, why: &'static str) {
        let purpose = self.request.purpose.as_deref();
        let disclosure = &self.state.disclosure;
        match credential {
            Some(view) => disclosure.note_refusal(self.caller, view, why, purpose),
            None => {
                disclosure.note_refusal_in(self.caller, self.places.namespace(), why, purpose);
            }
        }
    }

    /// Asks of credentials that serve nobody whether the caller may use them, where it may not list them: of its own
    /// it is told why it gets no key. What nobody can say now is not told: the answer does not wait for it.
    pub(super) async fn look_up_misfits(&self, found: &Resolution, known: &mut Known) {
        let hidden = found.targets.iter().filter(|target| {
            let namespace = &target.endpoint.view.common.namespace;
            target.credentials.is_empty() && !self.places.show_credentials_of(namespace)
        });
        let mut left = MAX_MISFITS_ASKED;
        for target in hidden {
            let endpoint = target.endpoint.view.common.id;
            if known.reasons.contains_key(&endpoint) {
                continue;
            }
            for (entry, why) in misfits::of_target(self.snapshot, target, self.now) {
                if left == 0 {
                    return;
                }
                left -= 1;
                let common = &entry.view.common;
                let auth = &self.state.auth;
                let may_use = auth.may_use(self.caller, &common.namespace, &common.name);
                let Ok(may_use) = may_use.await else { return };
                if may_use {
                    known.reasons.insert(endpoint, why);
                    break;
                }
            }
        }
    }
}
