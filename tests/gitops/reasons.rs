//! What Flux (by kstatus) and Argo CD conclude of every reason, in the conditions that the product makes of it:
//! of each kind, at once and once it has stood, before the first proof and after.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use llmplane::crd::Kind;
use llmplane::crd::conditions::{
    ConditionInput, ConditionInputs, ConditionType, STALL_GRACE, conditions,
};
use llmplane::crd::reasons::Reason;
use serde_json::{Value, json};

use super::{FAILS, PASSES, ROOT, WAITS, agree};

const GENERATION: i64 = 3;

/// At once, and once it has stood for [`STALL_GRACE`]: of a generation that no check has proven, and of one that a
/// check has.
fn concluded(reason: Reason) -> [[&'static str; 2]; 2] {
    use Reason::*;
    match reason {
        Reconciled | Disabled | ProviderDisabled | UnderMaintenance | Deprecated
        | ProbeSucceeded | KeyAccepted | KeyRestricted | ExpiresSoon | RetiresSoon
        | ModelListed | CandidateFound | ModelAnswered | SyncSucceeded | CheckDisabled
        | SyncDisabled | Unverifiable => [[PASSES; 2]; 2],
        NotCheckedYet
        | CheckInconclusive
        | NoEndpoint
        | NoValidCredential
        | ProbeFailed
        | SyncFailed
        | QuotaExhausted
        | CandidatesUnavailable
        | DatabaseUnavailable
        | KeyringUnavailable => [[WAITS; 2], [PASSES; 2]],
        ProviderNotFound | EndpointNotFound | CredentialNotFound | LimitExceeded
        | DuplicateModel | SecretNotFound | ExchangeRefused | NoCandidate => [[WAITS, FAILS]; 2],
        InvalidSpec | AddressRefused | SecretNotLabelled | SecretFieldMissing | KeyMalformed
        | HostNotAllowed | KeyRejected | Expired | Retired | ModelNotFound | ModelAccessDenied => {
            [[FAILS; 2]; 2]
        }
    }
}

/// The kinds and conditions that carry a reason, by the table that people read.
fn places(reason: Reason) -> Vec<(Kind, ConditionType)> {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/conditions.md")).unwrap();
    let row = format!("| `{reason}` | ");
    let row = page.lines().find_map(|line| line.strip_prefix(&row));
    let (named, _) = row.and_then(|row| row.split_once(" |")).expect("a row");
    let mut places = Vec::new();
    for place in named.split(", ") {
        let (condition, of) = place.split_once(" of ").unwrap_or((place, ""));
        let condition: ConditionType = condition.parse().unwrap();
        let everywhere = [ConditionType::Synced, ConditionType::Ready].contains(&condition);
        let kinds = Kind::ALL.iter().copied().filter(|kind| {
            (everywhere || ConditionType::outside_of(*kind) == condition)
                && (of.is_empty() || of == kind.kubernetes())
        });
        places.extend(kinds.map(|kind| (kind, condition)));
    }
    assert!(!places.is_empty(), "{reason}");
    places
}

/// What proves an object of this kind.
fn proof(kind: Kind) -> ConditionInput {
    let reason = match kind {
        Kind::Provider => Reason::SyncSucceeded,
        Kind::Endpoint => Reason::ProbeSucceeded,
        Kind::Credential => Reason::KeyAccepted,
        Kind::Model => Reason::ModelListed,
        Kind::ModelClass => Reason::CandidateFound,
    };
    ConditionInput::new(reason, "proven")
}

/// The conditions of an object of which this is found, at once and once it has stood.
fn found(
    (kind, condition): (Kind, ConditionType),
    reason: Reason,
    proven: bool,
    before: &[Condition],
) -> [Vec<Condition>; 2] {
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let reason = ConditionInput::new(reason, "found");
    let mut seen = ConditionInputs {
        generation: GENERATION,
        verified_generation: proven.then_some(GENERATION),
        synced: ConditionInput::new(Reason::Reconciled, "stored"),
        outside: (ConditionType::outside_of(kind), proof(kind)),
        declared: None,
        lacks_what_is_off: false,
        previous: before,
    };
    match condition {
        ConditionType::Synced => seen.synced = reason,
        ConditionType::Ready => seen.declared = Some(reason),
        _ => seen.outside.1 = reason,
    }
    let first = conditions(&seen, at);
    seen.previous = &first;
    let later = conditions(&seen, at + STALL_GRACE + SignedDuration::from_secs(1));
    [first, later]
}

fn object(kind: Kind, name: &str, conditions: &[Condition]) -> Value {
    json!({
        "apiVersion": "llmplane.dev/v1alpha1",
        "kind": kind.kubernetes(),
        "metadata": { "name": name, "generation": GENERATION },
        "status": { "observedGeneration": GENERATION, "conditions": conditions },
    })
}

#[test]
fn flux_and_argocd_conclude_the_same_of_every_reason() {
    let (mut objects, mut wanted) = (Vec::new(), Vec::new());
    for reason in Reason::ALL {
        for place in places(*reason) {
            let kind = place.0;
            let [passed, _] = found(
                (kind, ConditionType::outside_of(kind)),
                proof(kind).reason,
                true,
                &[],
            );
            let unproven = found(place, *reason, false, &[]);
            let proven = found(place, *reason, true, &passed);
            for (conditions, tools) in [unproven, proven].iter().zip(concluded(*reason)) {
                for (conditions, tool) in conditions.iter().zip(tools) {
                    let name = format!("{reason}-{}", objects.len());
                    objects.push(object(kind, &name, conditions));
                    wanted.push((name, tool));
                }
            }
        }
    }
    let mut wanted = wanted.into_iter();
    agree(&objects, |object| {
        let (name, tool) = wanted.next().unwrap();
        assert_eq!(object["metadata"]["name"], name);
        tool
    });
}

/// A failure that was told does not turn into waiting while PostgreSQL is away.
#[test]
fn what_we_depend_on_leaves_a_failure_as_it_was() {
    let place = (Kind::Credential, ConditionType::Valid);
    let [failed, _] = found(place, Reason::KeyRejected, true, &[]);
    let away = [Reason::DatabaseUnavailable, Reason::KeyringUnavailable];
    let states = away.map(|reason| {
        found(
            (Kind::Credential, ConditionType::Synced),
            reason,
            true,
            &failed,
        )
    });
    let objects: Vec<Value> = states
        .iter()
        .flatten()
        .map(|conditions| object(place.0, "c", conditions))
        .collect();
    agree(&objects, |_| FAILS);
}

#[test]
fn the_guide_names_what_is_stalled_only_after_a_while() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/gitops.md")).unwrap();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, list) = page.split_once("what may still end by itself (").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    let mut named: Vec<&str> = list.split(", ").map(|it| it.trim_matches('`')).collect();
    let mut late: Vec<&str> = Reason::ALL
        .iter()
        .filter(|reason| reason.may_still_end_by_itself())
        .map(|reason| reason.as_str())
        .collect();
    named.sort_unstable();
    late.sort_unstable();
    assert_eq!(named, late);
}
