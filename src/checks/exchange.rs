//! One exchange: a fresh token of a ServiceAccount for a vendor's own, which is proved by the vendor's list
//! and sealed as a version of the credential's key.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    inputs,
    minter::MintError,
    open_server,
    run::{JobResult, Runner, probe_row},
    schedule::JobEnd,
    target::{CheckCall, TargetResult},
};
use crate::{
    crd::{
        ProviderType,
        credential::VersionState,
        federation::{ExchangeStatus, Federation},
        hosts::parse_allowed_hosts,
        reasons::Reason,
    },
    db::{
        CheckKind, CredentialRow, CredentialVersionRow, DbError, EndpointRow, NewVersion,
        ProviderRow, StoredCheck,
    },
    encryption::{Fingerprint, MaskedKey, Payload},
    keys::{
        BoundKey,
        seal::seal_version,
        versions::{self, VersionVerdict},
    },
    vendors::{
        CheckResult, Retry,
        federation::{Exchange, ExchangedToken, SubjectToken, exchange},
        vendor,
    },
};

/// A vendor's token, and what it was got with.
struct Obtained {
    token: ExchangedToken,
    with: ExchangeStatus,
    allowed_hosts: Vec<String>,
}

/// A version to be stored, what was said of it, and what becomes of the others.
struct NewToken {
    version: NewVersion,
    verdicts: BTreeMap<Uuid, StoredCheck>,
    moves: Vec<(i32, VersionState, Option<Timestamp>)>,
    with: ExchangeStatus,
}

impl Runner {
    /// Exchanges a token for a credential, and stores what came of it.
    pub(super) async fn exchange(
        &self,
        credential: Uuid,
        timeout: Duration,
    ) -> Result<JobResult, DbError> {
        let db = &self.means.db;
        let Some(credential) = db.credential_row(credential).await?.filter(|c| c.is_active) else {
            return Ok(JobResult::unmade());
        };
        let Some(federation) = credential.federation.clone() else {
            return Ok(JobResult::unmade());
        };
        let Some(provider) = db.provider_row(credential.provider_uid).await? else {
            return Ok(JobResult::unmade());
        };
        let endpoints = self.endpoints_of(&credential).await?;
        let begun = Instant::now();
        let obtained = self
            .obtain(&credential, &federation, &endpoints, timeout)
            .await;
        let took = begun.elapsed();
        let (found, new) = match obtained {
            Err(found) => (found, None),
            Ok(obtained) => {
                let sealed = self
                    .sealed(
                        &credential,
                        (&provider, &federation),
                        &endpoints,
                        obtained,
                        timeout,
                    )
                    .await?;
                match sealed {
                    Ok(new) => {
                        let found = CheckResult::new(
                            Reason::KeyAccepted,
                            "the vendor exchanged the ServiceAccount's token for one of its own",
                        );
                        (found, Some(new))
                    }
                    Err(found) => (found, None),
                }
            }
        };
        let wait = match found.retry {
            Retry::After(wait) => wait,
            Retry::No | Retry::Backoff => Duration::ZERO,
        };
        let called = TargetResult {
            found: found.storable(),
            took,
            wait,
            unasked: false,
        };
        self.store_exchange(&credential, (&provider, &federation), called, new)
            .await
    }

    /// The endpoints that a credential is for, and that are in force.
    async fn endpoints_of(&self, credential: &CredentialRow) -> Result<Vec<EndpointRow>, DbError> {
        let db = &self.means.db;
        let provider = credential.provider_uid;
        let mut rows = db.endpoint_rows_of_providers(&[provider]).await?;
        let named = &credential.endpoint_uids;
        rows.retain(|e| e.is_active && (named.is_empty() || named.contains(&e.uid)));
        rows.sort_by(|a, b| {
            let order = |e: &EndpointRow| (!e.is_default, e.priority, e.created_at);
            order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
        });
        Ok(rows)
    }

    /// A fresh token of the ServiceAccount, exchanged at once.
    async fn obtain(
        &self,
        credential: &CredentialRow,
        federation: &Federation,
        endpoints: &[EndpointRow],
        timeout: Duration,
    ) -> Result<Obtained, CheckResult> {
        let (namespace, account) = (
            credential.namespace.as_str(),
            federation.service_account_ref.name.as_str(),
        );
        let region = endpoints.iter().find_map(|e| e.region.as_deref());
        let host = federation.exchanger().map_or("", |one| one.field());
        // The check's time begins when its turn has come; a token waits for nobody.
        let _permit = self.budget.permit(namespace, host).await;
        let deadline = Instant::now() + timeout;
        let minted = self.means.minter.mint(
            namespace,
            account,
            &federation.audience,
            federation.expiration_seconds.into(),
        );
        let minted = tokio::time::timeout_at(deadline, minted).await;
        let late = MintError::Unreachable("it does not answer in time".to_owned());
        let minted = minted.unwrap_or(Err(late)).map_err(not_minted)?;
        let token = SubjectToken::read(minted.token, &federation.audience)
            .map_err(|why| CheckResult::new(Reason::InvalidSpec, why.to_string()))?;
        let vendors_own = exchange(&Exchange {
            federation,
            token: &token,
            credential: (namespace, &credential.name),
            region,
            services: &self.means.token_services,
            clients: &self.means.clients,
            deadline,
        })
        .await?;
        Ok(Obtained {
            token: vendors_own,
            with: ExchangeStatus {
                issuer: token.issuer,
                subject: token.subject,
                audience: token.audience,
                key_id: token.key_id,
            },
            allowed_hosts: minted.allowed_hosts,
        })
    }

    /// The token as a version of the key, proved at the endpoints that it may be sent to.
    async fn sealed(
        &self,
        credential: &CredentialRow,
        (provider, federation): (&ProviderRow, &Federation),
        endpoints: &[EndpointRow],
        obtained: Obtained,
        timeout: Duration,
    ) -> Result<Result<NewToken, CheckResult>, DbError> {
        let db = &self.means.db;
        let now = Timestamp::now();
        let ends = now + obtained.token.lives;
        let verdicts = match credential.validation.enabled {
            true => {
                self.prove(credential, provider.type_, endpoints, &obtained, timeout)
                    .await?
            }
            false => BTreeMap::new(),
        };
        let rows = db.credential_version_rows(&[credential.uid]).await?;
        let newest = rows.iter().map(|row| row.version).max().unwrap_or(0);
        let number = newest.max(credential.newest_version) + 1;
        let payload = Payload {
            fields: obtained.token.fields,
            provider_type: provider.type_.to_string(),
            allowed_hosts: obtained.allowed_hosts.clone(),
        };
        let unsealed = |why: String| {
            CheckResult::new(
                Reason::KeyringUnavailable,
                format!("the token was not stored: {why}"),
            )
        };
        let key = match self.means.keyring.fingerprint_key() {
            Ok(key) => key,
            Err(error) => return Ok(Err(unsealed(error.to_string()))),
        };
        let (namespace, name, uid) = (&credential.namespace, &credential.name, credential.uid);
        let object = (namespace.as_str(), name.as_str(), uid);
        let sealed = match seal_version(&self.means.keyring, object, number, &payload).await {
            Ok(sealed) => sealed,
            Err(error) => return Ok(Err(unsealed(error.to_string()))),
        };
        let each = Fingerprint::of_each(&key, uid, &payload.fields);
        let is_rejected = |verdict: &StoredCheck| verdict.reason == Reason::KeyRejected;
        let refused = verdicts.values().any(is_rejected)
            && versions::judgement(verdicts.values().map(Some)) != VersionVerdict::Accepted;
        let (state, moves) = places(&rows, credential, refused, now);
        // A gateway may answer everybody: what proves a key there, the check of the stored token knows.
        let verdicts = match provider.type_ {
            ProviderType::OpenAICompatible => BTreeMap::new(),
            _ => verdicts,
        };
        let version = NewVersion {
            sealed,
            state,
            fingerprint: Fingerprint::of(&key, uid, &payload.fields).to_string(),
            masked_key: MaskedKey::of(payload.fields.api_key.as_ref()).to_string(),
            provider_type: provider.type_,
            allowed_hosts: obtained.allowed_hosts,
            field_fingerprints: each.iter().map(ToString::to_string).collect(),
            ends: Some(ends),
            exchanged_with: Some(inputs::of_exchange(provider.type_, federation)),
        };
        Ok(Ok(NewToken {
            version,
            verdicts,
            moves,
            with: obtained.with,
        }))
    }

    /// What the vendor says of the token, by endpoint; those it may not be sent to are left out.
    async fn prove(
        &self,
        credential: &CredentialRow,
        type_: ProviderType,
        endpoints: &[EndpointRow],
        obtained: &Obtained,
        timeout: Duration,
    ) -> Result<BTreeMap<Uuid, StoredCheck>, DbError> {
        let mut verdicts = BTreeMap::new();
        for endpoint in endpoints {
            let Ok(target) = self.target(endpoint.uid).await? else {
                continue;
            };
            let bound = BoundKey::bind(
                obtained.token.fields.clone(),
                type_.as_str(),
                &obtained.allowed_hosts,
                vendor(type_),
                &target.url,
            );
            let Ok(bound) = bound else { continue };
            let (said, _) = self
                .ask(&target, Some(&bound), timeout, CheckCall::Validate)
                .await;
            let found = open_server::without_list(said.found, target.driver);
            let verdict = found.verdict(
                credential.generation,
                target.endpoint.check_inputs.clone(),
                Timestamp::now(),
            );
            verdicts.insert(endpoint.uid, verdict);
        }
        Ok(verdicts)
    }

    async fn store_exchange(
        &self,
        credential: &CredentialRow,
        (provider, federation): (&ProviderRow, &Federation),
        called: TargetResult,
        new: Option<NewToken>,
    ) -> Result<JobResult, DbError> {
        let uid = credential.uid;
        let inputs = inputs::of_exchange(provider.type_, federation);
        let verdict = called
            .found
            .verdict(credential.generation, inputs, Timestamp::now());
        let verdict = since_when(credential.found.exchange_verdict.as_ref(), verdict);
        let probe = probe_row(CheckKind::Exchange, uid, None, None, &called);
        self.count(CheckKind::Exchange, &called);
        let (db, epoch) = (&self.means.db, self.means.epoch);
        let Some(new) = new else {
            let changed = db
                .write_unversioned(epoch, move |tx| {
                    Box::pin(async move {
                        tx.health_probe_insert(&probe).await?;
                        tx.credential_exchange_set(uid, &verdict).await
                    })
                })
                .await?;
            // A refusal is tried again as an answer that proved nothing is: what was missing at the
            // vendor may be there by then.
            let ended = match called.found.reason {
                Reason::KeyringUnavailable => JobEnd::Unasked,
                _ => JobEnd::Open(called.wait),
            };
            return Ok(JobResult {
                ended,
                ..JobResult::made(&called, changed)
            });
        };
        let number = new.version.sealed.version;
        let (provider, federation) = (provider.uid, federation.clone());
        let stored = db.write(epoch, move |tx| {
            Box::pin(async move {
                // It may have been deleted, switched off or declared otherwise since it was read: nobody would
                // take such a token away again.
                if !tx
                    .credential_is_still_federated(uid, provider, &federation)
                    .await?
                {
                    return Ok(false);
                }
                for (version, state, until) in &new.moves {
                    tx.credential_version_state_set(uid, *version, *state, *until)
                        .await?;
                }
                tx.credential_tokens_forget(uid).await?;
                tx.credential_version_insert(&new.version).await?;
                for (endpoint, said) in &new.verdicts {
                    tx.credential_version_verdict_set(uid, number, *endpoint, said)
                        .await?;
                }
                tx.credential_exchange_set(uid, &verdict).await?;
                tx.credential_exchanged(uid, &new.with).await?;
                tx.health_probe_insert(&probe).await?;
                Ok(true)
            })
        });
        Ok(match stored.await?.0 {
            true => JobResult::made(&called, true),
            false => JobResult::unmade(),
        })
    }
}

/// The new version's state, and what becomes of the others: the one in use stays usable until it ends, a
/// Secret's key for its grace. A token that the vendor's own API refuses, and takes nowhere, takes no place
/// while another is in use.
fn places(
    rows: &[CredentialVersionRow],
    credential: &CredentialRow,
    refused: bool,
    now: Timestamp,
) -> (VersionState, Vec<(i32, VersionState, Option<Timestamp>)>) {
    let mut moves = Vec::new();
    let in_state = |state| rows.iter().filter(move |row| row.state == state);
    for pending in in_state(VersionState::Pending) {
        moves.push((pending.version, VersionState::Destroyed, None));
    }
    let grace = Duration::from_secs(u64::try_from(credential.grace_seconds).unwrap_or(0));
    for current in in_state(VersionState::Current) {
        let end = current.token_end().or(current.grace_until);
        let until = end.unwrap_or(now + grace);
        if until <= now {
            moves.push((current.version, VersionState::Destroyed, None));
        } else if refused {
            return (VersionState::Pending, moves);
        } else {
            moves.push((current.version, VersionState::Previous, Some(until)));
        }
    }
    (VersionState::Current, moves)
}

/// The conclusion with the time since when it is the same.
fn since_when(stored: Option<&StoredCheck>, new: StoredCheck) -> StoredCheck {
    match stored {
        Some(stored) if stored.is_of(&new.inputs) && stored.reason == new.reason => StoredCheck {
            since: stored.since,
            ..new
        },
        _ => new,
    }
}

/// What it comes to that there is no token to be exchanged.
fn not_minted(why: MintError) -> CheckResult {
    match &why {
        MintError::NoAccount(_) | MintError::Forbidden(_) | MintError::Invalid(_) => {
            CheckResult::new(Reason::ExchangeRefused, why.to_string())
        }
        MintError::Annotation(..) => CheckResult::new(Reason::HostNotAllowed, why.to_string()),
        MintError::Unreachable(_) => {
            CheckResult::new(Reason::CheckInconclusive, why.to_string()).with_retry(Retry::Backoff)
        }
    }
}

/// The hosts that an annotation names, in one spelling and order.
///
/// # Errors
/// What is wrong with it.
pub fn hosts_in(annotation: &str) -> Result<Vec<String>, String> {
    let hosts = parse_allowed_hosts(annotation).map_err(|error| error.to_string())?;
    let mut hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    hosts.sort_unstable();
    hosts.dedup();
    Ok(hosts)
}
