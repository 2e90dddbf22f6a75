//! What a credential's declaration, its Secret and its checks amount to. Pure.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use url::Url;
use uuid::Uuid;

use super::{dereference::CredentialInputs, expiry, proof, secret_cache::SecretProblem};
use crate::{
    checks::{JobKey, PlannedJob, Stored, inputs},
    controller::{
        error::Refusal,
        kinds::{identity, parent, precedence, provider::validate::seconds, storable},
        runtime::{index::asked_at, queue::Next},
        status::evaluate::{Evaluation, EvaluationInputs, PreviousStatus, ProofInputs, evaluate},
    },
    crd::{
        MAX_CREDENTIALS_PER_PROVIDER, ProviderType,
        conditions::{ConditionInput, ConditionType},
        credential::VersionState,
        reasons::{ConditionStatus, Reason},
    },
    db::{CheckKind, CredentialVersionRow, EndpointRow, StoredCheck},
    keys::{
        key_allowed,
        versions::{
            self, KeyLoss, KnownVersions, PendingWait, SecretState, SecretView, VersionRules,
            VersionSteps, VersionVerdict,
        },
    },
    vendors::vendor,
};

/// What is to be in force.
pub struct ValidatedCredential {
    pub provider_uid: Uuid,
    pub provider_type: ProviderType,
    /// The endpoints that `endpointRefs` names; empty for all.
    pub endpoint_uids: Vec<Uuid>,
    /// The credential and its provider are switched on.
    pub on: bool,
}

/// What is said of a key whose Secret does not hold it any more.
pub const KEY_DESTROYED: &str = "the stored key has been destroyed";

/// What is to be in force, or why nothing is.
pub fn desired(input: &CredentialInputs) -> Result<ValidatedCredential, Refusal> {
    if let Some(refusal) = storable::refusal(&*input.object, &input.object.spec) {
        return Err(refusal);
    }
    let provider = input.parent.found()?;
    let spec = &input.object.spec;
    let name = &spec.provider_ref.name;
    if !precedence::within_limit(
        &*input.object,
        &input.siblings,
        MAX_CREDENTIALS_PER_PROVIDER,
    ) {
        return Err(Refusal::new(
            Reason::LimitExceeded,
            format!(
                "LlmProvider {name} has {MAX_CREDENTIALS_PER_PROVIDER} older credentials already; delete one of them, or this one"
            ),
        ));
    }
    Ok(ValidatedCredential {
        provider_uid: identity::uid(provider),
        provider_type: provider.spec.type_,
        endpoint_uids: parent::endpoint_uids(name, &spec.endpoint_refs, &input.endpoints)?,
        on: spec.enabled && provider.spec.enabled,
    })
}

/// The steps that its versions have to take.
pub fn steps(
    input: &CredentialInputs,
    desired: Option<&ValidatedCredential>,
    now: Timestamp,
) -> VersionSteps {
    let spec = &input.object.spec;
    let secret = match desired.and(input.secret.as_ref()) {
        Some(Ok(holding)) => SecretView::Holds(SecretState {
            fingerprint: &holding.fingerprint,
            provider_type: holding.consent.provider_type,
            hosts: &holding.consent.hosts,
        }),
        Some(Err(SecretProblem {
            loss: Some(loss), ..
        })) => SecretView::Lacks(*loss),
        Some(Err(_)) | None => SecretView::Unknown,
    };
    let on = desired.is_some_and(|desired| desired.on);
    let status = input.object.status.as_ref();
    let known = KnownVersions {
        rows: &input.versions,
        told: status.map_or(&[], |status| &status.versions),
        unreadable: &input.unreadable.versions,
    };
    let terms = VersionRules {
        grace: Duration::from_secs(u64::try_from(spec.rotation.grace_seconds).unwrap_or(0)),
        validated: spec.validation.enabled && on,
        on,
    };
    let judged = |row: &CredentialVersionRow| judged(input, desired, row);
    versions::steps(known, secret, &judged, terms, now)
}

/// What the checks say of a stored version: at the endpoints that the key is for now, with
/// what they are called with now. What was said elsewhere counts for nothing.
fn judged(
    input: &CredentialInputs,
    desired: Option<&ValidatedCredential>,
    row: &CredentialVersionRow,
) -> VersionVerdict {
    let Some(desired) = desired else {
        return VersionVerdict::NotYet {
            was_accepted: false,
        };
    };
    let eligible = parent::eligible(&input.endpoint_rows, &desired.endpoint_uids);
    let (allowed, _) = allowed(input, desired, &eligible);
    versions::judgement(allowed.iter().map(|endpoint| {
        let verdict = row.verdicts.get(&endpoint.uid);
        verdict.filter(|verdict| verdict.is_of(&endpoint.check_inputs))
    }))
}

/// The endpoints of which verdicts are kept, where a stored version has one of another.
pub fn verdicts_to_keep(input: &CredentialInputs) -> Option<Vec<Uuid>> {
    input.parent.found().ok()?;
    let keep: Vec<Uuid> = input.endpoint_rows.iter().map(|e| e.uid).collect();
    let mut noted = input.versions.iter().flat_map(|v| v.verdicts.keys());
    noted.any(|uid| !keep.contains(uid)).then_some(keep)
}

/// A version that may be used, after the steps.
pub struct Usable<'a> {
    pub version: i32,
    pub state: VersionState,
    pub fingerprint: String,
    pub masked_key: String,
    /// Until when it may be used, where that is decided.
    pub until: Option<Timestamp>,
    /// Stored already, with what was said of it.
    row: Option<&'a CredentialVersionRow>,
}

/// The versions as the steps leave them, without the destroyed ones, newest first.
pub fn after_steps<'a>(input: &'a CredentialInputs, steps: &VersionSteps) -> Vec<Usable<'a>> {
    let mut usable: Vec<Usable<'a>> = input
        .versions
        .iter()
        .map(|row| {
            let moved = steps.moves.iter().find(|m| m.version == row.version);
            Usable {
                version: row.version,
                state: moved.map_or(row.state, |m| m.state),
                until: moved.map_or(row.grace_until, |m| m.grace_until),
                fingerprint: row.fingerprint.clone(),
                masked_key: row.masked_key.clone(),
                row: Some(row),
            }
        })
        .filter(|usable| usable.state != VersionState::Destroyed)
        .collect();
    if let (Some(insert), Some(holding)) = (steps.insert, input.holding()) {
        usable.insert(
            0,
            Usable {
                version: insert.version,
                state: insert.state,
                fingerprint: holding.fingerprint.clone(),
                masked_key: holding.masked_key.clone(),
                until: None,
                row: None,
            },
        );
    }
    usable
}

impl<'a> Usable<'a> {
    /// What was said of it at this endpoint, with what the endpoint is called with now.
    fn verdict(&self, endpoint: &EndpointRow) -> Option<&'a StoredCheck> {
        let verdict = self.row?.verdicts.get(&endpoint.uid)?;
        verdict.is_of(&endpoint.check_inputs).then_some(verdict)
    }
}

/// The version of this state.
pub fn in_state<'a, 'b>(versions: &'b [Usable<'a>], state: VersionState) -> Option<&'b Usable<'a>> {
    versions.iter().find(|v| v.state == state)
}

/// The declared endpoints that it is for.
fn named(input: &CredentialInputs) -> parent::Named<'_> {
    parent::Named {
        declared: &input.endpoints,
        refs: &input.object.spec.endpoint_refs,
    }
}

/// The conditions, and whether it is in force.
pub fn validate(
    input: &CredentialInputs,
    desired: &Result<ValidatedCredential, Refusal>,
    (steps, versions): (&VersionSteps, &[Usable<'_>]),
    settled: bool,
    now: Timestamp,
) -> Evaluation {
    let row = input.row.as_ref();
    let status = input.object.status.as_ref();
    let still_holds = row
        .zip(desired.as_ref().ok())
        .is_some_and(|(row, desired)| proof::still_holds(row, input, desired));
    let valid = match desired {
        Ok(desired) => validity(input, desired, (steps, versions), now),
        Err(_) => ConditionInput::new(Reason::NotCheckedYet, ""),
    };
    evaluate(
        &EvaluationInputs {
            generation: identity::generation(&*input.object),
            enabled: input.object.spec.enabled,
            provider_enabled: input.parent.enabled(),
            refusal: desired.as_ref().err(),
            declared: rejected_successor(input, desired.as_ref().ok(), versions),
            outside: (ConditionType::Valid, valid),
            proof: desired.as_ref().map_or_else(
                |_| ProofInputs::default(),
                |desired| proof_inputs(input, desired, versions),
            ),
            lacks_what_is_off: named(input).all_off(),
            asked: asked_at(&*input.object),
            settled,
            before: PreviousStatus::of(row, status).carried(
                row.map(|row| row.generation),
                identity::generation(&*input.object),
                still_holds,
            ),
        },
        now,
    )
}

/// The key in use, at each endpoint that it may go to.
fn proof_inputs(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    versions: &[Usable<'_>],
) -> ProofInputs {
    let Some(current) = in_state(versions, VersionState::Current) else {
        return ProofInputs::default();
    };
    let eligible = parent::eligible(&input.endpoint_rows, &desired.endpoint_uids);
    let (allowed, _) = allowed(input, desired, &eligible);
    let inputs =
        |e: &EndpointRow| inputs::with_key(&e.check_inputs, Some(current.fingerprint.as_str()));
    let passed = |e: &&&EndpointRow| {
        let verdict = current.verdict(e);
        verdict.is_some_and(|verdict| verdict.reason.status() == ConditionStatus::True)
    };
    ProofInputs {
        passed: allowed.iter().filter(passed).map(|e| inputs(e)).collect(),
        possible: allowed.iter().map(|e| inputs(e)).collect(),
        is_partial: false,
    }
}

/// A new key that the vendor refuses: the old one stays in use, and the owner has to act.
fn rejected_successor(
    input: &CredentialInputs,
    desired: Option<&ValidatedCredential>,
    versions: &[Usable<'_>],
) -> Option<ConditionInput> {
    let pending = in_state(versions, VersionState::Pending)?;
    let current = in_state(versions, VersionState::Current)?;
    (judged(input, desired, pending.row?) == VersionVerdict::Rejected).then(|| {
        ConditionInput::new(
            Reason::KeyRejected,
            format!(
                "version {} of the key, now in Secret {}, is refused by the vendor; version {} stays in use",
                pending.version, input.object.spec.secret_ref.name, current.version
            ),
        )
    })
}

fn validity(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    (steps, versions): (&VersionSteps, &[Usable<'_>]),
    now: Timestamp,
) -> ConditionInput {
    if let Some(expires) = expires_at(input).filter(|at| *at <= now) {
        return ConditionInput::new(
            Reason::Expired,
            format!("spec.expiresAt {expires} has passed; store a new key and move it"),
        );
    }
    let holding = match &input.secret {
        Some(Err(problem)) => {
            let mut notes = unreadable(input, versions);
            notes.extend(fate(input, problem.loss, versions));
            return with_notes(problem.input.clone(), &notes);
        }
        Some(Ok(holding)) => Some(holding),
        None => None,
    };
    let judged = judged_at_endpoints(input, desired, versions);
    let mut notes = holding.map_or_else(Vec::new, |h| h.notes.clone());
    let waiting = steps
        .waits
        .and_then(|w| waiting(input, desired, versions, w));
    notes.extend(waiting);
    soon_expired(input, with_notes(judged, &notes), now)
}

/// What is said of a new key that no check could judge: that it waits, until when, and why.
fn waiting(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    versions: &[Usable<'_>],
    wait: PendingWait,
) -> Option<String> {
    let pending = versions.iter().find(|v| v.version == wait.version)?;
    let current = in_state(versions, VersionState::Current)?.version;
    let eligible = parent::eligible(&input.endpoint_rows, &desired.endpoint_uids);
    let (allowed, _) = allowed(input, desired, &eligible);
    let said: Vec<(&str, &str)> = (allowed.iter())
        .filter_map(|endpoint| {
            let verdict = pending.row?.verdicts.get(&endpoint.uid)?;
            let here = verdict.is_of(&endpoint.base_url);
            here.then_some((endpoint.name.as_str(), verdict.message.as_str()))
        })
        .collect();
    let why = match said.as_slice() {
        [] => "there is no endpoint to check it at".to_owned(),
        [(_, message)] => (*message).to_owned(),
        several => {
            let each = several
                .iter()
                .map(|(name, m)| format!("at endpoint {name}: {m}"));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    let (version, secret) = (pending.version, &input.object.spec.secret_ref.name);
    Some(match wait.until {
        Some(until) => format!(
            "version {version} of the key, now in Secret {secret}, waits until {until} to replace version {current}, unless a check decides before: {why}"
        ),
        None => format!(
            "version {version} of the key, now in Secret {secret}, was refused and does not replace version {current}, which was accepted: {why}; put another key in the Secret, or take this one unchecked with spec.validation.enabled: false"
        ),
    })
}

/// A sentence for each version that stays as it is until the Secret's key can be sealed anew.
fn unreadable(input: &CredentialInputs, versions: &[Usable<'_>]) -> Vec<String> {
    versions
        .iter()
        .filter(|usable| input.unreadable.versions.contains(&usable.version))
        .map(|usable| {
            let why = match input.unreadable.lost.get(&usable.version) {
                Some(kek) => format!("cannot be opened: its key-encryption key {kek} is lost"),
                None => "does not authenticate and cannot be used: its row in the database was changed or moved".to_owned(),
            };
            format!("version {} of the key, as it is stored, {why}", usable.version)
        })
        .collect()
}

/// What becomes of the stored key, now that its Secret holds none.
fn fate(
    input: &CredentialInputs,
    loss: Option<KeyLoss>,
    versions: &[Usable<'_>],
) -> Option<String> {
    let loss = loss.filter(|_| !input.versions.is_empty())?;
    let Some(current) = in_state(versions, VersionState::Current) else {
        return Some(KEY_DESTROYED.to_owned());
    };
    let until = current.until?;
    let unless = match loss {
        KeyLoss::SecretGone => "the Secret comes back",
        KeyLoss::Withdrawn | KeyLoss::EntryGone => "the Secret holds a key by then",
    };
    Some(format!(
        "the stored key is destroyed at {until}, unless {unless}"
    ))
}

fn with_notes(mut finding: ConditionInput, notes: &[String]) -> ConditionInput {
    for note in notes {
        finding = ConditionInput::new(finding.reason, format!("{}; {note}", finding.message));
    }
    finding
}

fn soon_expired(
    input: &CredentialInputs,
    finding: ConditionInput,
    now: Timestamp,
) -> ConditionInput {
    let warning = expires_at(input).and_then(|at| expiry::warning(at, now));
    let Some(warning) = warning.filter(|_| finding.reason.status() != ConditionStatus::False)
    else {
        return finding;
    };
    let reason = match finding.reason {
        Reason::KeyAccepted | Reason::KeyRestricted => Reason::ExpiresSoon,
        unproved => unproved,
    };
    ConditionInput::new(reason, format!("{warning}; {}", finding.message))
}

fn judged_at_endpoints(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    versions: &[Usable<'_>],
) -> ConditionInput {
    let eligible = parent::eligible(&input.endpoint_rows, &desired.endpoint_uids);
    if eligible.is_empty() {
        return ConditionInput::new(Reason::NoEndpoint, parent::no_endpoint(named(input)));
    }
    let (allowed, left_out) = allowed(input, desired, &eligible);
    if allowed.is_empty() {
        return ConditionInput::new(Reason::HostNotAllowed, left_out[0].1.clone());
    }
    if !input.object.spec.validation.enabled {
        return ConditionInput::new(
            Reason::CheckDisabled,
            "not checked: spec.validation.enabled is false",
        );
    }
    let current = in_state(versions, VersionState::Current);
    let verdicts: Vec<(&str, Option<&StoredCheck>)> = allowed
        .iter()
        .map(|e| {
            let verdict = current.and_then(|v| v.verdict(e));
            (e.name.as_str(), verdict)
        })
        .collect();
    let not_at: Vec<&str> = left_out.iter().map(|(name, _)| name.as_str()).collect();
    combine(&verdicts, &not_at)
}

/// Endpoints whose host the Secret's owner allows, and the names of the others with the reason.
fn allowed<'a>(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    eligible: &[&'a EndpointRow],
) -> (Vec<&'a EndpointRow>, Vec<(String, String)>) {
    let Some(holding) = input.holding() else {
        return (eligible.to_vec(), Vec::new());
    };
    let (mut allowed, mut left_out) = (Vec::new(), Vec::new());
    for endpoint in eligible {
        let sealed = holding.consent.provider_type.as_str();
        let may = Url::parse(&endpoint.base_url)
            .map_err(|_| "its URL cannot be read".to_owned())
            .and_then(|url| {
                key_allowed(
                    sealed,
                    &holding.consent.hosts,
                    vendor(desired.provider_type),
                    &url,
                )
                .map_err(|why| why.to_string())
            });
        match may {
            Ok(()) => allowed.push(*endpoint),
            Err(why) => left_out.push((endpoint.name.clone(), why)),
        }
    }
    (allowed, left_out)
}

/// How good a verdict is: the best one decides, for a key that works somewhere is in force.
const BEST_FIRST: [Reason; 9] = [
    Reason::KeyAccepted,
    Reason::KeyRestricted,
    Reason::QuotaExhausted,
    Reason::NotCheckedYet,
    Reason::Unverifiable,
    Reason::CheckInconclusive,
    Reason::AddressRefused,
    Reason::HostNotAllowed,
    Reason::KeyRejected,
];

/// One finding for all endpoints.
fn combine(verdicts: &[(&str, Option<&StoredCheck>)], not_at: &[&str]) -> ConditionInput {
    let reason_of = |v: &Option<&StoredCheck>| v.map_or(Reason::NotCheckedYet, |v| v.reason);
    let rank = |reason: Reason| {
        let known = BEST_FIRST.iter().position(|r| *r == reason);
        known.unwrap_or(BEST_FIRST.len())
    };
    let Some((name, best)) = verdicts.iter().min_by_key(|(_, v)| rank(reason_of(v))) else {
        return ConditionInput::new(Reason::NoEndpoint, "there is no endpoint to check it at");
    };
    let reason = reason_of(best);
    let mut message = match best {
        Some(verdict) if verdicts.len() > 1 => format!("at endpoint {name}: {}", verdict.message),
        Some(verdict) => verdict.message.clone(),
        None => "the first check is under way".to_owned(),
    };
    let unlike: Vec<String> = verdicts
        .iter()
        .filter(|(_, v)| rank(reason_of(v)) > rank(reason) && v.is_some())
        .map(|(name, v)| format!("{name} ({})", reason_of(v)))
        .chain(not_at.iter().map(|name| format!("{name} (HostNotAllowed)")))
        .collect();
    if !unlike.is_empty() {
        message = format!("{message}; not at {}", unlike.join(", "));
    }
    ConditionInput::new(reason, message)
}

/// The checks to make: at each endpoint that the key may go to.
pub fn jobs(
    input: &CredentialInputs,
    desired: Option<&ValidatedCredential>,
    versions: &[Usable<'_>],
) -> Vec<PlannedJob> {
    let check = &input.object.spec.validation;
    let Some(desired) = desired.filter(|d| d.on && check.enabled) else {
        return Vec::new();
    };
    let checked: Vec<&Usable<'_>> = versions
        .iter()
        .filter(|v| matches!(v.state, VersionState::Current | VersionState::Pending))
        .collect();
    if checked.is_empty() || input.holding().is_none() {
        return Vec::new();
    }
    let generation = identity::generation(&*input.object);
    let asked = asked_at(&*input.object);
    let handled = (input.row.as_ref()).and_then(|r| r.last_handled_reconcile_at.as_deref());
    let numbers: Vec<i32> = checked.iter().map(|v| v.version).collect();
    let eligible = parent::eligible(&input.endpoint_rows, &desired.endpoint_uids);
    let (allowed, _) = allowed(input, desired, &eligible);
    allowed
        .iter()
        .map(|endpoint| {
            let mut trigger = DefaultHasher::new();
            (
                generation,
                asked,
                &numbers,
                &endpoint.check_inputs,
                endpoint.generation,
            )
                .hash(&mut trigger);
            let stored = |version: &&Usable<'_>| match version.verdict(endpoint) {
                Some(verdict) if asked == handled => Stored::of(verdict),
                _ => Stored::Nothing,
            };
            PlannedJob {
                key: JobKey {
                    kind: CheckKind::Validation,
                    subject: input.owner.uid,
                    endpoint: endpoint.uid,
                },
                period: seconds(check.period_seconds),
                timeout: seconds(check.timeout_seconds),
                trigger: trigger.finish(),
                stored: checked
                    .iter()
                    .map(stored)
                    .fold(Stored::StoredCheck, Stored::and),
                apart: std::time::Duration::ZERO,
                not_final: None,
                held: false,
            }
        })
        .collect()
}

/// When it expires, if it does.
pub fn expires_at(input: &CredentialInputs) -> Option<Timestamp> {
    input.object.spec.expires_at.as_ref().map(|t| t.0)
}

/// When time alone changes something: a grace, a wait, an expiry.
pub fn next(input: &CredentialInputs, steps: &VersionSteps, now: Timestamp) -> Next {
    let expiry = expires_at(input).and_then(|at| expiry::next(at, now));
    [steps.again_at, expiry]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
        .and_then(|at| Duration::try_from(at.duration_since(now)).ok())
        .map_or(Next::Done, |wait| {
            Next::After(wait + Duration::from_secs(1))
        })
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
