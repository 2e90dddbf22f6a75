//! The one place that builds conditions and decides `Ready` and `Stalled`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::reasons::{ConditionStatus, ReadyEffect, Reason};

/// Longest message kept, in characters. Kubernetes refuses more than 32,768.
const MAX_MESSAGE_CHARS: usize = 1024;

/// Type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// This generation is in PostgreSQL.
    Synced,
    /// Endpoint: it answers.
    Healthy,
    /// Credential: the vendor takes the key.
    Valid,
    /// Model: the vendor lists it, or it answered.
    Available,
    /// Provider: the vendor's model list was read.
    ModelsSynced,
    /// What was declared is in force, and nothing is left for the user to fix.
    Ready,
    /// The user must act; goes with every `Ready=False`.
    Stalled,
}

impl ConditionType {
    /// The word that stands in `status.conditions[].type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::Healthy => "Healthy",
            Self::Valid => "Valid",
            Self::Available => "Available",
            Self::ModelsSynced => "ModelsSynced",
            Self::Ready => "Ready",
            Self::Stalled => "Stalled",
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
    /// The conditions as they were, for transition times and `AsItWas`.
    pub previous: &'a [Condition],
}

/// The conditions of one object, in a fixed order: `Synced`, the kind's own, `Ready`, `Stalled`.
///
/// Pure: the same input gives the same output, and a condition whose status did not change keeps
/// its transition time.
pub fn conditions(seen: &ConditionInputs<'_>, now: Timestamp) -> Vec<Condition> {
    let (outside_type, outside) = &seen.outside;
    let (ready, decided_by) = ready(seen);
    let as_it_was = decided_by.reason.ready() == ReadyEffect::AsItWas;
    let mut built = vec![
        build(
            seen,
            ConditionType::Synced,
            seen.synced.reason.status(),
            &seen.synced,
            now,
        ),
        build(seen, *outside_type, outside.reason.status(), outside, now),
        build(seen, ConditionType::Ready, ready, &decided_by, now),
    ];
    if ready == ConditionStatus::False {
        built.push(build(
            seen,
            ConditionType::Stalled,
            ConditionStatus::True,
            &decided_by,
            now,
        ));
    }
    if as_it_was {
        carried_over(&mut built, ConditionType::Ready, seen.previous);
    }
    built
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
        ReadyEffect::UntilVerified(_) if verified => (ConditionStatus::True, decided_by.clone()),
        ReadyEffect::UntilVerified(before) => (before, decided_by.clone()),
        ReadyEffect::AsItWas => (previous_ready(seen.previous), decided_by.clone()),
    }
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
