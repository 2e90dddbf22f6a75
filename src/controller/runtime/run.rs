//! The wiring: what runs in a controller, in which order it starts, and how it ends.

use std::{
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use kube::Client;
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    context::Context,
    dispatch,
    index::{Declared, Index},
    leader::Lease,
    metrics::Metrics,
    object_key::{ObjectKey, Wake},
    queue::{self, Waker},
    start::{self, StartError},
    stored_configuration,
    token_requests::{self, TokenRequests},
    watch,
};
use crate::controller::{
    error::Error,
    maintenance::{
        audit,
        dependency_health::DependencyHealth,
        repair,
        rewrap::{self, RewrapSettings},
        sweep::{self, Sweeper},
        upkeep,
    },
    model_sync::{self, ModelSync},
    settings::Settings,
    status::events::Events,
};
use crate::{
    admin::{Host, Readiness},
    checks::{CheckDeps, CheckMetrics, Checks, Report},
    crd::{Kind, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider, conditions},
    db::{CheckKind, CheckListener, Db, DbError, Epoch},
    encryption::KeyringHandle,
    telemetry::spans,
    vendors::{HttpClients, catalog::Catalog, federation::OwnAudiences},
};

/// Reconciles that run at once.
const MAX_CONCURRENT_RECONCILES: usize = 16;
/// Time between two looks after requests for checks that no notification told of.
const REQUESTS_BACKSTOP: Duration = Duration::from_secs(5);
/// How long what is under way may take after the signal to end. With the Lease's time it leaves
/// room within the five seconds that a stop may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Runs a controller and its admin port until `shutdown`.
///
/// # Errors
/// Why it does not start, or why it ended by itself.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), StartError> {
    let mut host = Host::bind(settings.admin).await?;
    let controller = Controller::prepare(settings, &mut host).await?;
    let stop = shutdown.child_token();
    host.run(controller.run(stop.clone()), stop).await
}

/// A controller that has what it cannot start without, and waits for nothing yet.
pub struct Controller {
    parts: ControllerDeps,
}

impl Controller {
    /// Opens the catalog, and registers what is counted.
    ///
    /// # Errors
    /// What no waiting heals: an unusable catalog, kubeconfig or database URL.
    pub async fn prepare(settings: Settings, host: &mut Host) -> Result<Self, StartError> {
        let config = settings.cluster.config().await?;
        let catalog = start::catalog(&settings)?;
        let db = start::database(&settings)?;
        let lease_namespace = settings.leader_election.then(|| {
            let named = settings.lease_namespace.clone();
            named.unwrap_or_else(|| config.default_namespace.clone())
        });
        let client = Client::try_from(config.clone());
        let client = client.map_err(|e| StartError::Client(e.to_string()))?;
        let guard = start::guard(&settings, &config, &client, &db, &host.listeners);
        let api_audience = &settings.audience.audience;
        let own_audiences = token_requests::own_audiences(api_audience, &config.auth_info);
        let metrics = Metrics::register(&mut host.registry);
        let check_metrics = Checks::metrics(&mut host.registry);

        let proxy = settings.https_proxy.as_ref();
        let proxy = proxy.map(|url| url.expose().clone());
        let clients = HttpClients::new(guard, proxy);
        let parts = ControllerDeps {
            settings,
            client,
            db,
            clients: Arc::new(clients),
            own_audiences,
            catalog: Arc::new(catalog),
            metrics,
            check_metrics,
            readiness: host.readiness.clone(),
            identity: identity(),
            lease_namespace,
        };
        Ok(Self { parts })
    }

    /// Brings the schema up to date if it is to, before it is its turn: for a process in which others
    /// need the schema too. `false`: `stop` came first.
    ///
    /// # Errors
    /// What no waiting heals.
    pub async fn migrate(&self, stop: &CancellationToken) -> Result<bool, StartError> {
        let parts = &self.parts;
        start::migrate(&parts.settings, &parts.readiness, &parts.metrics, stop).await
    }

    /// Waits for its turn and leads, until `stop`.
    ///
    /// # Errors
    /// Why it ended by itself; `stop` is cancelled by then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        take_turns(self.parts, &stop).await
    }
}

/// What a controller is made of before it leads.
struct ControllerDeps {
    settings: Settings,
    client: Client,
    db: Db,
    clients: Arc<HttpClients>,
    /// Audiences whose tokens are sent to no vendor.
    own_audiences: OwnAudiences,
    catalog: Arc<Catalog>,
    metrics: Metrics,
    check_metrics: CheckMetrics,
    readiness: Readiness,
    identity: String,
    /// Where the Lease is; `None` where leader election is off.
    lease_namespace: Option<String>,
}

/// Waits for the keyring and for its turn, leads, and gives the turn back.
async fn take_turns(parts: ControllerDeps, stop: &CancellationToken) -> Result<(), StartError> {
    let keyring = start::keyring(&parts.settings.keyring_dir, &parts.readiness, stop).await;
    // Whoever has none leaves the lead to who has.
    let Some(keyring) = keyring else {
        return Ok(());
    };
    let mut lease = match &parts.lease_namespace {
        Some(namespace) => Lease::join(
            parts.client.clone(),
            namespace,
            &parts.identity,
            parts.readiness.clone(),
            parts.metrics.apiserver_up.clone(),
        ),
        None => Lease::none(),
    };
    let ended = match lease.wait(stop).await {
        Ok(false) => Ok(()),
        Ok(true) => tokio::select! {
            ended = lead(parts, keyring, stop) => ended,
            why = lease.lost() => Err(why),
        },
        Err(error) => Err(error),
    };
    stop.cancel();
    lease.release().await;
    ended
}

async fn lead(
    parts: ControllerDeps,
    keyring: KeyringHandle,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    parts.readiness.waiting("watches", "the first lists");
    let needs = start::StartDeps {
        settings: &parts.settings,
        client: &parts.client,
        db: &parts.db,
        keyring: &keyring,
        identity: &parts.identity,
        readiness: &parts.readiness,
        metrics: &parts.metrics,
    };
    let epoch = start::lead(&needs, stop).await?;
    let Some(epoch) = epoch else { return Ok(()) };
    if let Err(error) = keyring.fingerprint_key() {
        tracing::error!(%error, "no key is taken from any Secret");
    }
    parts.metrics.leading.set(1);
    Ok(join(spawn(parts, keyring, epoch, stop), stop).await?)
}

/// Waits for all tasks. Each runs until shutdown: the first that ends ends them all, and what then
/// still waits for somebody is dropped, for it can be repeated.
async fn join(mut tasks: Tasks, stop: &CancellationToken) -> Result<(), Error> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    let mut late = std::pin::pin!(late);
    let mut ended = Ok(());
    loop {
        let task = tokio::select! {
            task = tasks.join_next() => task,
            () = &mut late => {
                tracing::warn!("what was under way took too long and is dropped");
                return ended;
            }
        };
        let Some(task) = task else { return ended };
        let result = task.map_err(Error::from).and_then(|result| result);
        if let Err(error) = result
            && ended.is_ok()
        {
            tracing::error!(%error, "the controller stops");
            ended = Err(error);
        }
        stop.cancel();
    }
}

type Tasks = JoinSet<Result<(), Error>>;

fn spawn(
    parts: ControllerDeps,
    keyring: KeyringHandle,
    epoch: Epoch,
    stop: &CancellationToken,
) -> Tasks {
    let mut tasks: Tasks = JoinSet::new();
    let (waker, wakes) = Waker::channel();
    let (sweeper, sweeps) = Sweeper::channel();
    let (model_sync, syncs) = ModelSync::new(parts.settings.model_sync_limit as usize);
    let writes = parts.settings.model_sync_writes_per_second;
    let index = Arc::new(RwLock::new(Index::default()));
    let instance = parts.identity.clone();
    let (events, publishing) = Events::new(parts.client.clone(), instance, index.clone());
    let (checks, reports) = Checks::new(CheckDeps {
        db: parts.db.clone(),
        epoch,
        keyring: keyring.clone(),
        clients: parts.clients.clone(),
        minter: Arc::new(TokenRequests {
            client: parts.client.clone(),
            own_audiences: parts.own_audiences.clone(),
        }),
        token_services: parts.settings.token_services.iter().cloned().collect(),
        metrics: parts.check_metrics.clone(),
    });
    let context = Arc::new(Context {
        client: parts.client.clone(),
        db: parts.db.clone(),
        epoch,
        index,
        waker,
        checks: checks.clone(),
        keyring,
        events,
        sweeper,
        model_sync,
        metrics: parts.metrics.clone(),
        catalog: parts.catalog.clone(),
        label_prefixes: parts.settings.label_prefixes.clone(),
        taken: Mutex::default(),
        first_seen: Mutex::default(),
        unreadable: Default::default(),
        stored: Default::default(),
        endpoints_seen: Default::default(),
        credentials_seen: Default::default(),
        lists_complete: Default::default(),
        own_statuses: Default::default(),
        patience: Mutex::default(),
        last_repair: Default::default(),
        database: DependencyHealth::new(
            "database",
            parts.metrics.database_up.gauge(),
            parts.readiness.clone(),
        ),
        apiserver: DependencyHealth::new(
            "kube-apiserver",
            parts.metrics.apiserver_up.gauge(),
            parts.readiness.clone(),
        ),
    });
    let scope = parts.settings.scope();
    let rewrap = RewrapSettings {
        settling: Duration::from_secs(parts.settings.rewrap_settling_seconds.into()),
        lease_namespace: parts.lease_namespace.clone(),
    };

    let synced = spawn_watches(&mut tasks, &context, scope.as_deref(), stop);
    let (work, token, readiness) = (context.clone(), stop.clone(), parts.readiness.clone());
    tasks.spawn(async move {
        // Before every list is complete, a parent that is not listed yet would look absent.
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = synced.wait() => readiness.ready("watches"),
        }
        work.lists_complete.store(true, Ordering::Release);
        queue::run(wakes, MAX_CONCURRENT_RECONCILES, token, move |key| {
            let span = spans::reconcile(key.kind.as_str(), &key.namespace, &key.name);
            dispatch::reconcile(work.clone(), key).instrument(span)
        })
        .await
    });
    tasks.spawn(sweep::run(context.clone(), scope, sweeps, stop.clone()));
    tasks.spawn(model_sync::run(
        context.clone(),
        syncs,
        writes,
        stop.clone(),
    ));
    let token = stop.clone();
    tasks.spawn(async move { Ok(checks.run(token).await?) });
    tasks.spawn(follow_reports(context.clone(), reports, stop.clone()));
    tasks.spawn(follow_requests(context.clone(), stop.clone()));
    tasks.spawn(stored_configuration::run(context.clone(), stop.clone()));
    tasks.spawn(audit::run(context.clone(), stop.clone()));
    tasks.spawn(rewrap::run(context.clone(), rewrap, stop.clone()));
    tasks.spawn(upkeep::run(context, stop.clone()));
    let token = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = token.cancelled() => {}
            () = publishing => {}
        }
        Ok(())
    });
    tasks
}

/// Counts the watches whose first list is not complete yet.
struct InitialSync {
    missing: AtomicUsize,
    complete: Notify,
}

impl InitialSync {
    fn one(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.complete.notify_one();
        }
    }

    async fn wait(&self) {
        self.complete.notified().await;
    }
}

fn spawn_watches(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    namespaces: Option<&[String]>,
    stop: &CancellationToken,
) -> Arc<InitialSync> {
    let scopes: Vec<Option<String>> = match namespaces {
        None => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let synced = Arc::new(InitialSync {
        missing: AtomicUsize::new(scopes.len() * 6),
        complete: Notify::new(),
    });
    for scope in scopes {
        spawn_watch::<LlmProvider>(tasks, context, &scope, &synced, stop);
        spawn_watch::<LlmEndpoint>(tasks, context, &scope, &synced, stop);
        spawn_watch::<LlmCredential>(tasks, context, &scope, &synced, stop);
        spawn_watch::<LlmModel>(tasks, context, &scope, &synced, stop);
        spawn_watch::<LlmModelClass>(tasks, context, &scope, &synced, stop);
        let (context, counted, stop) = (context.clone(), synced.clone(), stop.clone());
        tasks.spawn(async move {
            watch::secrets(context, scope, move || counted.one(), stop).await;
            Ok(())
        });
    }
    synced
}

fn spawn_watch<K>(
    tasks: &mut Tasks,
    context: &Arc<Context>,
    scope: &Option<String>,
    synced: &Arc<InitialSync>,
    stop: &CancellationToken,
) where
    K: Declared
        + kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let (context, scope) = (context.clone(), scope.clone());
    let (counted, stop) = (synced.clone(), stop.clone());
    tasks.spawn(async move {
        watch::objects::<K>(context, scope, move || counted.one(), stop).await;
        Ok(())
    });
}

/// Wakes whom a check's result concerns.
async fn follow_reports(
    context: Arc<Context>,
    mut reports: mpsc::UnboundedReceiver<Report>,
    stop: CancellationToken,
) -> Result<(), Error> {
    loop {
        let report = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            report = reports.recv() => report,
        };
        let Some(report) = report else { return Ok(()) };
        if report.unreadable
            && let Err(error) = repair::repair(&context).await
        {
            tracing::debug!(%error, "rows that cannot be read could not be repaired");
        }
        let owner = &report.owner;
        let key = ObjectKey::new(owner.kind, &owner.namespace, &owner.name);
        let listed = (report.key).is_some_and(|job| job.kind == CheckKind::ModelList);
        if listed && report.listing_changed {
            let index = context.index();
            let models = index.child_keys(Kind::Model, &key.namespace, &key.name);
            context.waker.wake_all(models.map(Wake::now));
        } else if listed && report.once_more {
            let index = context.index();
            let models = index.children::<LlmModel>(&key.namespace, &key.name);
            let missing = models.iter().filter(|model| !is_available(model));
            context
                .waker
                .wake_all(missing.map(|model| Wake::now(model.key())));
        }
        context.waker.wake(Wake::now(key));
    }
}

fn is_available(model: &LlmModel) -> bool {
    let available = conditions::find(model.conditions(), LlmModel::OUTSIDE);
    available.is_some_and(|available| available.status == "True")
}

/// Takes up the checks that the read API asked for: when told, on every (re)connect, and every few
/// seconds in case nobody was told. A request stays in the database until its checks were made and the
/// object's row says what they found: one that outlives this process is met by the next, and whoever
/// asked reads the answer in the row once the request is gone.
async fn follow_requests(context: Arc<Context>, stop: CancellationToken) -> Result<(), Error> {
    let mut listener = CheckListener::new(&context.db);
    let mut backstop = tokio::time::interval(REQUESTS_BACKSTOP);
    backstop.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = listener.next() => {}
            () = context.checks.request_is_told() => {}
            _ = backstop.tick() => {}
        }
        match take_up_requests(&context).await {
            Ok(()) => {}
            Err(error @ DbError::Fenced) => return Err(error.into()),
            Err(error) if error.is_outage() => {
                tracing::debug!(%error, "requests for checks could not be read");
            }
            Err(error) => tracing::warn!(%error, "requests for checks could not be read"),
        }
    }
}

async fn take_up_requests(context: &Context) -> Result<(), DbError> {
    let met = context.checks.requests_met();
    if !met.is_empty() {
        let removed = met.clone();
        context
            .db
            .write_unversioned(context.epoch, move |tx| {
                Box::pin(async move {
                    for met in removed {
                        tx.check_request_met(met.uid, met.requested_at).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        context.checks.forget_requests(&met);
    }
    for request in context.db.check_requests().await? {
        context.checks.request(&request);
    }
    Ok(())
}

/// Who this process is: the pod's name, or the host's, with a part of its own.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "controller".to_owned());
    format!("{host}-{}", uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_does_not_wait_for_what_hangs_and_keeps_the_first_error() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new();
        tasks.spawn(std::future::pending());
        tasks.spawn(async { Err(DbError::Fenced.into()) });
        let ended = tokio::time::timeout(2 * DRAIN_TIMEOUT, join(tasks, &stop)).await;
        let ended = ended.expect("it ends in time");
        assert!(matches!(ended, Err(Error::Db(DbError::Fenced))));
        assert!(stop.is_cancelled());
    }
}
