//! Who is asking.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;

use super::turn::UnderWay;
use super::{AskedRight, REVIEW_TTL, Right};
use crate::db::AuditActor;

/// SHA-256 of a token: what caches know it by.
pub type TokenHash = [u8; 32];

/// Rights that are remembered with a caller; beyond these they are looked up among everybody's.
const REMEMBERED: usize = 32;

/// From which part of its time on a caller's answer is renewed, and over which part renewals are
/// spread: callers who came together do not stay together.
const RENEW_FROM: f64 = 0.8;
const RENEW_OVER: f64 = 0.15;

/// A caller whom the kube-apiserver vouched for.
#[derive(Debug)]
pub struct Caller {
    /// What its rights are cached by.
    pub token: TokenHash,
    /// Its name, for example `system:serviceaccount:team-a:agent`.
    pub username: String,
    namespace: Option<Arc<str>>,
    /// Its UID.
    pub uid: Option<String>,
    /// Its groups.
    pub groups: Vec<String>,
    /// What else its authenticator said.
    pub extra: BTreeMap<String, Vec<String>>,
    /// When its token ends, in Unix seconds.
    pub expires_at: Option<i64>,
    ends_at: Option<Instant>,
    audit_actor: OnceLock<Arc<AuditActor>>,
    rights: ArcSwap<Vec<CachedDecision>>,
    renew_at: Instant,
    renewing: AtomicBool,
    /// Its requests that are under way.
    pub(super) under_way: UnderWay,
}

#[derive(Clone, Debug)]
struct CachedDecision {
    right: Right,
    decision: Decision,
    /// Since it was decided.
    used: Arc<AtomicBool>,
}

/// Whether a caller has a right, and until when that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    pub allowed: bool,
    pub until: Instant,
}

impl Caller {
    /// From what a TokenReview says.
    pub(super) fn new(token: TokenHash, user: UserInfo, expires_at: Option<i64>) -> Self {
        let share = f64::from(token[0]) / 256.0;
        let now = Instant::now();
        let left = expires_at.map(|end| end - Timestamp::now().as_second());
        let username = user.username.unwrap_or_default();
        Self {
            token,
            namespace: namespace(&username).map(Arc::from),
            username,
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
            expires_at,
            ends_at: left.and_then(|left| {
                now.checked_add(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
            }),
            audit_actor: OnceLock::new(),
            rights: ArcSwap::default(),
            renew_at: now + REVIEW_TTL.mul_f64(RENEW_FROM + RENEW_OVER * share),
            renewing: AtomicBool::new(false),
            under_way: UnderWay::default(),
        }
    }

    /// The same caller, whose requests under way are counted here.
    pub(super) fn counted(self, under_way: UnderWay) -> Self {
        Self { under_way, ..self }
    }

    /// Whether its token has ended.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }

    /// Whether it is time to ask about it again; said once.
    pub(super) fn is_to_be_renewed(&self, now: Instant) -> bool {
        now >= self.renew_at && !self.renewing.swap(true, Ordering::AcqRel)
    }

    /// Lets the next request ask again whether it is time to be renewed.
    pub(super) fn renew_later(&self) {
        self.renewing.store(false, Ordering::Release);
    }

    /// The rights that decided about requests.
    pub(super) fn used_rights(&self) -> Vec<Right> {
        let rights = self.rights.load();
        let used = rights.iter().filter(|r| r.used.load(Ordering::Relaxed));
        used.map(|remembered| remembered.right.clone()).collect()
    }

    /// What was decided about a right, while that counts.
    pub(super) fn remembers(&self, asked: &AskedRight<'_>, now: Instant) -> Option<bool> {
        let rights = self.rights.load();
        let found = rights.iter().find(|r| r.right.asked() == *asked)?;
        // Read first: what all write to is slow to read.
        if !found.used.load(Ordering::Relaxed) {
            found.used.store(true, Ordering::Relaxed);
        }
        (found.decision.until > now).then_some(found.decision.allowed)
    }

    /// Remembers a decision for as long as it counts.
    pub(super) fn remember(&self, right: Right, decision: Decision, now: Instant) {
        self.rights.rcu(|rights| {
            let others = rights
                .iter()
                .filter(|other| other.right != right && other.decision.until > now);
            let mut rights: Vec<_> = others.take(REMEMBERED - 1).cloned().collect();
            rights.push(CachedDecision {
                right: right.clone(),
                decision,
                used: Arc::default(),
            });
            rights
        });
    }

    /// Who it is, as the audit tells it.
    pub fn audit_actor(&self) -> &Arc<AuditActor> {
        self.audit_actor
            .get_or_init(|| Arc::new(self.make_audit_actor()))
    }

    fn make_audit_actor(&self) -> AuditActor {
        let extra = |key: &str| {
            let values = self
                .extra
                .get(&format!("authentication.kubernetes.io/{key}"))?;
            values.first().map(|value| printable(value))
        };
        AuditActor {
            actor: printable(&self.username),
            actor_uid: self.uid.as_deref().map(printable),
            actor_groups: self.groups.iter().map(|group| printable(group)).collect(),
            pod: extra("pod-name"),
            pod_uid: extra("pod-uid"),
            node: extra("node-name"),
            token_id: extra("credential-id"),
        }
    }

    /// The namespace of a ServiceAccount; other users are in none.
    pub fn namespace(&self) -> Option<&Arc<str>> {
        self.namespace.as_ref()
    }
}

/// Without control characters, which an authenticator may let through and PostgreSQL does not take.
fn printable(text: &str) -> String {
    let visible = |c: char| match c.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => c,
    };
    text.chars().map(visible).collect()
}

fn namespace(username: &str) -> Option<&str> {
    let rest = username.strip_prefix("system:serviceaccount:")?;
    rest.split_once(':').map(|(namespace, _)| namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_remembered_until_its_decision_ends() {
        let caller = Caller::new([0; 32], UserInfo::default(), None);
        let right = |namespace: &str| Right {
            verb: "list",
            resource: "llmmodels",
            namespace: Some(namespace.into()),
            name: None,
        };
        let (now, until) = (Instant::now(), Instant::now() + Duration::from_secs(10));
        let decide = |allowed| Decision { allowed, until };
        caller.remember(right("a"), decide(true), now);
        caller.remember(right("b"), decide(false), now);
        let remembers = |namespace: &str, at| caller.remembers(&right(namespace).asked(), at);
        assert_eq!(remembers("a", now), Some(true));
        assert_eq!(remembers("b", now), Some(false));
        assert_eq!(remembers("c", now), None);
        assert_eq!(remembers("a", until), None);
        for number in 0..100 {
            caller.remember(right(&number.to_string()), decide(true), now);
        }
        assert!(caller.rights.load().len() <= REMEMBERED);
        assert_eq!(remembers("99", now), Some(true));
    }

    #[test]
    fn a_caller_is_renewed_once_and_before_its_answer_ends() {
        let mut moments = Vec::new();
        for first in 0..=255 {
            let caller = Caller::new([first; 32], UserInfo::default(), None);
            let asked = Instant::now();
            assert!(!caller.is_to_be_renewed(asked + REVIEW_TTL.mul_f64(0.79)));
            assert!(caller.is_to_be_renewed(asked + REVIEW_TTL.mul_f64(0.96)));
            assert!(!caller.is_to_be_renewed(asked + REVIEW_TTL.mul_f64(0.97)));
            caller.renew_later();
            assert!(caller.is_to_be_renewed(asked + REVIEW_TTL.mul_f64(0.97)));
            moments.push(caller.renew_at - asked);
        }
        let spread = *moments.iter().max().unwrap() - *moments.iter().min().unwrap();
        assert!(spread > REVIEW_TTL.mul_f64(0.1), "{spread:?}");
    }

    #[test]
    fn a_caller_is_over_when_its_token_is() {
        let caller = |expires_at| Caller::new([0; 32], UserInfo::default(), expires_at);
        let (now, unix) = (Instant::now(), Timestamp::now().as_second());
        assert!(!caller(None).is_over(now + Duration::from_secs(1_000_000)));
        assert!(!caller(Some(i64::MAX)).is_over(now));
        assert!(caller(Some(unix - 5)).is_over(Instant::now()));
        let soon = caller(Some(unix + 100));
        assert!(!soon.is_over(now + Duration::from_secs(98)));
        assert!(soon.is_over(now + Duration::from_secs(101)));
    }

    #[test]
    fn the_audit_tells_pod_node_and_token_of_a_caller_and_nothing_that_it_cannot_store() {
        let key = |name: &str| format!("authentication.kubernetes.io/{name}");
        let user = UserInfo {
            username: Some("odd\0name".to_owned()),
            uid: Some("u".to_owned()),
            groups: Some(vec!["g\n".to_owned()]),
            extra: Some(BTreeMap::from([
                (key("pod-name"), vec!["p".to_owned()]),
                (key("pod-uid"), vec!["pu".to_owned()]),
                (key("node-name"), vec!["n".to_owned(), "other".to_owned()]),
                (key("credential-id"), vec!["JTI=1".to_owned()]),
            ])),
        };
        let said = |text: &str| Some(text.to_owned());
        let wanted = AuditActor {
            actor: "odd\u{fffd}name".to_owned(),
            actor_uid: said("u"),
            actor_groups: vec!["g\u{fffd}".to_owned()],
            pod: said("p"),
            pod_uid: said("pu"),
            node: said("n"),
            token_id: said("JTI=1"),
        };
        assert_eq!(**Caller::new([0; 32], user, None).audit_actor(), wanted);
        let bare = Caller::new([0; 32], UserInfo::default(), None);
        assert_eq!(**bare.audit_actor(), AuditActor::default());
    }

    #[test]
    fn only_a_service_account_is_in_a_namespace() {
        let named = |username: &str| {
            let user = UserInfo {
                username: Some(username.to_owned()),
                ..UserInfo::default()
            };
            Caller::new([0; 32], user, None).namespace().cloned()
        };
        assert_eq!(
            named("system:serviceaccount:team-a:agent").as_deref(),
            Some("team-a")
        );
        assert_eq!(named("alice"), None);
        assert_eq!(named("system:serviceaccount"), None);
    }
}
