//! What the checks said of a credential's key, and where it may go. Pure.

use uuid::Uuid;

use super::{
    dereference::CredentialInputs,
    federation,
    usable::{Usable, in_state},
    validate::ValidatedCredential,
};
use crate::{
    controller::kinds::parent,
    crd::{conditions::ConditionInput, credential::VersionState, reasons::Reason},
    db::{CredentialVersionRow, EndpointRow, StoredCheck},
    keys::{
        HostNotAllowed, key_allowed,
        versions::{self, VersionVerdict},
    },
    vendors::vendor,
};

/// What the checks say of a stored version: at the endpoints that the key is for now, with
/// what they are called with now. What was said elsewhere counts for nothing.
pub fn judged(
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

/// The declared endpoints that it is for.
pub fn named(input: &CredentialInputs) -> parent::Named<'_> {
    parent::Named {
        declared: &input.endpoints,
        refs: &input.object.spec.endpoint_refs,
    }
}

pub fn judged_at_endpoints(
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
pub fn allowed<'a>(
    input: &CredentialInputs,
    desired: &ValidatedCredential,
    eligible: &[&'a EndpointRow],
) -> (Vec<&'a EndpointRow>, Vec<(String, String)>) {
    let of_token = || {
        let hosts = federation::hosts(input)?;
        Some((desired.provider_type, hosts))
    };
    let of_secret = input.holding().map(|holding| {
        let consent = &holding.consent;
        (consent.provider_type, consent.hosts.as_slice())
    });
    let consent = match &input.object.spec.federation {
        Some(_) => of_token(),
        None => of_secret,
    };
    let Some((sealed, hosts)) = consent else {
        return (eligible.to_vec(), Vec::new());
    };
    let (mut allowed, mut left_out) = (Vec::new(), Vec::new());
    for endpoint in eligible {
        let url = endpoint.base_url.url();
        let may = url
            .ok_or_else(|| "its URL cannot be read".to_owned())
            .and_then(|url| {
                key_allowed(sealed.as_str(), hosts, vendor(desired.provider_type), url)
                    .map_err(|why| not_allowed(input, &why))
            });
        match may {
            Ok(()) => allowed.push(*endpoint),
            Err(why) => left_out.push((endpoint.name.clone(), why)),
        }
    }
    (allowed, left_out)
}

/// Why a host gets nothing, and who can change that.
fn not_allowed(input: &CredentialInputs, why: &HostNotAllowed) -> String {
    match (why, &input.object.spec.federation) {
        (HostNotAllowed::OtherHost { host }, Some(federation)) => format!(
            "the vendor's token may not be sent to {host}; the owner of ServiceAccount {} allows it with the \
             annotation llmplane.dev/allowed-hosts={host}",
            federation.service_account_ref.name
        ),
        _ => why.to_string(),
    }
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

#[cfg(test)]
#[path = "verdicts_tests.rs"]
mod tests;
