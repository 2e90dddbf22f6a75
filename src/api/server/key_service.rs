//! What runs in the background so that a replica with a keyring can give keys out.

use std::num::NonZeroU32;
use std::pin::Pin;

use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::api::disclosure::Disclosure;
use crate::config::api::ApiSettings;
use crate::db::{Db, DbError};
use crate::keys::disclose::{
    Discloser, DisclosureMetrics, LateKeyring, RefusalLog, Workers, ledger,
};

/// The parts.
pub(super) struct KeyService {
    /// None of a replica without a keyring.
    keys: Option<Parts>,
    /// Those of writes too.
    refusals: RefusalLog,
    db: Db,
}

struct Parts {
    discloser: Discloser,
    workers: Workers<Db>,
    keyring: LateKeyring,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl KeyService {
    /// As these settings have it. `db` takes what nobody waits for.
    ///
    /// # Errors
    ///
    /// An unusable database URL.
    pub(super) fn prepare(
        settings: &ApiSettings,
        db: Db,
        registry: &mut Registry,
    ) -> Result<Self, DbError> {
        let Some(dir) = settings.keyring_dir.clone() else {
            let refusals = RefusalLog::new(DisclosureMetrics::default());
            return Ok(Self {
                keys: None,
                refusals,
                db,
            });
        };
        let ledger = ledger(settings.database_url.expose_secret())?;
        let metrics = DisclosureMetrics::register(registry);
        let keyring = LateKeyring::new(dir);
        let refusals = RefusalLog::new(metrics.clone());
        let (discloser, workers) =
            Discloser::new(ledger, keyring.clone(), refusals.clone(), metrics);
        let keys = Some(Parts {
            discloser,
            workers,
            keyring,
        });
        Ok(Self { keys, refusals, db })
    }

    /// What tells the audit of refusals.
    pub(super) fn refusals(&self) -> RefusalLog {
        self.refusals.clone()
    }

    /// What the handlers ask.
    pub(super) fn for_callers(&self, per_second: NonZeroU32) -> Disclosure {
        let discloser = self.keys.as_ref().map(|parts| parts.discloser.clone());
        Disclosure::new(discloser, self.refusals(), per_second)
    }

    /// What is to run beside the server, with names: until `shutdown`, or until the last caller was
    /// `served`.
    pub(super) fn tasks(
        self,
        shutdown: &CancellationToken,
        served: &CancellationToken,
    ) -> Vec<(&'static str, Task)> {
        let mut tasks: Vec<(&'static str, Task)> = vec![(
            "the writing of refusals",
            Box::pin(self.refusals.run(self.db, served.clone())),
        )];
        if let Some(keys) = self.keys {
            tasks.push((
                "the watch of the keyring",
                Box::pin(keys.keyring.run(shutdown.clone())),
            ));
            tasks.push((
                "what gives out keys",
                Box::pin(keys.workers.run(served.clone())),
            ));
        }
        tasks
    }
}
