//! A credential without a key: what its exchanges amount to, and when the next one is due. Pure, but for
//! the reading of the ServiceAccount.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    dereference::CredentialInputs,
    secret_cache,
    usable::{Usable, in_state},
    validate::ValidatedCredential,
};
use crate::{
    checks::{JobKey, PlannedJob, Stored, inputs},
    controller::{
        kinds::provider::validate::seconds,
        runtime::{
            context::Context,
            index::{asked_at, is_asked},
            queue::Next,
            token_requests,
        },
    },
    crd::{
        conditions::{self, ConditionInput, ConditionType},
        credential::VersionState,
        federation::Federation,
        reasons::{ConditionStatus, Reason},
    },
    db::{CheckKind, StoredCheck},
};

/// Shortest time between two exchanges that both worked.
const MIN_PERIOD: Duration = Duration::from_secs(30);

/// Reads where the ServiceAccount's owner lets tokens go. Where that cannot be read, the exchange says why.
pub async fn read_account(context: &Context, input: &mut CredentialInputs) {
    let Some(federation) = &input.object.spec.federation else {
        return;
    };
    let account = &federation.service_account_ref.name;
    let namespace = &input.owner.namespace;
    let hosts = token_requests::allowed_hosts(&context.client, namespace, account).await;
    input.account_hosts = hosts.ok();
}

/// What exchanges are made with, as a hash.
pub fn exchange_inputs(desired: &ValidatedCredential, federation: &Federation) -> String {
    inputs::of_exchange(desired.provider_type, federation)
}

/// Where tokens may go: what the ServiceAccount says, else what the token in use was sealed with.
pub fn hosts(input: &CredentialInputs) -> Option<&[String]> {
    let in_use = input
        .versions
        .iter()
        .find(|row| row.state == VersionState::Current && row.exchanged_with.is_some());
    let read = input.account_hosts.as_deref();
    read.or_else(|| in_use.map(|row| row.allowed_hosts.as_slice()))
}

/// What the last exchange by this declaration concluded.
fn last_exchange<'a>(input: &'a CredentialInputs, inputs: &str) -> Option<&'a StoredCheck> {
    let verdict = input.row.as_ref()?.found.exchange_verdict.as_ref()?;
    verdict.is_of(inputs).then_some(verdict)
}

/// What `Valid` says: what the vendor's API says of the token in use, unless there is none of this
/// declaration, or the vendor gives no other.
pub fn validity(
    input: &CredentialInputs,
    (desired, federation): (&ValidatedCredential, &Federation),
    versions: &[Usable<'_>],
    at_endpoints: ConditionInput,
) -> ConditionInput {
    let inputs = exchange_inputs(desired, federation);
    let in_use = in_state(versions, VersionState::Current);
    let of_this = in_use.filter(|version| version.exchanged_with() == Some(&*inputs));
    let last = last_exchange(input, &inputs);
    let with = |reason, message: &str, note: Option<String>| match note {
        Some(note) => ConditionInput::new(reason, format!("{message}; {note}")),
        None => ConditionInput::new(reason, message),
    };
    let left = in_use.and_then(|version| {
        let until = version.until?;
        Some(format!(
            "version {} stays usable until {until}",
            version.version
        ))
    });
    // Nobody is given what is refused where it is used, whatever became of the next one.
    let is_against = at_endpoints.reason.is_against_the_key();
    match (last, of_this) {
        (Some(said), Some(_)) if is_against && said.reason.status() == ConditionStatus::False => {
            let no_other = format!("and the vendor gives no other: {}", said.message);
            with(at_endpoints.reason, &at_endpoints.message, Some(no_other))
        }
        (Some(said), _) if said.reason.status() == ConditionStatus::False => {
            with(said.reason, &said.message, left)
        }
        (Some(said), Some(_)) if said.reason.is_open() => with(
            at_endpoints.reason,
            &at_endpoints.message,
            Some(format!(
                "the next exchange is tried again: {}",
                said.message
            )),
        ),
        (_, Some(_)) => at_endpoints,
        (Some(said), None) if said.reason.is_open() => with(said.reason, &said.message, left),
        (Some(_), None) => ConditionInput::new(
            Reason::NotCheckedYet,
            "the vendor's token has ended, and the next exchange is under way",
        ),
        (None, None) => ConditionInput::new(
            Reason::NotCheckedYet,
            "the first exchange of the ServiceAccount's token is under way",
        ),
    }
}

/// The exchange to make: at half the life of the token in use.
pub fn job(
    input: &CredentialInputs,
    (desired, federation): (&ValidatedCredential, &Federation),
    versions: &[Usable<'_>],
) -> PlannedJob {
    let inputs = exchange_inputs(desired, federation);
    let newest = versions
        .iter()
        .find(|version| version.exchanged_with() == Some(&*inputs));
    let half = newest.and_then(Usable::life).map(|life| life / 2);
    let half = half.unwrap_or_else(|| seconds(federation.expiration_seconds) / 2);
    let asked = asked_at(&*input.object);
    let handled = (input.row.as_ref()).and_then(|r| r.last_handled_reconcile_at.as_deref());
    let is_asked = is_asked(&*input.object, handled);
    let mut trigger = DefaultHasher::new();
    (&inputs, asked, hosts(input)).hash(&mut trigger);
    let stored = match last_exchange(input, &inputs) {
        _ if is_asked => Stored::Nothing,
        None => Stored::Nothing,
        Some(last) if last.reason.status() != ConditionStatus::True => Stored::Open,
        Some(_) if newest.is_none() => Stored::Nothing,
        Some(_) => Stored::StoredCheck,
    };
    PlannedJob {
        key: JobKey {
            kind: CheckKind::Exchange,
            subject: input.owner.uid,
            endpoint: input.owner.uid,
        },
        period: half.max(MIN_PERIOD),
        timeout: seconds(input.object.spec.validation.timeout_seconds),
        trigger: trigger.finish(),
        stored,
        apart: Duration::ZERO,
        not_final: None,
        held: false,
        credentials: None,
    }
}

/// When to look again after a ServiceAccount, which no watch tells of: where its owner may be about to
/// mend what is wrong.
pub fn looks_again(input: &CredentialInputs, conditions: &[Condition], now: Timestamp) -> Next {
    let valid = conditions::find(conditions, ConditionType::Valid);
    let waits = [
        Reason::ExchangeRefused,
        Reason::HostNotAllowed,
        Reason::KeyRejected,
    ]
    .map(Reason::as_str);
    match valid.filter(|valid| waits.contains(&valid.reason.as_str())) {
        Some(valid) if input.object.spec.federation.is_some() => {
            let since = now.duration_since(valid.last_transition_time.0);
            Next::After(secret_cache::wait(since))
        }
        _ => Next::Done,
    }
}
