//! One check of a credential's key at an endpoint: its versions are asked one after the other, each
//! is a proof for or against the other, and what was said of each is stored.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    fold,
    open_server::{self, AnswersTo},
    run::{JobResult, Runner, probe_row},
    schedule::{JobEnd, Owner},
    target::{CheckCall, NoTarget, Target, TargetResult},
};
use crate::{
    crd::{credential::VersionState, reasons::Reason},
    db::{CheckKind, CredentialRow, CredentialVersionRow, DbError, EndpointRow},
    keys::open::{KeyError, UsableKey, open_for},
    vendors::{CheckResult, vendor},
};

/// One version of a key, as it was asked for.
struct AskedVersion<'a> {
    row: &'a CredentialVersionRow,
    /// `None` where the key cannot be used.
    key: Option<UsableKey>,
    said: TargetResult,
}

impl Runner {
    /// Asks whether the vendor takes the versions of a key that are in use or are to be.
    pub(super) async fn validation(
        &self,
        credential: Uuid,
        endpoint: Uuid,
        wanted: Option<Instant>,
        timeout: Duration,
    ) -> Result<JobResult, DbError> {
        let db = &self.means.db;
        let Some(credential) = db.credential_row(credential).await?.filter(|c| c.is_active) else {
            return Ok(JobResult::unmade());
        };
        let rows = db.credential_version_rows(&[credential.uid]).await?;
        let checked = |row: &&CredentialVersionRow| {
            matches!(row.state, VersionState::Pending | VersionState::Current)
        };
        let mut asked: Vec<AskedVersion<'_>> = Vec::new();
        let target = match self.target(endpoint).await? {
            Err(NoTarget::Off) => return Ok(JobResult::unmade()),
            Err(NoTarget::Unusable(endpoint, found)) => {
                asked.extend(rows.iter().filter(checked).map(|row| AskedVersion {
                    row,
                    key: None,
                    said: TargetResult::not(found.of_endpoint()),
                }));
                *endpoint
            }
            Ok(target) => {
                for row in rows.iter().filter(checked) {
                    asked.extend(self.ask_version(&credential, row, &target, timeout).await?);
                }
                self.counter_check(&credential, &rows, &target, timeout, &mut asked)
                    .await?;
                self.counter_prove(&target, wanted, timeout, &mut asked)
                    .await;
                target.endpoint
            }
        };
        let mut all: Option<JobResult> = None;
        for version in asked {
            let AskedVersion { row, said, .. } = version;
            let done = self
                .store_validation(&credential, row, &target, said)
                .await?;
            all = Some(all.map_or(done, |all| all.and(done)));
        }
        Ok(all.unwrap_or(JobResult::unmade()))
    }

    /// Asks with one version; `None` where it is gone meanwhile.
    async fn ask_version<'a>(
        &self,
        credential: &CredentialRow,
        row: &'a CredentialVersionRow,
        target: &Target,
        timeout: Duration,
    ) -> Result<Option<AskedVersion<'a>>, DbError> {
        let (db, ring) = (&self.means.db, &self.means.keyring);
        let type_ = target.provider.type_;
        let opened = open_for(db, ring, credential, row, vendor(type_), &target.url).await;
        let (key, said) = match opened {
            Ok(key) => {
                let said = self.ask_validity(target, &key, timeout).await;
                (Some(key), said)
            }
            Err(KeyError::Gone) => return Ok(None),
            Err(KeyError::Db(error)) => return Err(error),
            Err(KeyError::Unreadable(why)) => {
                self.tell_credential(Owner::of_credential(credential));
                let said = cannot_be_opened(Reason::CheckInconclusive, &why.to_string());
                (None, said)
            }
            Err(KeyError::NotAllowed(why)) => {
                let said = TargetResult::not(CheckResult::new(Reason::HostNotAllowed, why));
                (None, said)
            }
            Err(KeyError::Keyring(why)) => {
                let (namespace, name) = (&credential.namespace, &credential.name);
                tracing::warn!(%namespace, %name, version = row.version, %why, "a stored key cannot be opened");
                self.tell_credential(Owner::of_credential(credential));
                (None, cannot_be_opened(Reason::KeyringUnavailable, &why))
            }
        };
        Ok(Some(AskedVersion { row, key, said }))
    }

    async fn ask_validity(
        &self,
        target: &Target,
        key: &UsableKey,
        timeout: Duration,
    ) -> TargetResult {
        let bound = Some(&key.bound);
        let asked = self.ask(target, bound, timeout, CheckCall::Validate);
        let said = asked.await.0;
        TargetResult {
            found: open_server::without_list(said.found, target.driver),
            ..said
        }
    }

    /// Takes back that a key is genuine where the server answers others alike, unless it has a call of its
    /// own that proves keys.
    async fn counter_prove(
        &self,
        target: &Target,
        wanted: Option<Instant>,
        timeout: Duration,
        asked: &mut [AskedVersion<'_>],
    ) {
        let is_genuine = |version: &&mut AskedVersion<'_>| {
            let reason = version.said.found.reason;
            matches!(reason, Reason::KeyAccepted | Reason::KeyRestricted)
        };
        if !asked.iter_mut().any(|version| is_genuine(&version)) {
            return;
        }
        let others = self.answers_to_others(target, wanted, timeout).await;
        for version in asked.iter_mut().filter(is_genuine) {
            let Some(key) = &version.key else { continue };
            let Some(others) = others else {
                version.said.found = open_server::not_found_out(version.said.found.clone());
                continue;
            };
            let answers = others.answers_to(version.said.found.reason);
            if answers == AnswersTo::TheKey {
                continue;
            }
            let proof = self.ask(target, Some(&key.bound), timeout, CheckCall::ProveKey);
            let (proof, _) = proof.await;
            match proof.found.reason {
                Reason::Unverifiable => {
                    let said = version.said.found.clone();
                    version.said.found = open_server::unverifiable(said, answers, target.driver);
                }
                _ => version.said = proof,
            }
        }
    }

    /// Rejects a version whose answer names no cause, where the very same call is answered with the
    /// version before it: nothing but the key differs. It is asked once more first, for a server
    /// may have changed its mind between the two calls. One whose call only fails is in doubt, and does not
    /// take over while the other is answered.
    async fn counter_check(
        &self,
        credential: &CredentialRow,
        rows: &[CredentialVersionRow],
        target: &Target,
        timeout: Duration,
        asked: &mut [AskedVersion<'_>],
    ) -> Result<(), DbError> {
        for at in 0..asked.len() {
            let version = &asked[at];
            // A limit or an outage says nothing against a key that is in use.
            let is_open = |found: &CheckResult| match version.row.state {
                VersionState::Pending => found.says_nothing_of_the_key(),
                _ => found.may_be_the_key(),
            };
            let Some(key) = (version.key.as_ref()).filter(|_| is_open(&version.said.found)) else {
                continue;
            };
            let Some(before) = before(rows, version.row) else {
                continue;
            };
            let by_before = match asked
                .iter()
                .find(|other| other.row.version == before.version)
            {
                Some(other) => other.said.found.is_answered(),
                None => {
                    let other = self
                        .ask_version(credential, before, target, timeout)
                        .await?;
                    other.is_some_and(|other| other.said.found.is_answered())
                }
            };
            if !by_before {
                continue;
            }
            let mut said = self.ask_validity(target, key, timeout).await;
            if is_open(&said.found) {
                said.found = said.found.beside_answered(before.version);
            }
            asked[at].said = said;
        }
        Ok(())
    }

    async fn store_validation(
        &self,
        credential: &CredentialRow,
        version: &CredentialVersionRow,
        endpoint: &EndpointRow,
        called: TargetResult,
    ) -> Result<JobResult, DbError> {
        let inputs = endpoint.check_inputs.clone();
        let endpoint = endpoint.uid;
        let stored = version.verdicts.get(&endpoint);
        let new = called
            .found
            .verdict(credential.generation, inputs, Timestamp::now());
        let verdict = fold::after_key(stored, new);
        let no_list = verdict.reason == Reason::Unverifiable && !called.found.is_answered();
        let in_doubt = no_list || verdict.doubts > 0 && !verdict.reason.is_open();
        let probe = probe_row(
            CheckKind::Validation,
            credential.uid,
            Some(endpoint),
            Some(version.fingerprint.clone()),
            &called,
        );
        self.count(CheckKind::Validation, &called);
        let (uid, number) = (credential.uid, version.version);
        let changed = self
            .means
            .db
            .write_unversioned(self.means.epoch, move |tx| {
                Box::pin(async move {
                    tx.health_probe_insert(&probe).await?;
                    tx.credential_version_verdict_set(uid, number, endpoint, &verdict)
                        .await
                })
            })
            .await?;
        let done = JobResult::made(&called, changed);
        // What is in doubt is asked again soon.
        Ok(match done.ended {
            JobEnd::Judged if in_doubt => JobResult {
                ended: JobEnd::Open(called.wait),
                ..done
            },
            _ => done,
        })
    }
}

/// The version that this one replaces, or has replaced: the newest older one that may still be used.
fn before<'a>(
    rows: &'a [CredentialVersionRow],
    version: &CredentialVersionRow,
) -> Option<&'a CredentialVersionRow> {
    let now = Timestamp::now();
    let usable = |row: &&CredentialVersionRow| match row.state {
        VersionState::Current => true,
        VersionState::Previous => row.grace_until.is_some_and(|until| until > now),
        VersionState::Pending | VersionState::Destroyed => false,
    };
    let older = rows.iter().filter(|row| row.version < version.version);
    older.filter(usable).max_by_key(|row| row.version)
}

/// That a stored key does not open says nothing of the key.
fn cannot_be_opened(reason: Reason, why: &str) -> TargetResult {
    TargetResult::unasked(CheckResult::new(
        reason,
        format!("the stored key cannot be opened: {why}"),
    ))
}
