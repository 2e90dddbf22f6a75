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

/// The parts; none of a replica without a keyring.
pub(super) struct KeyService(Option<Parts>);

struct Parts {
    discloser: Discloser,
    workers: Workers<Db>,
    keyring: LateKeyring,
    refusals: RefusalLog,
    db: Db,
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
            return Ok(Self(None));
        };
        let ledger = ledger(settings.database_url.expose_secret())?;
        let metrics = DisclosureMetrics::register(registry);
        let keyring = LateKeyring::new(dir);
        let refusals = RefusalLog::new(metrics.clone());
        let (discloser, workers) =
            Discloser::new(ledger, keyring.clone(), refusals.clone(), metrics);
        Ok(Self(Some(Parts {
            discloser,
            workers,
            keyring,
            refusals,
            db,
        })))
    }

    /// What the handlers ask.
    pub(super) fn for_callers(&self, per_second: NonZeroU32) -> Disclosure {
        let discloser = self.0.as_ref().map(|parts| parts.discloser.clone());
        Disclosure::new(discloser, per_second)
    }

    /// What is to run beside the server, with names: until `shutdown`, or until the last caller was
    /// `served`.
    pub(super) fn tasks(
        self,
        shutdown: &CancellationToken,
        served: &CancellationToken,
    ) -> Vec<(&'static str, Task)> {
        let Some(parts) = self.0 else {
            return Vec::new();
        };
        vec![
            (
                "the watch of the keyring",
                Box::pin(parts.keyring.run(shutdown.clone())),
            ),
            (
                "the writing of refusals",
                Box::pin(parts.refusals.run(parts.db, served.clone())),
            ),
            (
                "what gives out keys",
                Box::pin(parts.workers.run(served.clone())),
            ),
        ]
    }
}
