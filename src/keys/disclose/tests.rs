//! The batcher, with a ledger that fails as it is told to. What a real database does is tested on one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use parking_lot::Mutex;
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::crd::ProviderType;
use crate::db::{CurrentKey, DbError, DisclosureRequest, DisclosureVerdict};
use crate::encryption::{Fingerprint, KeyringHandle, Payload, SecretFields, kek::folder as kek};
use crate::keys::seal::seal_version;

const VENDOR: Vendor = Vendor {
    type_: ProviderType::OpenAI,
    own_hosts: &["api.openai.com"],
};
const URL: &str = "https://api.openai.com/v1";

/// What a call that records does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Nothing was committed.
    Outage,
    /// It was committed, and nobody heard of it.
    LostAnswer,
    /// The database refuses, as it does where the right to write is gone.
    Refused,
}

#[derive(Default)]
struct State {
    stored: HashMap<Uuid, CurrentKey>,
    quotas: HashMap<Uuid, u32>,
    /// Keys that are replaced before they are recorded, so often.
    replaced: HashMap<Uuid, u32>,
    faults: VecDeque<Fault>,
    /// Rows of each committed call.
    commits: Vec<Vec<(String, Verdict)>>,
    lost: HashSet<String>,
    told: Vec<Uuid>,
    keyring_check: Option<Vec<u8>>,
}

#[derive(Clone)]
struct Scripted {
    state: Arc<Mutex<State>>,
    /// Calls that may record.
    turns: Arc<Semaphore>,
}

impl Ledger for Scripted {
    async fn current_keys(&self, credentials: &[Uuid]) -> Result<Vec<CurrentKey>, DbError> {
        let state = self.state.lock();
        let found = credentials.iter().filter_map(|uid| state.stored.get(uid));
        Ok(found.cloned().collect())
    }

    async fn record(
        &self,
        requests: &[DisclosureRequest],
    ) -> Result<Vec<DisclosureVerdict>, DbError> {
        self.turns.acquire().await.expect("it is open").forget();
        let mut state = self.state.lock();
        let fault = state.faults.pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::Outage => return Err(DbError::Unavailable("gone".to_owned())),
            Fault::Refused => return Err(DbError::Other("permission denied".to_owned())),
            _ if requests.iter().any(|r| r.purpose.as_deref() == Some("bad")) => {
                return Err(DbError::Unstorable("a value".to_owned()));
            }
            _ => {}
        }
        let verdicts: Vec<Verdict> = (requests.iter())
            .map(|request| state.decide(request.key.credential_uid))
            .collect();
        let actors = requests.iter().map(|request| request.actor.actor.clone());
        let rows: Vec<_> = actors.zip(verdicts.iter().copied()).collect();
        if fault == Fault::LostAnswer {
            let released = rows.iter().filter(|row| row.1 == Verdict::Disclosed);
            let released: Vec<String> = released.map(|row| row.0.clone()).collect();
            state.lost.extend(released);
        }
        state.commits.push(rows);
        if fault == Fault::LostAnswer {
            return Err(DbError::Unavailable("the connection broke".to_owned()));
        }
        let verdict = |verdict| DisclosureVerdict {
            verdict,
            valid_until: None,
            retry_after_seconds: (verdict == Verdict::QuotaExhausted).then_some(60),
        };
        Ok(verdicts.into_iter().map(verdict).collect())
    }

    async fn request_check(&self, credential: Uuid) {
        self.state.lock().told.push(credential);
    }

    async fn keyring_check(&self) -> Result<Option<Vec<u8>>, DbError> {
        Ok(self.state.lock().keyring_check.clone())
    }
}

impl State {
    fn decide(&mut self, credential: Uuid) -> Verdict {
        if let Some(times) = self.replaced.get_mut(&credential)
            && *times > 0
        {
            *times -= 1;
            return Verdict::Superseded;
        }
        match self.quotas.get_mut(&credential) {
            Some(0) => Verdict::QuotaExhausted,
            Some(left) => {
                *left -= 1;
                Verdict::Disclosed
            }
            None => Verdict::Disclosed,
        }
    }
}

/// A service with credentials whose keys are `key-0`, `key-1` and so on.
struct Service {
    discloser: Discloser,
    ledger: Scripted,
    credentials: Vec<Uuid>,
    workers: JoinHandle<()>,
    metrics: DisclosureMetrics,
    _keyring: tempfile::TempDir,
}

impl Service {
    async fn start(credentials: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("ring");
        kek::create(&dir).unwrap();
        let keyring = KeyringHandle::open(&dir).unwrap();
        let ledger = Scripted {
            state: Arc::default(),
            turns: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let credentials: Vec<Uuid> = (0..credentials).map(|_| Uuid::new_v4()).collect();
        for (number, uid) in credentials.iter().enumerate() {
            let key = stored(&keyring, number, *uid).await;
            ledger.state.lock().stored.insert(*uid, key);
        }
        let metrics = DisclosureMetrics::default();
        let refusals = RefusalLog::new(metrics.clone());
        let (discloser, workers) = Discloser::new(
            ledger.clone(),
            LateKeyring::new(dir),
            refusals,
            metrics.clone(),
        );
        Self {
            discloser,
            ledger,
            credentials,
            workers: tokio::spawn(workers.run(CancellationToken::new())),
            metrics,
            _keyring: folder,
        }
    }

    fn request(&self, actor: &str, credential: usize) -> KeyRequest {
        KeyRequest {
            actor: Arc::new(AuditActor {
                actor: actor.to_owned(),
                ..AuditActor::default()
            }),
            key: Arc::new(WantedKey {
                credential: self.credentials[credential],
                namespace: "team".to_owned(),
                name: format!("c-{credential}"),
                vendor: VENDOR,
                url: URL.parse().unwrap(),
                detail: json!({}),
            }),
            purpose: None,
        }
    }

    async fn ask(&self, actor: &str, credential: usize) -> Result<String, Refusal> {
        disclosed(
            self.discloser
                .disclose(self.request(actor, credential))
                .await,
        )
    }

    fn rows(&self) -> Vec<(String, Verdict)> {
        self.ledger.state.lock().commits.concat()
    }

    fn unopened(&self, reason: &'static str) -> u64 {
        let labels = metrics::ReasonLabels { reason };
        self.metrics.unopened.get_or_create(&labels).get()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.workers.abort();
    }
}

/// The request, for another key.
fn for_another(request: KeyRequest, change: impl FnOnce(&mut WantedKey)) -> KeyRequest {
    let mut key = WantedKey::clone(&request.key);
    change(&mut key);
    KeyRequest {
        key: Arc::new(key),
        ..request
    }
}

async fn stored(keyring: &KeyringHandle, number: usize, uid: Uuid) -> CurrentKey {
    let payload = Payload {
        fields: SecretFields {
            api_key: Some(format!("key-{number}").into()),
            ..SecretFields::default()
        },
        provider_type: "OpenAI".to_owned(),
        allowed_hosts: Vec::new(),
    };
    let name = format!("c-{number}");
    let fingerprint = Fingerprint::of(&keyring.fingerprint_key().unwrap(), uid, &payload.fields);
    CurrentKey {
        sealed: seal_version(keyring, ("team", &name, uid), 1, &payload)
            .await
            .unwrap(),
        fingerprint: fingerprint.to_string(),
    }
}

fn disclosed(outcome: Result<DisclosedKey, Refusal>) -> Result<String, Refusal> {
    outcome.map(|key| key.fields.api_key.unwrap().expose_secret().to_owned())
}

/// Waits for something that other tasks do.
async fn until(condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let deadline = Duration::from_secs(30);
    tokio::time::timeout(deadline, waited)
        .await
        .expect("it comes");
}

#[tokio::test]
async fn a_key_leaves_with_its_row() {
    let service = Service::start(2).await;
    assert_eq!(service.ask("a", 1).await, Ok("key-1".to_owned()));
    assert_eq!(service.rows(), [("a".to_owned(), Verdict::Disclosed)]);
}

/// However many wait: two seconds are promised, and a busy machine is given as many again.
#[tokio::test]
async fn an_answer_comes_in_time_where_the_ledger_gives_none() {
    let service = Service::start(4).await;
    service.ledger.turns.forget_permits(Semaphore::MAX_PERMITS);
    let names: Vec<String> = (0..200).map(|number| format!("actor-{number}")).collect();
    let asked = names.iter().enumerate();
    let asked = join_all(asked.map(|(number, name)| service.ask(name, number % 4)));
    let answers = tokio::time::timeout(Duration::from_secs(4), asked).await;
    let answers = answers.expect("everybody is answered in time");
    let refused = |answer: &Result<String, Refusal>| {
        matches!(answer, Err(Refusal::AuditUnavailable | Refusal::Overloaded))
    };
    assert!(answers.iter().all(refused), "{answers:?}");
    assert!(service.rows().is_empty());
}

#[tokio::test]
async fn debug_output_of_a_key_that_is_given_out_shows_nothing_of_it() {
    let service = Service::start(1).await;
    let request = service.request("a", 0);
    let asked = format!("{request:?}");
    let key = service.discloser.disclose(request).await.unwrap();
    let shown = format!("{asked} {key:?} {:?}", key.fields);
    assert!(
        shown.contains("DisclosedKey") && !shown.contains("key-0"),
        "{shown}"
    );
}

#[tokio::test]
async fn requests_that_come_while_commits_are_under_way_share_the_next() {
    let service = Service::start(3).await;
    service.ledger.turns.forget_permits(Semaphore::MAX_PERMITS);
    let names: Vec<String> = (0..60).map(|number| format!("actor-{number}")).collect();
    let asked = names
        .iter()
        .enumerate()
        .map(|(number, name)| service.ask(name, number % 3));
    let ledger = service.ledger.clone();
    let answers = join_all(asked);
    let (answers, ()) = tokio::join!(answers, async {
        tokio::task::yield_now().await;
        ledger.turns.add_permits(Semaphore::MAX_PERMITS);
    });
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, Ok(format!("key-{}", number % 3)));
    }
    let mut actors: Vec<String> = service.rows().into_iter().map(|row| row.0).collect();
    let commits = service.ledger.state.lock().commits.len();
    assert!(commits <= 1 + WORKERS, "{commits} commits for 60 keys");
    actors.sort();
    let mut wanted = names;
    wanted.sort();
    assert_eq!(actors, wanted, "each has one row");
}

#[tokio::test]
async fn a_few_that_cannot_be_stored_cost_a_batch_few_commits() {
    let service = Service::start(1).await;
    service.ledger.turns.forget_permits(Semaphore::MAX_PERMITS);
    let asks = (0..120).map(|number| {
        let is_bad = number % 40 == 39;
        let request = KeyRequest {
            purpose: is_bad.then(|| "bad".to_owned()),
            ..service.request("agent", 0)
        };
        service
            .discloser
            .disclose(request)
            .map(move |answer| (is_bad, disclosed(answer)))
    });
    let (answers, ()) = tokio::join!(join_all(asks), async {
        service.ledger.turns.add_permits(Semaphore::MAX_PERMITS);
    });
    for (is_bad, answer) in answers {
        assert_eq!(answer.is_err(), is_bad, "{answer:?}");
    }
    assert_eq!(service.rows().len(), 117);
    let commits = service.ledger.state.lock().commits.len();
    assert!(commits <= 30, "{commits} commits");
}

#[tokio::test]
async fn one_request_that_cannot_be_stored_keeps_nobody_else_from_a_key() {
    let service = Service::start(1).await;
    service.ledger.turns.forget_permits(Semaphore::MAX_PERMITS);
    let bad = KeyRequest {
        purpose: Some("bad".to_owned()),
        ..service.request("bad", 0)
    };
    let good = (0..20).map(|_| service.ask("good", 0));
    let (good, bad, ()) = tokio::join!(join_all(good), service.discloser.disclose(bad), async {
        service.ledger.turns.add_permits(Semaphore::MAX_PERMITS)
    },);
    assert!(good.iter().all(|answer| *answer == Ok("key-0".to_owned())));
    assert_eq!(disclosed(bad), Err(Refusal::AuditUnavailable));
    assert_eq!(service.rows().len(), 20);
}

#[tokio::test]
async fn nothing_is_recorded_of_a_key_whose_caller_went_away_in_time() {
    let service = Service::start(1).await;
    service.ledger.turns.forget_permits(Semaphore::MAX_PERMITS);
    // Every worker has its hands full.
    let busy = join_all((0..WORKERS).map(|_| service.ask("busy", 0)));
    let mut busy = Box::pin(busy);
    assert!((&mut busy).now_or_never().is_none());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    {
        let mut gone = Box::pin(service.ask("gone", 0));
        assert!((&mut gone).now_or_never().is_none());
    }
    service.ledger.turns.add_permits(Semaphore::MAX_PERMITS);
    assert!(busy.await.iter().all(Result::is_ok));
    assert!(service.ask("later", 0).await.is_ok());
    assert!(service.rows().iter().all(|row| row.0 != "gone"));
}

#[tokio::test]
async fn a_key_that_is_replaced_meanwhile_is_read_again_once() {
    let service = Service::start(1).await;
    let replaced = |times| {
        let uid = service.credentials[0];
        service.ledger.state.lock().replaced.insert(uid, times);
    };
    replaced(1);
    assert_eq!(service.ask("a", 0).await, Ok("key-0".to_owned()));
    replaced(5);
    assert_eq!(service.ask("b", 0).await, Err(Refusal::Superseded));
    use Verdict::{Disclosed, Superseded};
    let verdicts: Vec<Verdict> = service.rows().into_iter().map(|row| row.1).collect();
    assert_eq!(verdicts, [Superseded, Disclosed, Superseded, Superseded]);
}

#[tokio::test]
async fn a_row_that_does_not_authenticate_gives_nothing_and_the_controller_is_told_once() {
    let service = Service::start(3).await;
    let (a, b) = (service.credentials[0], service.credentials[1]);
    {
        let mut state = service.ledger.state.lock();
        let other = state.stored[&b].sealed.clone();
        let moved = state.stored.get_mut(&a).unwrap();
        moved.sealed.wrapped_key = other.wrapped_key;
        moved.sealed.payload = other.payload;
        let edited = state.stored.get_mut(&b).unwrap();
        edited.fingerprint = "0".repeat(32);
    }
    for _ in 0..3 {
        assert_eq!(service.ask("x", 0).await, Err(Refusal::Unreadable));
        assert_eq!(service.ask("x", 1).await, Err(Refusal::Unreadable));
    }
    // Asked for as another credential than it was sealed for.
    let elsewhere = for_another(service.request("x", 2), |key| {
        key.namespace = "mine".to_owned();
    });
    let answer = service.discloser.disclose(elsewhere).await;
    assert_eq!(disclosed(answer), Err(Refusal::Unreadable));
    assert_eq!(service.rows(), []);
    assert_eq!(service.ledger.state.lock().told.len(), 3);
    assert_eq!(service.unopened("not-authentic"), 4);
    assert_eq!(service.unopened("fingerprint"), 3);
}

#[tokio::test]
async fn a_key_goes_nowhere_that_was_not_sealed_with_it() {
    let service = Service::start(1).await;
    let elsewhere = for_another(service.request("x", 0), |key| {
        key.url = "https://evil.example/v1".parse().unwrap();
    });
    let refused = service.discloser.disclose(elsewhere).await;
    assert!(matches!(refused, Err(Refusal::HostNotAllowed(_))));
    let gone = for_another(service.request("x", 0), |key| {
        key.credential = Uuid::new_v4()
    });
    let refused = service.discloser.disclose(gone).await;
    assert!(matches!(refused, Err(Refusal::Gone)));
    assert_eq!(service.rows(), []);
}

#[tokio::test]
async fn where_the_database_refuses_all_nobody_gets_a_key_and_it_heals_by_itself() {
    let service = Service::start(1).await;
    let refusals = 3 * (record::REFUSED_IN_A_ROW + 1);
    service.ledger.state.lock().faults = vec![Fault::Refused; refusals].into();
    let many = join_all((0..100).map(|_| service.ask("a", 0))).await;
    let refused = many
        .iter()
        .filter(|answer| **answer == Err(Refusal::AuditUnavailable));
    assert!(refused.count() > 0);
    let given = many.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(service.rows().len(), given);
    service.ledger.state.lock().faults.clear();
    assert_eq!(service.ask("b", 0).await, Ok("key-0".to_owned()));
}

#[tokio::test]
async fn a_keyring_that_comes_late_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ring");
    let late = LateKeyring::new(dir.clone());
    assert!(late.get().is_none());
    kek::create(&dir).unwrap();
    let stop = CancellationToken::new();
    let follows = tokio::spawn(late.clone().run(stop.clone()));
    until(|| late.get().is_some()).await;
    stop.cancel();
    follows.await.unwrap();
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Outage),
        1 => Just(Fault::LostAnswer),
        1 => Just(Fault::Refused),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_key_that_leaves_has_a_row_and_no_quota_is_exceeded(
        asked in prop::collection::vec((0usize..4, any::<bool>()), 1..120),
        quotas in prop::collection::vec(prop::option::of(0u32..30), 4),
        replaced in prop::collection::vec(0u32..3, 4),
        faults in prop::collection::vec(fault(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let service = Service::start(4).await;
            {
                let mut state = service.ledger.state.lock();
                state.faults = faults.into();
                for (number, uid) in service.credentials.iter().enumerate() {
                    state.quotas.extend(quotas[number].map(|quota| (*uid, quota)));
                    state.replaced.insert(*uid, replaced[number]);
                }
            }
            let asks = asked.iter().enumerate().map(|(number, (credential, is_bad))| {
                let request = KeyRequest {
                    purpose: (*is_bad && number % 7 == 0).then(|| "bad".to_owned()),
                    ..service.request(&number.to_string(), *credential)
                };
                service.discloser.disclose(request)
            });
            let answers = join_all(asks).await;
            let rows = service.rows();
            let lost = service.ledger.state.lock().lost.clone();
            for (number, answer) in answers.into_iter().enumerate() {
                let (credential, actor) = (asked[number].0, number.to_string());
                let released = |row: &&(String, Verdict)| row.0 == actor && row.1 == Verdict::Disclosed;
                let released = rows.iter().filter(released).count();
                match disclosed(answer) {
                    Ok(key) => {
                        prop_assert_eq!(key, format!("key-{}", credential));
                        prop_assert_eq!(released, 1);
                    }
                    Err(Refusal::AuditUnavailable) => {
                        prop_assert_eq!(released, usize::from(lost.contains(&actor)));
                    }
                    Err(refusal) => {
                        prop_assert_eq!(released, 0, "{:?}", refusal);
                        let wanted = Verdict::of_word(refusal.word());
                        let told = rows.iter().any(|row| row.0 == actor && Some(row.1) == wanted);
                        prop_assert!(told, "{:?} has a row", refusal);
                    }
                }
            }
            for (number, quota) in quotas.iter().enumerate() {
                let Some(quota) = quota else { continue };
                let of_it = |row: &&(String, Verdict)| {
                    row.1 == Verdict::Disclosed && asked[row.0.parse::<usize>().unwrap()].0 == number
                };
                prop_assert!(rows.iter().filter(of_it).count() <= *quota as usize);
            }
            Ok(())
        })?;
    }
}

impl Verdict {
    fn of_word(word: &str) -> Option<Self> {
        [Self::Superseded, Self::QuotaExhausted]
            .into_iter()
            .find(|verdict| verdict.as_str() == word)
    }
}
