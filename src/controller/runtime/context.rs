//! What every reconcile works with.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use jiff::Timestamp;
use kube::Client;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    credentials_seen::CredentialsSeen, endpoints_seen::EndpointsSeen, index::Index,
    metrics::Metrics, queue::Waker, stored_configuration::StoredConfiguration,
};
use crate::controller::{
    kinds::credential::{intact::UnreadableVersions, secret_cache::SecretCache},
    maintenance::{dependency_health::DependencyHealth, repair::LastRepair, sweep::Sweeper},
    model_sync::ModelSync,
    status::{debounce::StatusDebounce, events::Events, repair::OwnStatuses},
};
use crate::{
    checks::Checks,
    crd::labels::LabelPrefix,
    db::{Db, Epoch},
    encryption::KeyringHandle,
    vendors::catalog::Catalog,
};

/// What every reconcile works with. One for each term of leadership.
pub struct Context {
    /// The kube-apiserver.
    pub client: Client,
    /// PostgreSQL.
    pub db: Db,
    /// This term: writes of an older one are refused.
    pub epoch: Epoch,
    /// The declared objects.
    pub index: Arc<RwLock<Index>>,
    /// Whom to reconcile next.
    pub waker: Waker,
    /// The other half: what observes.
    pub checks: Checks,
    /// Keys that seal keys.
    pub keyring: KeyringHandle,
    /// Events.
    pub events: Events,
    /// What removes rows.
    pub sweeper: Sweeper,
    /// What makes models of the vendors' lists.
    pub model_sync: ModelSync,
    /// Counters.
    pub metrics: Metrics,
    /// What is known of models that nobody declared in full.
    pub catalog: Arc<Catalog>,
    /// Prefixes of the labels that rows show.
    pub label_prefixes: Vec<LabelPrefix>,
    /// What was last read of each credential's Secret.
    pub taken: Mutex<HashMap<Uuid, SecretCache>>,
    /// Since when this process knows each model as it is declared: its generation, and the time.
    pub first_seen: Mutex<HashMap<Uuid, (i64, Instant)>>,
    /// Stored keys that do not authenticate and were told of.
    pub unreadable: UnreadableVersions,
    /// What is stored, for classes to be resolved in.
    pub stored: StoredConfiguration,
    /// The endpoints that were reconciled.
    pub endpoints_seen: EndpointsSeen,
    /// The credentials that were reconciled.
    pub credentials_seen: CredentialsSeen,
    /// Whether the first list of every watch is complete.
    pub lists_complete: AtomicBool,
    /// What this process has said in each status.
    pub own_statuses: OwnStatuses,
    /// Statuses that wait for more news.
    pub patience: Mutex<StatusDebounce>,
    /// When rows that cannot be read were last searched for.
    pub last_repair: LastRepair,
    /// Whether PostgreSQL answers.
    pub database: DependencyHealth,
    /// Whether the kube-apiserver answers.
    pub apiserver: DependencyHealth,
}

impl Context {
    /// The declared objects. Held for a look-up, never across an await.
    pub fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read()
    }

    /// The declared objects, to be changed.
    pub fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write()
    }

    /// The time, to the second: what is computed twice within one is then equal.
    pub fn now(&self) -> Timestamp {
        crate::crd::conditions::seconds(Timestamp::now())
    }
}

impl Context {
    /// Statuses that wait for more news.
    pub fn patience(&self) -> MutexGuard<'_, StatusDebounce> {
        self.patience.lock()
    }

    /// Since when this process knows an object of this generation.
    pub fn first_seen(&self, uid: Uuid, generation: i64) -> Instant {
        let mut seen = self.first_seen.lock();
        let now = (generation, Instant::now());
        let seen = seen.entry(uid).or_insert(now);
        if seen.0 != generation {
            *seen = now;
        }
        seen.1
    }

    /// Forgets objects that are gone: their checks, and what is kept of them in memory.
    pub fn forget(&self, uids: &[Uuid]) {
        for uid in uids {
            self.checks.forget(*uid);
            self.patience().forget(*uid);
            let mut taken = self.taken.lock();
            taken.remove(uid);
            self.unreadable.forget(*uid);
            self.endpoints_seen.forget(*uid);
            self.credentials_seen.forget(*uid);
            self.own_statuses.forget(*uid);
            self.first_seen.lock().remove(uid);
        }
    }
}
