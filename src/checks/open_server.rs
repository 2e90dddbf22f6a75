//! Servers whose answer to the call that proves keys is the same for everybody: it proves no key.
//!
//! Such a server is found out by the same call without a key: when a check is first made or asked
//! for, and once a day. Nothing of it is stored: a new process finds it out again.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};
use url::{Host, Url};
use uuid::Uuid;

use super::{
    run::Runner,
    target::{CheckCall, Target},
};
use crate::{
    crd::reasons::Reason,
    keys::BoundKey,
    vendors::{CheckResult, http::address_guard::is_public, vendor},
};

/// For how long it stands that a server answers everybody, or does not.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// To whom a server answers as it does to the right key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswersTo {
    /// To that key alone, as far as was found out.
    TheKey,
    /// To a caller without a key.
    Keyless,
    /// To a made-up key.
    AnyKey,
}

/// What was found out of an endpoint.
#[derive(Clone, Debug)]
struct Known {
    url: String,
    generation: i64,
    at: Instant,
    answers: AnswersTo,
}

/// What is known of endpoints, each found out by one check at a time.
#[derive(Default)]
pub(super) struct OpenServers(std::sync::Mutex<HashMap<Uuid, Arc<Mutex<Option<Known>>>>>);

impl OpenServers {
    fn of(&self, endpoint: Uuid) -> Arc<Mutex<Option<Known>>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(endpoint).or_default().clone()
    }

    pub(super) fn forget(&self, endpoint: Uuid) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&endpoint);
    }
}

impl Runner {
    /// To whom else the server answers the call that proves keys. `wanted`: when somebody began to
    /// wait for this check; what was found out before that is found out again.
    pub(super) async fn answers_to(
        &self,
        target: &Target,
        wanted: Option<Instant>,
        timeout: Duration,
    ) -> AnswersTo {
        let endpoint = &target.endpoint;
        let known = self.open_servers.of(endpoint.uid);
        let mut known = known.lock().await;
        let before = known.as_ref().filter(|known| {
            known.url == *endpoint.base_url && known.generation == endpoint.generation
        });
        if let Some(before) = before {
            let fresh = match wanted {
                Some(wanted) => before.at >= wanted,
                None => before.at.elapsed() < REMEMBERED,
            };
            if fresh {
                return before.answers;
            }
        }
        let at = Instant::now();
        let Some(answers) = self.find_out(target, timeout).await else {
            return before.map_or(AnswersTo::TheKey, |before| before.answers);
        };
        *known = Some(Known {
            url: endpoint.base_url.as_str().to_owned(),
            generation: endpoint.generation,
            at,
            answers,
        });
        answers
    }

    /// `None` where the server said nothing that counts.
    async fn find_out(&self, target: &Target, timeout: Duration) -> Option<AnswersTo> {
        let (keyless, _) = (self.ask(target, None, timeout, CheckCall::Validate)).await;
        if keyless.found.reason == Reason::KeyAccepted {
            return Some(AnswersTo::Keyless);
        }
        keyless
            .found
            .http_status
            .filter(|s| (400..500).contains(s) && *s != 429)?;
        // At a vendor's a made-up key may lock the account out.
        if !is_ones_own(&target.url) {
            return Some(AnswersTo::TheKey);
        }
        let made_up = BoundKey::made_up(vendor(target.provider.type_), &target.url);
        let asked = self.ask(target, Some(&made_up), timeout, CheckCall::Validate);
        match asked.await.0.found.reason {
            Reason::KeyAccepted => Some(AnswersTo::AnyKey),
            _ => Some(AnswersTo::TheKey),
        }
    }
}

/// What an accepted key's check comes to at a server that answers others too.
pub(super) fn unverifiable(accepted: CheckResult, answers: AnswersTo) -> CheckResult {
    let also = match answers {
        AnswersTo::TheKey => return accepted,
        AnswersTo::Keyless => "without a key",
        AnswersTo::AnyKey => "to a made-up key",
    };
    CheckResult {
        reason: Reason::Unverifiable,
        message: format!(
            "the server's model list answers {also} too, so that it proves no key; a test of a model proves it: switch spec.availabilityTest on in an LlmModel"
        ),
        ..accepted
    }
}

/// What a check comes to at a server that has no model list: nothing that costs nothing can prove
/// the key.
pub(super) fn without_list(found: CheckResult) -> CheckResult {
    let is_missing = matches!(found.http_status, Some(404 | 405 | 501));
    if !is_missing || found.reason != Reason::CheckInconclusive {
        return found;
    }
    CheckResult {
        reason: Reason::Unverifiable,
        message: format!(
            "{}; a server that has no model list has nothing free that proves the key: switch spec.availabilityTest on in an LlmModel, whose answer does",
            found.message
        ),
        ..found
    }
}

/// The same of reading the list itself.
pub(super) fn listless(found: CheckResult) -> CheckResult {
    match (found.reason, found.http_status) {
        (Reason::SyncFailed, Some(404 | 405 | 501)) => CheckResult {
            reason: Reason::Unverifiable,
            ..found
        },
        _ => found,
    }
}

/// Whether a server is not a vendor's, by its URL alone: an address or a name that is not public.
fn is_ones_own(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => !is_public(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => !is_public(IpAddr::V6(ip)),
        Some(Host::Domain(name)) => {
            let own = [
                ".svc",
                ".cluster.local",
                ".local",
                ".internal",
                ".localhost",
                ".lan",
            ];
            !name.contains('.') || own.iter().any(|end| name.ends_with(end))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_key_goes_to_no_vendors_host() {
        for own in [
            "http://127.0.0.1:8000/v1",
            "http://10.1.2.3/v1",
            "http://[fd00::1]/v1",
            "http://vllm:8000/v1",
            "http://vllm.team.svc/v1",
            "http://vllm.team.svc.cluster.local/v1",
        ] {
            assert!(is_ones_own(&Url::parse(own).expect("a URL")), "{own}");
        }
        for other in [
            "https://api.openai.com/v1",
            "https://openrouter.ai/api/v1",
            "https://my.openai.azure.com",
            "https://8.8.8.8/v1",
            "https://[2606:4700::1]/v1",
        ] {
            assert!(!is_ones_own(&Url::parse(other).expect("a URL")), "{other}");
        }
    }

    #[test]
    fn only_an_answer_to_others_takes_an_acceptance_back() {
        let accepted = || CheckResult::new(Reason::KeyAccepted, "");
        let reason = |answers| unverifiable(accepted(), answers).reason;
        assert_eq!(reason(AnswersTo::TheKey), Reason::KeyAccepted);
        assert_eq!(reason(AnswersTo::Keyless), Reason::Unverifiable);
        assert_eq!(reason(AnswersTo::AnyKey), Reason::Unverifiable);
    }

    #[test]
    fn only_a_list_that_is_not_there_leaves_nothing_to_prove_a_key_by() {
        let reason = |reason, http_status| {
            without_list(CheckResult {
                http_status,
                ..CheckResult::new(reason, "")
            })
            .reason
        };
        for status in [404, 405, 501] {
            assert_eq!(
                reason(Reason::CheckInconclusive, Some(status)),
                Reason::Unverifiable
            );
            assert_eq!(
                reason(Reason::KeyRejected, Some(status)),
                Reason::KeyRejected
            );
        }
        for status in [None, Some(403), Some(429), Some(500), Some(503)] {
            assert_eq!(
                reason(Reason::CheckInconclusive, status),
                Reason::CheckInconclusive
            );
        }
    }
}
