//! The one place that builds conditions and decides `Ready` and `Stalled`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use super::common::Kind;
use super::reasons::{ConditionStatus, ReadyEffect, Reason};
use super::words::words;

/// How long a reason that [may still end by itself](Reason::may_still_end_by_itself) stands before
/// `Stalled` goes with it, counted from the `lastTransitionTime` of `Ready`.
pub const STALL_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// Longest message kept, in characters. Kubernetes refuses more than 32,768.
const MAX_MESSAGE_CHARS: usize = 1024;

/// Type of a condition.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, EnumString, IntoStaticStr, VariantArray,
)]
pub enum ConditionType {
    /// This generation is in PostgreSQL.
    Synced,
    /// Endpoint: it answers.
    Healthy,
    /// Credential: the vendor takes the key.
    Valid,
    /// Model: the vendor lists it, or it answered. Model class: there is a model that can be called.
    Available,
    /// Provider: the vendor's model list was read.
    ModelsSynced,
    /// What was declared is in force, and nothing is left for the user to fix.
    Ready,
    /// Waiting cannot help: the user must act. It goes with `Ready=False`, but not with what the
    /// vendor causes, and with what another object may still end only after [`STALL_GRACE`]. Tools
    /// that wait (kstatus, Flux, Argo CD) give up where it is True, and wait on where `Ready` alone
    /// is False.
    Stalled,
}

words!(ConditionType);

impl ConditionType {
    /// The condition of this kind that says what the outside world says.
    pub const fn outside_of(kind: Kind) -> Self {
        match kind {
            Kind::Provider => Self::ModelsSynced,
            Kind::Endpoint => Self::Healthy,
            Kind::Credential => Self::Valid,
            Kind::Model | Kind::ModelClass => Self::Available,
        }
    }
}

/// What one phase found: a reason and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionInput {
    /// Why.
    pub reason: Reason,
    /// What was found and what the user can do, one or two sentences. Never a vendor's own text.
    pub message: String,
}

impl ConditionInput {
    /// A finding; the message is cut at 1,024 characters.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let message = match message.char_indices().nth(MAX_MESSAGE_CHARS) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message,
        };
        Self { reason, message }
    }
}

/// What the conditions of one object are computed from.
#[derive(Clone, Debug)]
pub struct ConditionInputs<'a> {
    /// The generation that was reconciled.
    pub generation: i64,
    /// `status.verifiedGeneration`: the last generation whose check passed.
    pub verified_generation: Option<i64>,
    /// Whether this generation is stored: `Reconciled`, or why not.
    pub synced: ConditionInput,
    /// What the outside world says, under the kind's own condition.
    pub outside: (ConditionType, ConditionInput),
    /// What decides `Ready` before the outside world does (disabled, a missing reference, ...).
    pub declared: Option<ConditionInput>,
    /// Whether all that it would be checked at, or with, is switched off on purpose.
    pub lacks_what_is_off: bool,
    /// The conditions as they were, for transition times and `AsItWas`.
    pub previous: &'a [Condition],
}

/// The conditions of one object, in a fixed order: `Synced`, the kind's own, `Ready`, `Stalled`.
///
/// Pure: the same input gives the same output, and a condition whose status did not change keeps
/// its transition time, but for a `Ready` that is False for something else that may still end by
/// itself.
pub fn conditions(seen: &ConditionInputs<'_>, now: Timestamp) -> Vec<Condition> {
    let (outside_type, outside) = &seen.outside;
    let (ready, decided_by) = ready(seen);
    let as_it_was = decided_by.reason.ready() == ReadyEffect::AsItWas;
    let mut ready = build(seen, ConditionType::Ready, ready, &decided_by, now);
    if begins_to_wait(seen.previous, &decided_by) {
        ready.last_transition_time = Time(seconds(now));
    }
    let stalled = stalled(seen, &ready, &decided_by, now);
    let mut built = vec![
        build(
            seen,
            ConditionType::Synced,
            seen.synced.reason.status(),
            &seen.synced,
            now,
        ),
        build(seen, *outside_type, outside.reason.status(), outside, now),
        ready,
    ];
    built.extend(stalled);
    if as_it_was {
        carried_over(&mut built, ConditionType::Ready, seen.previous);
    }
    built
}

/// Whether `Ready` takes up a reason that may still end by itself, whatever it was False for
/// before: the time for which that reason has stood begins.
fn begins_to_wait(previous: &[Condition], decided_by: &ConditionInput) -> bool {
    let reason = decided_by.reason;
    let says = |kind| find(previous, kind).is_some_and(|c| c.reason == reason.as_str());
    reason.may_still_end_by_itself() && !says(ConditionType::Ready) && !says(ConditionType::Stalled)
}

fn stalled(
    seen: &ConditionInputs<'_>,
    ready: &Condition,
    decided_by: &ConditionInput,
    now: Timestamp,
) -> Option<Condition> {
    if ready.status != ConditionStatus::False.as_str() {
        return None;
    }
    let before = find(seen.previous, ConditionType::Stalled);
    match decided_by.reason.ready() {
        ReadyEffect::AsItWas => before.cloned(),
        ReadyEffect::True | ReadyEffect::UntilVerified(_) => None,
        ReadyEffect::False => {
            let known = before.is_some_and(|c| c.reason == decided_by.reason.as_str());
            let waits = decided_by.reason.may_still_end_by_itself() && !known;
            (!waits || now >= ready.last_transition_time.0 + STALL_GRACE).then(|| {
                let status = ConditionStatus::True;
                build(seen, ConditionType::Stalled, status, decided_by, now)
            })
        }
    }
}

/// The reason for which `Ready` is False and that may still end by itself, where it has not stood
/// long enough for `Stalled` yet, and when it has.
pub fn awaited(conditions: &[Condition]) -> Option<(Reason, Timestamp)> {
    let ready = find(conditions, ConditionType::Ready)?;
    let reason = Reason::parse(&ready.reason)?;
    let awaited = ready.status == ConditionStatus::False.as_str()
        && reason.may_still_end_by_itself()
        && find(conditions, ConditionType::Stalled).is_none();
    awaited.then(|| (reason, ready.last_transition_time.0 + STALL_GRACE))
}

/// A condition that is as it was says nothing of the present generation: it keeps the one of which
/// it was said.
pub fn carried_over(built: &mut [Condition], kind: ConditionType, previous: &[Condition]) {
    let Some(before) = find(previous, kind) else {
        return;
    };
    for condition in built.iter_mut().filter(|c| c.type_ == kind.as_str()) {
        condition.observed_generation = before.observed_generation;
    }
}

/// The condition of this type, if it is there.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == kind.as_str())
}

fn ready(seen: &ConditionInputs<'_>) -> (ConditionStatus, ConditionInput) {
    let decided_by = match &seen.declared {
        Some(declared) => declared,
        None if seen.synced.reason != Reason::Reconciled => &seen.synced,
        None => &seen.outside.1,
    };
    let verified = seen.verified_generation == Some(seen.generation);
    match decided_by.reason.ready() {
        ReadyEffect::True => (ConditionStatus::True, decided_by.clone()),
        ReadyEffect::False => (ConditionStatus::False, decided_by.clone()),
        ReadyEffect::UntilVerified(_) if verified || lacks_what_is_off(seen, decided_by) => {
            (ConditionStatus::True, decided_by.clone())
        }
        ReadyEffect::UntilVerified(before) => (before, decided_by.clone()),
        ReadyEffect::AsItWas => (previous_ready(seen.previous), decided_by.clone()),
    }
}

/// Whether nothing is to be waited for: what is missing is there, and switched off.
fn lacks_what_is_off(seen: &ConditionInputs<'_>, decided_by: &ConditionInput) -> bool {
    let lacks = matches!(
        decided_by.reason,
        Reason::NoEndpoint | Reason::NoValidCredential | Reason::CandidatesUnavailable
    );
    seen.lacks_what_is_off && lacks
}

fn previous_ready(previous: &[Condition]) -> ConditionStatus {
    match find(previous, ConditionType::Ready).map(|c| c.status.as_str()) {
        Some("True") => ConditionStatus::True,
        Some("False") => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    }
}

fn build(
    seen: &ConditionInputs<'_>,
    kind: ConditionType,
    status: ConditionStatus,
    finding: &ConditionInput,
    now: Timestamp,
) -> Condition {
    let since = find(seen.previous, kind)
        .filter(|c| c.status == status.as_str())
        .map_or_else(|| Time(seconds(now)), |c| c.last_transition_time.clone());
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: finding.reason.as_str().to_owned(),
        message: finding.message.clone(),
        last_transition_time: since,
        observed_generation: Some(seen.generation),
    }
}

/// Kubernetes keeps times to the second; a finer one would differ after the round trip.
pub fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn built(reason: Reason, previous: &[Condition], now: i64) -> Vec<Condition> {
        let nothing = ConditionInput::new(Reason::NotCheckedYet, "");
        let inputs = ConditionInputs {
            generation: 1,
            verified_generation: None,
            synced: ConditionInput::new(reason, "why"),
            outside: (ConditionType::Healthy, nothing),
            declared: None,
            lacks_what_is_off: false,
            previous,
        };
        conditions(&inputs, at(now))
    }

    fn stalled_for(conditions: &[Condition]) -> Option<&str> {
        find(conditions, ConditionType::Stalled).map(|c| c.reason.as_str())
    }

    #[test]
    fn what_another_object_may_end_is_stalled_after_half_a_minute_and_nothing_else_waits() {
        let reasons = Reason::ALL
            .iter()
            .filter(|r| r.ready() == ReadyEffect::False);
        for reason in reasons {
            let first = built(*reason, &[], 0);
            let ready = find(&first, ConditionType::Ready).unwrap();
            assert_eq!(ready.status, "False");
            if !reason.may_still_end_by_itself() {
                assert_eq!(stalled_for(&first), Some(reason.as_str()));
                assert_eq!(awaited(&first), None);
                continue;
            }
            assert_eq!(stalled_for(&first), None, "{reason}");
            assert_eq!(awaited(&first), Some((*reason, at(30))));
            let early = built(*reason, &first, 29);
            assert_eq!(stalled_for(&early), None);
            let late = built(*reason, &early, 30);
            assert_eq!(stalled_for(&late), Some(reason.as_str()));
            assert_eq!(awaited(&late), None);
            assert_eq!(built(*reason, &late, 31), late);
        }
    }

    #[test]
    fn the_time_begins_anew_with_another_reason() {
        let provider = built(Reason::ProviderNotFound, &[], 0);
        let stalled = built(Reason::ProviderNotFound, &provider, 40);
        let endpoint = built(Reason::EndpointNotFound, &stalled, 50);
        assert_eq!(stalled_for(&endpoint), None);
        assert_eq!(awaited(&endpoint).map(|(_, until)| until), Some(at(80)));
        let invalid = built(Reason::InvalidSpec, &endpoint, 60);
        assert_eq!(stalled_for(&invalid), Some("InvalidSpec"));
        let missing = built(Reason::SecretNotFound, &invalid, 70);
        assert_eq!(awaited(&missing).map(|(_, until)| until), Some(at(100)));
    }

    #[test]
    fn a_lost_database_neither_stalls_nor_forgets_what_was_stalled() {
        let waits = built(Reason::ProviderNotFound, &[], 0);
        assert_eq!(
            stalled_for(&built(Reason::DatabaseUnavailable, &waits, 40)),
            None
        );
        let stalled = built(Reason::ProviderNotFound, &waits, 30);
        let lost = built(Reason::DatabaseUnavailable, &stalled, 40);
        assert_eq!(stalled_for(&lost), Some("ProviderNotFound"));
        let back = built(Reason::ProviderNotFound, &lost, 50);
        assert_eq!(stalled_for(&back), Some("ProviderNotFound"));
        assert_eq!(awaited(&back), None);
    }

    #[test]
    fn what_the_vendor_causes_never_stalls() {
        for reason in [
            Reason::ProbeFailed,
            Reason::SyncFailed,
            Reason::QuotaExhausted,
        ] {
            let inputs = ConditionInputs {
                generation: 1,
                verified_generation: None,
                synced: ConditionInput::new(Reason::Reconciled, ""),
                outside: (ConditionType::Healthy, ConditionInput::new(reason, "")),
                declared: None,
                lacks_what_is_off: false,
                previous: &[],
            };
            let failed = conditions(&inputs, at(0));
            assert_eq!(find(&failed, ConditionType::Ready).unwrap().status, "False");
            assert_eq!(stalled_for(&failed), None, "{reason}");
        }
    }
}
