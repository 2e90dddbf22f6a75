//! What a credential's declaration, its Secret and its checks amount to. Pure.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    dereference::CredentialInputs,
    expiry, federation, proof,
    secret_cache::SecretProblem,
    usable::{Usable, in_state},
    verdicts::{allowed, judged, judged_at_endpoints, named},
};
use crate::{
    checks::inputs,
    controller::{
        error::Refusal,
        kinds::{deadline::EXPIRY, identity, parent, precedence, storable},
        runtime::{index::asked_at, queue::Next},
        status::evaluate::{Evaluation, EvaluationInputs, PreviousStatus, ProofInputs, evaluate},
    },
    crd::{
        MAX_CREDENTIALS_PER_PROVIDER, ProviderType,
        conditions::{ConditionInput, ConditionType},
        credential::VersionState,
        reasons::{ConditionStatus, Reason},
        rules,
    },
    db::{CredentialVersionRow, EndpointRow},
    keys::versions::{
        self, KeyLoss, KnownVersions, PendingWait, SecretState, SecretView, VersionRules,
        VersionSteps, VersionVerdict,
    },
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
    let misfit = match (&spec.secret_ref, &spec.federation) {
        (Some(_), None) => None,
        (None, Some(federation)) => federation.misfit(provider.spec.type_),
        _ => Some(rules::KEY_OR_FEDERATION_MESSAGE.to_owned()),
    };
    if let Some(why) = misfit {
        return Err(Refusal::new(Reason::InvalidSpec, why));
    }
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
        Some(Err(_)) => SecretView::Unknown,
        None => match desired.filter(|_| spec.federation.is_some()) {
            Some(desired) => {
                SecretView::Exchanged(desired.provider_type, input.account_hosts.as_deref())
            }
            None => SecretView::Unknown,
        },
    };
    let on = desired.is_some_and(|desired| desired.on);
    let status = input.object.status.as_ref();
    let known = KnownVersions {
        rows: &input.versions,
        told: status.map_or(&[], |status| &status.versions),
        unreadable: &input.unreadable.versions,
        unknown_kek: &input.unreadable.unknown_kek,
    };
    let terms = VersionRules {
        grace: Duration::from_secs(u64::try_from(spec.rotation.grace_seconds).unwrap_or(0)),
        validated: spec.validation.enabled && on,
        on,
    };
    let judged = |row: &CredentialVersionRow| judged(input, desired, row);
    versions::steps(known, secret, &judged, terms, now)
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
    // A token changes all the time; what it is proof of is who it was given to.
    let identity = input.object.spec.federation.as_ref();
    let identity = identity.map(|f| federation::exchange_inputs(desired, f));
    let current = in_state(versions, VersionState::Current);
    let current = current.filter(|current| identity.as_deref() == current.exchanged_with());
    let key = identity
        .as_deref()
        .or(current.map(|current| &*current.fingerprint));
    let Some(key) = key else {
        return ProofInputs::default();
    };
    let eligible = parent::eligible(&input.endpoint_rows, &desired.endpoint_uids);
    let (allowed, _) = allowed(input, desired, &eligible);
    let inputs = |e: &EndpointRow| inputs::with_key(&e.check_inputs, Some(key));
    let passed = |e: &&&EndpointRow| {
        let verdict = current.and_then(|current| current.verdict(e));
        verdict.is_some_and(|verdict| verdict.reason.status() == ConditionStatus::True)
    };
    ProofInputs {
        passed: allowed.iter().filter(passed).map(|e| inputs(e)).collect(),
        possible: allowed.iter().map(|e| inputs(e)).collect(),
        is_partial: false,
    }
}

/// A new key that the vendor refuses: it does not replace the one before, and the owner has to act.
fn rejected_successor(
    input: &CredentialInputs,
    desired: Option<&ValidatedCredential>,
    versions: &[Usable<'_>],
) -> Option<ConditionInput> {
    let pending = in_state(versions, VersionState::Pending)?;
    let current = in_state(versions, VersionState::Current)?;
    let of_current = judged(input, desired, current.row?);
    (judged(input, desired, pending.row?) == VersionVerdict::Rejected).then(|| {
        ConditionInput::new(
            Reason::KeyRejected,
            format!(
                "version {} of the key, now in {}, is refused by the vendor; {}",
                pending.version,
                input.object.spec.source(),
                before_rejected(current.version, of_current),
            ),
        )
    })
}

/// What is left where a new version is rejected: the one before, which may be no better.
fn before_rejected(version: i32, judged: VersionVerdict) -> String {
    match judged {
        VersionVerdict::Rejected => {
            format!("so is version {version}, the one before, and nobody is given a key")
        }
        judged if judged.is_proved() => format!("version {version} stays in use"),
        _ => format!("version {version}, which no check has accepted, stays in use"),
    }
}

fn validity(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    (steps, versions): (&VersionSteps, &[Usable<'_>]),
    now: Timestamp,
) -> ConditionInput {
    if let Some(expires) = expiry::expired_at(&input.object, input.row.as_ref(), now) {
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
    let judged = match &input.object.spec.federation {
        Some(federation) => federation::validity(input, (desired, federation), versions, judged),
        None => judged,
    };
    let judged = with_keyring(input, versions, judged);
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
            let verdict = pending.verdict(endpoint)?;
            Some((endpoint.name.as_str(), verdict.message.as_str()))
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
    let (version, source) = (pending.version, input.object.spec.source());
    Some(match wait.until {
        Some(until) => format!(
            "version {version} of the key, now in {source}, waits until {until} to replace version {current}, unless a check decides before: {why}"
        ),
        None => format!(
            "version {version} of the key, now in {source}, was refused and does not replace version {current}, which was accepted, before it is accepted too: {why}; if it stays so, put another key there, or take this one unchecked with spec.validation.enabled: false"
        ),
    })
}

/// What is said of the key in use where the keyring lacks what opens it: that, unless something is said against
/// the key itself. What was said for it stands, and counts again once the keyring has what it lacks.
fn with_keyring(
    input: &CredentialInputs,
    versions: &[Usable<'_>],
    judged: ConditionInput,
) -> ConditionInput {
    let current = in_state(versions, VersionState::Current);
    let why = current.and_then(|current| input.unreadable.waiting.get(&current.version));
    let Some(why) = why else { return judged };
    match judged.reason.is_against_the_key() {
        true => with_notes(judged, std::slice::from_ref(why)),
        false => ConditionInput::new(Reason::KeyringUnavailable, why.clone()),
    }
}

/// A sentence for each version that stays as it is until the Secret's key can be sealed anew.
fn unreadable(input: &CredentialInputs, versions: &[Usable<'_>]) -> Vec<String> {
    versions
        .iter()
        .filter_map(|usable| {
            if let Some(why) = input.unreadable.waiting.get(&usable.version) {
                return Some(why.clone());
            }
            if !input.unreadable.versions.contains(&usable.version) {
                return None;
            }
            let why = match input.unreadable.lost.get(&usable.version) {
                Some(kek) => format!("cannot be opened: its key-encryption key {kek} is lost"),
                None => "does not authenticate and cannot be used: its row in the database was changed or moved".to_owned(),
            };
            Some(format!("version {} of the key, as it is stored, {why}", usable.version))
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
    let warning = expiry::expires_at(&input.object).and_then(|at| EXPIRY.warning(at, now));
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

/// When time alone changes something: a grace, a wait, an expiry.
pub fn next(input: &CredentialInputs, steps: &VersionSteps, now: Timestamp) -> Next {
    let expiry = expiry::expires_at(&input.object).and_then(|at| EXPIRY.next(at, now));
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
mod tests {
    use super::*;
    use crate::keys::versions::OpenVerdict;

    #[test]
    fn of_the_version_before_a_rejected_one_nothing_better_is_said_than_what_checks_found() {
        use VersionVerdict::{Accepted, NotYet, Open, Rejected, Unverifiable};
        let open = |was_accepted| {
            Open(OpenVerdict {
                was_accepted,
                ..OpenVerdict::default()
            })
        };
        let not_yet = |was_accepted| NotYet { was_accepted };
        for judged in [Accepted, open(true), not_yet(true)] {
            assert_eq!(before_rejected(1, judged), "version 1 stays in use");
        }
        for judged in [Unverifiable, open(false), not_yet(false)] {
            let said = before_rejected(1, judged);
            assert_eq!(said, "version 1, which no check has accepted, stays in use");
        }
        let said = before_rejected(1, Rejected);
        assert!(said.contains("nobody is given a key"), "{said}");
        assert!(!said.contains("in use"), "{said}");
    }
}
