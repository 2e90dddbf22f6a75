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
    crd::{model::ModelType, reasons::Reason},
    keys::BoundKey,
    vendors::{CheckResult, Driver, Retry, TestedBy, http::address_guard::is_public, vendor},
};

/// For how long it stands that a server answers everybody, or does not.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// Failed attempts in a row to find it out, after which an acceptance stands by itself: a server that never
/// answers a caller without a key tells keys apart.
const MAX_FAILED: u8 = 3;
/// Time between two failed attempts that count as two.
const FAILED_APART: Duration = Duration::from_secs(5);

/// To whom a server answers as it does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswersTo {
    /// To that key alone, as far as was found out.
    TheKey,
    /// To a caller without a key.
    Keyless,
    /// To a made-up key.
    AnyKey,
}

/// What others than the holder of a key are answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct OthersAnswers {
    keyless: Reason,
    /// `None` where that was not tried.
    made_up: Option<Reason>,
}

impl OthersAnswers {
    /// To whom a server gives the answer that it gave to a key.
    pub(super) fn answers_to(self, given: Reason) -> AnswersTo {
        if self.keyless == given {
            AnswersTo::Keyless
        } else if self.made_up == Some(given) {
            AnswersTo::AnyKey
        } else {
            AnswersTo::TheKey
        }
    }

    /// Nobody else is answered as a key is.
    const NOBODY: Self = Self {
        keyless: Reason::CheckInconclusive,
        made_up: None,
    };
}

/// What is known of one endpoint, of one URL and generation.
#[derive(Clone, Debug, Default)]
struct Finding {
    url: String,
    generation: i64,
    /// What others are answered, and when that was found out.
    known: Option<(Instant, OthersAnswers)>,
    /// Attempts in a row that failed; those of many keys at a time count once.
    failed: u8,
    /// When the last of them did that counts.
    failed_at: Option<Instant>,
}

impl Finding {
    /// Forgets what is of another URL or generation.
    fn keep_of(&mut self, url: &str, generation: i64) {
        if (self.url.as_str(), self.generation) != (url, generation) {
            *self = Self {
                url: url.to_owned(),
                generation,
                ..Self::default()
            };
        }
    }

    /// Notes one more attempt that failed.
    fn fail(&mut self, now: Instant) {
        let apart = |last: Instant| now.duration_since(last) >= FAILED_APART;
        if self.failed_at.is_none_or(apart) {
            self.failed = self.failed.saturating_add(1);
            self.failed_at = Some(now);
        }
    }
}

/// What is known of endpoints, each found out by one check at a time.
#[derive(Default)]
pub(super) struct OpenServers(std::sync::Mutex<HashMap<Uuid, Arc<Mutex<Finding>>>>);

impl OpenServers {
    fn of(&self, endpoint: Uuid) -> Arc<Mutex<Finding>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(endpoint).or_default().clone()
    }

    pub(super) fn forget(&self, endpoint: Uuid) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&endpoint);
    }
}

impl Runner {
    /// What the server answers others to the call that proves keys; `None` where that could not be found
    /// out yet. `wanted`: when somebody began to wait for this check; what was found out before that is
    /// found out again.
    pub(super) async fn answers_to_others(
        &self,
        target: &Target,
        wanted: Option<Instant>,
        timeout: Duration,
    ) -> Option<OthersAnswers> {
        let endpoint = &target.endpoint;
        let finding = self.open_servers.of(endpoint.uid);
        let mut finding = finding.lock().await;
        finding.keep_of(endpoint.base_url.as_str(), endpoint.generation);
        if let Some((at, answers)) = finding.known {
            let fresh = match wanted {
                Some(wanted) => at >= wanted,
                None => at.elapsed() < REMEMBERED,
            };
            if fresh {
                return Some(answers);
            }
        }
        let at = Instant::now();
        let Some(answers) = self.find_out(target, timeout).await else {
            finding.fail(at);
            let before = finding.known.map(|(_, answers)| answers);
            let given_up = finding.failed >= MAX_FAILED;
            return before.or(given_up.then_some(OthersAnswers::NOBODY));
        };
        finding.known = Some((at, answers));
        (finding.failed, finding.failed_at) = (0, None);
        Some(answers)
    }

    /// `None` where the server said nothing that counts.
    async fn find_out(&self, target: &Target, timeout: Duration) -> Option<OthersAnswers> {
        let (keyless, _) = (self.ask(target, None, timeout, CheckCall::Validate)).await;
        let keyless = told(&keyless.found)?;
        // At a vendor's a made-up key may lock the account out.
        let made_up = match is_ones_own(&target.url) {
            false => None,
            true => {
                let made_up = BoundKey::made_up(vendor(target.provider.type_), &target.url);
                let asked = self.ask(target, Some(&made_up), timeout, CheckCall::Validate);
                Some(told(&asked.await.0.found)?)
            }
        };
        Some(OthersAnswers { keyless, made_up })
    }
}

/// What was said to somebody else; `None` where that may be another thing in a moment.
fn told(found: &CheckResult) -> Option<Reason> {
    (found.reason != Reason::CheckInconclusive || found.may_be_the_key()).then_some(found.reason)
}

/// What a key's check comes to at a server that answers others alike.
pub(super) fn unverifiable(
    given: CheckResult,
    answers: AnswersTo,
    driver: &dyn Driver,
) -> CheckResult {
    let also = match answers {
        AnswersTo::TheKey => return given,
        AnswersTo::Keyless => "without a key",
        AnswersTo::AnyKey => "to a made-up key",
    };
    let alike = match given.reason {
        Reason::KeyRestricted => format!("is refused {also} in the same way"),
        _ => format!("answers {also} too"),
    };
    CheckResult {
        reason: Reason::Unverifiable,
        message: format!(
            "the server's model list {alike}, so that it proves no key; {}",
            by_test(driver)
        ),
        ..given
    }
}

/// What an acceptance comes to while it is not known whether the server answers everybody so.
pub(super) fn not_found_out(given: CheckResult) -> CheckResult {
    CheckResult {
        reason: Reason::CheckInconclusive,
        message: "the vendor answers the key, and did not say yet what it answers a caller without one; it is asked again soon".to_owned(),
        retry: Retry::Backoff,
        refused: false,
        ..given
    }
}

/// What a check comes to at a server that has no model list: nothing that costs nothing can prove
/// the key.
pub(super) fn without_list(found: CheckResult, driver: &dyn Driver) -> CheckResult {
    if !found.missing || found.reason != Reason::CheckInconclusive {
        return found;
    }
    CheckResult {
        reason: Reason::Unverifiable,
        message: format!(
            "{}; a server that has no model list has nothing free that proves the key; {}",
            found.message,
            by_test(driver)
        ),
        ..found
    }
}

/// What tests of models would prove of a key.
fn by_test(driver: &dyn Driver) -> String {
    let mut untested = ModelType::ALL.to_vec();
    untested.retain(|type_| driver.tested_by(Some(*type_)) == TestedBy::List);
    if untested.len() == ModelType::ALL.len() {
        return "a test of a model reads that list too, so that nothing proves it".to_owned();
    }
    let untested: Vec<&str> = untested.into_iter().map(ModelType::as_str).collect();
    let but = match untested.is_empty() {
        true => String::new(),
        false => format!(" of another spec.type than {}", untested.join(", ")),
    };
    format!(
        "a model that answers with the key and not without it proves it: switch spec.availabilityTest on in an LlmModel{but}; where models answer everybody too, nothing does"
    )
}

/// What a list that is not there comes to.
pub(super) fn listless(found: CheckResult) -> CheckResult {
    match found.reason {
        Reason::SyncFailed if found.missing => CheckResult {
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
    use crate::{crd::ProviderType, vendors::driver};

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
        use Reason::{CheckInconclusive, KeyAccepted, KeyRejected, KeyRestricted, Unverifiable};
        for (keyless, made_up, given, said) in [
            (KeyRejected, None, KeyAccepted, KeyAccepted),
            (KeyRejected, Some(KeyRejected), KeyAccepted, KeyAccepted),
            (KeyAccepted, None, KeyAccepted, Unverifiable),
            (KeyRejected, Some(KeyAccepted), KeyAccepted, Unverifiable),
            (KeyRestricted, None, KeyRestricted, Unverifiable),
            (
                CheckInconclusive,
                Some(KeyRestricted),
                KeyRestricted,
                Unverifiable,
            ),
            (KeyRestricted, None, KeyAccepted, KeyAccepted),
            (KeyRestricted, Some(KeyAccepted), KeyAccepted, Unverifiable),
            (
                KeyAccepted,
                Some(KeyRestricted),
                KeyRestricted,
                Unverifiable,
            ),
            (KeyRejected, None, KeyRestricted, KeyRestricted),
        ] {
            let others = OthersAnswers { keyless, made_up };
            let found = CheckResult::new(given, "");
            let answered = unverifiable(found, others.answers_to(given), gateway());
            assert_eq!(answered.reason, said, "{others:?} {given:?}");
        }
    }

    fn gateway() -> &'static dyn Driver {
        driver(ProviderType::OpenAICompatible)
    }

    /// Where a test reads the list too, to switch it on would prove nothing.
    #[test]
    fn a_test_is_named_as_a_proof_of_a_key_where_it_may_be_one() {
        let missing = || CheckResult {
            missing: true,
            ..CheckResult::new(Reason::CheckInconclusive, "")
        };
        for type_ in ProviderType::ALL {
            let reads_the_list = matches!(type_, ProviderType::VLLM | ProviderType::DashScope);
            let accepted = CheckResult::new(Reason::KeyAccepted, "");
            for said in [
                without_list(missing(), driver(type_)),
                unverifiable(accepted, AnswersTo::Keyless, driver(type_)),
            ] {
                let says = |words: &str| said.message.contains(words);
                let advised = says("switch spec.availabilityTest on");
                assert_eq!(advised, !reads_the_list, "{type_}: {}", said.message);
                assert_eq!(says("nothing proves it"), reads_the_list, "{type_}");
            }
        }
        let said = without_list(missing(), gateway()).message;
        assert!(said.contains("than Rerank, Image, Audio;"), "{said}");
        let said = without_list(missing(), driver(ProviderType::OpenAI)).message;
        assert!(said.contains("in an LlmModel;"), "{said}");
    }

    #[test]
    fn attempts_count_one_after_the_other_and_of_one_server() {
        let (mut finding, mut now) = (Finding::default(), Instant::now());
        let mut fail = |url, generation, now| {
            finding.keep_of(url, generation);
            finding.fail(now);
            finding.failed
        };
        for times in 1..=3 {
            for _ in 0..20 {
                assert_eq!(fail("http://a", 1, now), times);
            }
            now += FAILED_APART;
        }
        assert_eq!(fail("http://b", 1, now), 1);
        assert_eq!(fail("http://b", 2, now), 1);
    }

    #[test]
    fn what_may_be_another_answer_in_a_moment_is_none() {
        let said = |reason, refused| {
            told(&CheckResult {
                refused,
                ..CheckResult::new(reason, "")
            })
        };
        let unclear = Reason::CheckInconclusive;
        assert_eq!(said(unclear, false), None);
        assert_eq!(said(unclear, true), Some(unclear));
        let accepted = Reason::KeyAccepted;
        assert_eq!(said(accepted, false), Some(accepted));
    }

    #[test]
    fn only_a_list_that_is_not_there_leaves_nothing_to_prove_a_key_by() {
        let reason = |reason, missing| {
            let found = CheckResult {
                missing,
                ..CheckResult::new(reason, "")
            };
            without_list(found, gateway()).reason
        };
        let unclear = Reason::CheckInconclusive;
        assert_eq!(reason(unclear, true), Reason::Unverifiable);
        assert_eq!(reason(unclear, false), unclear);
        assert_eq!(reason(Reason::KeyRejected, true), Reason::KeyRejected);
    }
}
