//! One test of a model: at which endpoint, and what stands afterwards.

use std::time::Duration;

use super::{
    fold, inputs,
    run::{JobResult, Runner, probe_row},
    schedule::{Owner, PlannedJob},
    target::{CheckCall, ChosenKey, Target, TargetResult},
};
use crate::{
    crd::{
        Kind,
        reasons::{ConditionStatus, Reason},
    },
    db::{CheckKind, DbError, EndpointRow, ModelRow, StoredCheck},
    keys::open::UsableKey,
    vendors::{CheckResult, TestedModel},
};
use jiff::Timestamp;

/// Most keys that one test tries, where the first are exhausted.
const MAX_TESTED_KEYS: usize = 3;

/// For how long the last test's word on this generation has stood.
fn tested_for(last: Option<&StoredCheck>, generation: i64, now: Timestamp) -> Duration {
    let last = last.filter(|last| last.generation == generation);
    let since = last.map(|last| now.duration_since(last.since));
    let since = since.map(Duration::try_from).and_then(Result::ok);
    since.unwrap_or_default()
}

/// Whether a test passed.
fn passed(found: &CheckResult) -> bool {
    matches!(found.reason, Reason::ModelAnswered | Reason::ModelListed)
}

/// What a test comes to that passes without the key too.
fn without_proof_of_key(found: CheckResult) -> CheckResult {
    CheckResult {
        message: format!(
            "{}, and to a caller without a key the answer is the same: it proves no key",
            found.message
        ),
        ..found
    }
}

/// What a test that passes with a key, and not without it, proves: the key, at an endpoint of these inputs.
#[derive(Debug, PartialEq)]
struct Proof {
    key: String,
    with: String,
}

impl Proof {
    /// Whether it is proved by what the call without the key came to; one that says nothing of it leaves what the
    /// last test proved.
    fn by(self, without: &CheckResult, last: Option<&StoredCheck>) -> Option<Self> {
        let was_proved = last.is_some_and(|last| {
            last.proves_key.as_ref() == Some(&self.key)
                && last.proved_with.as_ref() == Some(&self.with)
        });
        let is_proved = without.may_be_the_key() || was_proved && !passed(without);
        is_proved.then_some(self)
    }
}

/// The verdict that is to stand after a test with these inputs that had nothing to ask, or that did not find the model
/// at another endpoint than the one where it was proved: what was proved there, as through any outage.
fn standing<'a>(
    stored: Option<&'a StoredCheck>,
    found: &CheckResult,
    inputs: &str,
) -> Option<&'a StoredCheck> {
    let had_nothing_to_ask = found.missing && found.reason == Reason::Unverifiable;
    stored.filter(|stored| {
        let is_elsewhere = found.reason == Reason::ModelNotFound && !stored.is_of(inputs);
        (had_nothing_to_ask || is_elsewhere) && stored.reason.status() == ConditionStatus::True
    })
}

impl Runner {
    /// Tests a model at the best endpoint that serves it.
    pub(super) async fn model_test(&self, planned: &PlannedJob) -> Result<JobResult, DbError> {
        let (job, timeout) = (planned.key, planned.timeout);
        let db = &self.means.db;
        let Some(model) = db.model_row(job.subject).await?.filter(|m| m.is_active) else {
            return Ok(JobResult::unmade());
        };
        let endpoints = self.serving(&model).await?;
        let mut at = None;
        let mut keys = ChosenKey::default();
        let mut proof = None;
        let called = match self.first_target(&endpoints).await? {
            None => TargetResult::unasked(CheckResult::new(
                Reason::NoEndpoint,
                "no active endpoint serves this model",
            )),
            Some(target) => {
                let last = model.found.test_verdict.as_ref();
                let question = CheckCall::Test(TestedModel {
                    id: &model.model_id,
                    type_: model.type_,
                    tested_for: tested_for(last, model.generation, Timestamp::now()),
                });
                let mut called;
                (called, keys) = self.test_with_keys(&target, planned, question).await?;
                if let Some(key) = &keys.key
                    && passed(&called.found)
                    && !self.is_proved_at(key, &target).await?
                {
                    // A test that passes without the key too proves nothing of it.
                    let (without, _) = self.ask(&target, None, timeout, question).await;
                    let found = Proof {
                        key: key.identity.clone(),
                        with: target.endpoint.check_inputs.clone(),
                    };
                    proof = found.by(&without.found, last);
                    if passed(&without.found) {
                        called.found = without_proof_of_key(called.found);
                    }
                }
                at = Some(target.endpoint);
                called
            }
        };
        self.count(CheckKind::ModelTest, &called);
        // What one endpoint proved stands for as long as the model is served there.
        let inputs =
            |e: &EndpointRow| inputs::of_test(&e.check_inputs, &model.model_id, model.type_);
        let stored = fold::with_usable_key(model.found.test_verdict.as_ref(), &keys.usable)
            .filter(|stored| endpoints.iter().any(|e| stored.is_of(&inputs(e))));
        let asked_with = at.as_ref().map(inputs).unwrap_or_default();
        let standing = standing(stored, &called.found, &asked_with);
        let found_with = match stored {
            Some(stored) if called.found.reason.is_open() => stored.inputs.clone(),
            _ => asked_with,
        };
        let credential = keys.key.as_ref().map(|key| key.credential.clone());
        let (key, fingerprint) = keys.key.map(|key| (key.identity, key.fingerprint)).unzip();
        let (proves_key, proved_with) = proof.map(|proof| (proof.key, proof.with)).unzip();
        let new = StoredCheck {
            key,
            proves_key,
            proved_with,
            ..called
                .found
                .verdict(model.generation, found_with, Timestamp::now())
        };
        let mut verdict = match standing {
            Some(standing) => standing.clone(),
            None => fold::after(stored, new),
        };
        if called.found.may_be_the_key() {
            // Whatever else it says, it is no proof any more.
            verdict.proves_key = None;
            verdict.proved_with = None;
        }
        let proved_before = stored.and_then(|stored| stored.proves_key.as_ref());
        let proof_changed = proved_before != verdict.proves_key.as_ref();
        let at = at.map(|endpoint| endpoint.uid);
        let probe = probe_row(CheckKind::ModelTest, model.uid, at, fingerprint, &called);
        let uid = model.uid;
        let stored = db
            .write_unversioned(self.means.epoch, move |tx| {
                Box::pin(async move {
                    tx.health_probe_insert(&probe).await?;
                    tx.model_test_verdict_set(uid, &verdict).await
                })
            })
            .await;
        match stored {
            Ok(changed) => {
                if let Some(credential) = credential.filter(|_| proof_changed) {
                    let (uid, namespace, name) = credential;
                    self.tell_credential(Owner {
                        kind: Kind::Credential,
                        uid,
                        namespace,
                        name,
                    });
                }
                Ok(JobResult::made(&called, changed))
            }
            Err(error @ DbError::Fenced) => Err(error),
            Err(error) if called.unasked => Err(error),
            // It may have cost something: the next one keeps its distance all the same.
            Err(error) => {
                self.note_failed(job, &error);
                Ok(JobResult::unstored())
            }
        }
    }

    /// Tests with the best key, and where that is exhausted with the next: its quota is no news of the
    /// model. Answers what the last one said, and with which key.
    async fn test_with_keys(
        &self,
        target: &Target,
        planned: &PlannedJob,
        question: CheckCall<'_>,
    ) -> Result<(TargetResult, ChosenKey), DbError> {
        let (timeout, declared) = (planned.timeout, planned.credentials.as_deref());
        let mut exhausted = Vec::new();
        let mut keys = self.list_key(target, declared, &exhausted).await?;
        loop {
            let called = self.ask_with_key(target, &keys, timeout, question).await.0;
            let tried = keys.key.as_ref().map(|key| key.fingerprint.clone());
            let Some(tried) = tried.filter(|_| called.found.reason == Reason::QuotaExhausted)
            else {
                return Ok((called, keys));
            };
            exhausted.push(tried);
            let next = match exhausted.len() {
                MAX_TESTED_KEYS.. => None,
                _ => Some(self.list_key(target, declared, &exhausted).await?),
            };
            match next.filter(|next| next.key.is_some()) {
                Some(next) => keys = next,
                None => return Ok((called, keys)),
            }
        }
    }

    /// Whether the vendor's list has proved this key at this endpoint.
    async fn is_proved_at(&self, key: &UsableKey, target: &Target) -> Result<bool, DbError> {
        let versions = (self.means.db)
            .credential_version_rows(&[key.credential.0])
            .await?;
        let version = versions.iter().find(|v| v.fingerprint == key.fingerprint);
        let verdict = version.and_then(|v| v.verdicts.get(&target.endpoint.uid));
        let verdict = verdict.filter(|v| v.is_of(&target.endpoint.check_inputs));
        let proved = [Reason::KeyAccepted, Reason::KeyRestricted];
        Ok(verdict.is_some_and(|v| proved.contains(&v.reason)))
    }

    /// The active endpoints that serve a model: healthy ones first, in failover order.
    async fn serving(&self, model: &ModelRow) -> Result<Vec<EndpointRow>, DbError> {
        let mut endpoints = self
            .means
            .db
            .endpoint_rows_of_providers(&[model.provider_uid])
            .await?;
        endpoints.retain(|e| {
            e.is_active && (model.endpoint_uids.is_empty() || model.endpoint_uids.contains(&e.uid))
        });
        let healthy = |e: &EndpointRow| {
            (e.found.verdict.as_ref()).is_some_and(|v| v.reason == Reason::ProbeSucceeded)
        };
        endpoints.sort_by(|a, b| {
            let order = |e: &EndpointRow| (!healthy(e), !e.is_default, e.priority, e.created_at);
            order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name))
        });
        Ok(endpoints)
    }

    /// The first of these that can be called.
    async fn first_target(&self, endpoints: &[EndpointRow]) -> Result<Option<Target>, DbError> {
        for endpoint in endpoints {
            if let Ok(target) = self.target(endpoint.uid).await? {
                return Ok(Some(target));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_the_key_that_says_nothing_leaves_what_was_proved() {
        let proof = |key: &str, with: &str| Proof {
            key: key.to_owned(),
            with: with.to_owned(),
        };
        let last = StoredCheck {
            proves_key: Some("f".to_owned()),
            proved_with: Some("e".to_owned()),
            ..CheckResult::new(Reason::ModelAnswered, "").verdict(
                1,
                String::new(),
                Timestamp::UNIX_EPOCH,
            )
        };
        let said = |reason| CheckResult::new(reason, "");
        let refused = CheckResult {
            refused: true,
            ..said(Reason::CheckInconclusive)
        };
        let by = |key, with, without: &CheckResult, last| proof(key, with).by(without, last);
        assert!(by("f", "e", &refused, None).is_some());
        let nothing = said(Reason::CheckInconclusive);
        assert!(by("f", "e", &nothing, Some(&last)).is_some());
        assert_eq!(by("f", "e", &nothing, None), None);
        assert_eq!(by("g", "e", &nothing, Some(&last)), None);
        assert_eq!(by("f", "d", &nothing, Some(&last)), None);
        let passed = said(Reason::ModelAnswered);
        assert_eq!(by("f", "e", &passed, Some(&last)), None);
    }

    #[test]
    fn what_was_proved_stands_where_there_is_nothing_to_ask_and_nothing_else_does() {
        let missing = CheckResult {
            missing: true,
            ..CheckResult::new(Reason::Unverifiable, "")
        };
        let stands = |reason: Reason, found: &CheckResult| {
            let stored =
                CheckResult::new(reason, "").verdict(1, String::new(), Timestamp::UNIX_EPOCH);
            standing(Some(&stored), found, "").is_some()
        };
        for proved in [Reason::ModelAnswered, Reason::ModelListed] {
            assert!(stands(proved, &missing), "{proved}");
            // Another endpoint, that lacks the model, says nothing of the one that answered; that one does.
            let lacks = CheckResult::new(Reason::ModelNotFound, "");
            let by = CheckResult::new(proved, "").verdict(1, "a".into(), Timestamp::UNIX_EPOCH);
            assert!(standing(Some(&by), &lacks, "b").is_some(), "{proved}");
            assert!(standing(Some(&by), &lacks, "a").is_none(), "{proved}");
            // A test that never has anything to ask replaces what another call proved.
            let never = CheckResult::new(Reason::Unverifiable, "");
            assert!(!stands(proved, &never), "{proved}");
        }
        for other in [
            Reason::CheckInconclusive,
            Reason::ModelNotFound,
            Reason::ModelAccessDenied,
            Reason::NoValidCredential,
        ] {
            assert!(!stands(other, &missing), "{other}");
        }
        assert!(standing(None, &missing, "").is_none());
    }

    #[test]
    fn a_declaration_is_tested_since_its_verdict_was_first_given() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let last =
            CheckResult::new(Reason::CheckInconclusive, "").verdict(2, String::new(), at(100));
        let tested = |last, generation, second| tested_for(last, generation, at(second)).as_secs();
        assert_eq!(tested(None, 2, 400), 0);
        assert_eq!(tested(Some(&last), 2, 400), 300);
        assert_eq!(tested(Some(&last), 3, 400), 0);
        assert_eq!(tested(Some(&last), 2, 50), 0);
    }
}
