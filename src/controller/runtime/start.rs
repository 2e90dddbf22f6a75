//! What must be there before anything is reconciled: keyring, cluster, database, leadership.

use std::{net::SocketAddr, path::Path, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::{apiserver_addresses, metrics::Metrics};
use crate::controller::{error::Error, settings::Settings};
use crate::{
    admin::Readiness,
    config::cluster::ClusterError,
    db::{Db, DbError, DbOptions, Epoch},
    encryption::KeyringHandle,
    vendors::{
        catalog::{Catalog, CatalogError},
        http::{address_guard::AddressGuard, own_addresses::OwnAddresses},
    },
};

/// Wait between two attempts to reach what is needed.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// The namespace whose UID stands for the cluster.
const CLUSTER_NAMESPACE: &str = "kube-system";

/// Why the controller does not start, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The cluster's address or account is not known.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The kube-apiserver's client cannot be made.
    #[error("cannot make a client of the kube-apiserver: {0}; look at KUBECONFIG")]
    Client(String),
    /// The database cannot be used; waiting would not help.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The Lease cannot be used.
    #[error(
        "the Lease cannot be used: {0}; grant the controller get, create and update on leases in \
         LLMPLANE_LEASE_NAMESPACE"
    )]
    Lease(String),
    /// A port cannot be used.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
    /// Another controller leads now.
    #[error("the Lease was lost; another controller leads")]
    LeaseLost,
    /// A part of the controller ended that should not have.
    #[error("the controller stopped: {0}")]
    SyncEnd(#[from] Error),
}

/// Opens the keyring, as soon as it can be opened: a folder that is delivered late, or half, is mended while this
/// waits. `None`: shutdown came first.
pub async fn keyring(
    dir: &Path,
    readiness: &Readiness,
    shutdown: &CancellationToken,
) -> Option<KeyringHandle> {
    let mut said = String::new();
    loop {
        let why = match KeyringHandle::open(dir) {
            Ok(keyring) => {
                readiness.ready("keyring");
                return Some(keyring);
            }
            Err(error) => error.to_string(),
        };
        if said != why {
            tracing::error!(%why, "the keyring cannot be opened; the controller waits for it");
            said.clone_from(&why);
        }
        readiness.waiting("keyring", why);
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
}

/// Opens the database's pool. It connects when it is needed: a database that is away is waited
/// for.
pub fn database(settings: &Settings) -> Result<Db, DbError> {
    let mut options = DbOptions::new("llmplane-controller");
    options.max_connections = crate::controller::settings::DB_CONNECTIONS;
    Db::lazy(settings.database_url.expose_secret(), &options)
}

/// The built-in catalog, with the operator's own over it.
pub fn catalog(settings: &Settings) -> Result<Catalog, CatalogError> {
    let builtin = Catalog::builtin()?;
    let Some(file) = &settings.catalog else {
        return Ok(builtin);
    };
    let catalog = builtin.overlay(file)?;
    for held in catalog.held() {
        tracing::warn!(provider = %held.provider, model = %held.model_id, why = %held.why, "a change of the catalog was held back");
    }
    Ok(catalog)
}

/// Brings the schema up to date where the settings say so, once the database answers. `false`:
/// shutdown came first.
///
/// # Errors
/// What waiting does not heal.
pub async fn migrate(
    settings: &Settings,
    readiness: &Readiness,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> Result<bool, StartError> {
    if !settings.migrate {
        return Ok(true);
    }
    let mut said = false;
    loop {
        let migrated = tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            migrated = crate::db::migrate(settings.database_url.expose_secret()) => migrated,
        };
        match migrated {
            Ok(()) => {
                // Who then waits for its turn asks it no more.
                metrics.database_up.forget();
                return Ok(true);
            }
            Err(error) if error.is_transient() => {
                metrics.database_up.set(false);
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(what = "database", why = %error, "does not answer; waits for it");
                }
                readiness.waiting("database", error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
}

/// What leading takes.
pub struct StartDeps<'a> {
    pub settings: &'a Settings,
    pub client: &'a Client,
    pub db: &'a Db,
    pub keyring: &'a KeyringHandle,
    pub identity: &'a str,
    pub readiness: &'a Readiness,
    pub metrics: &'a Metrics,
}

/// Waits for the database, makes sure of its schema and of its cluster, takes the lead, and holds
/// the keyring to what the stored fingerprints were made with. `None`: shutdown came first.
///
/// # Errors
/// What waiting does not heal: another schema, another cluster, missing rights.
pub async fn lead(
    needs: &StartDeps<'_>,
    shutdown: &CancellationToken,
) -> Result<Option<Epoch>, StartError> {
    let (readiness, metrics) = (needs.readiness, needs.metrics);
    let mut said = String::new();
    loop {
        let attempt = tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            attempt = attempt(needs) => attempt,
        };
        let (what, why) = match attempt {
            Ok(epoch) => {
                readiness.ready("database");
                readiness.ready("kube-apiserver");
                metrics.database_up.set(true);
                metrics.apiserver_up.set(true);
                return Ok(Some(epoch));
            }
            Err(StartError::Db(error)) if error.is_transient() => {
                metrics.database_up.set(false);
                ("database", error.to_string())
            }
            Err(StartError::SyncEnd(error @ Error::Kube(_))) => {
                // It is asked once the database has answered.
                readiness.ready("database");
                metrics.database_up.set(true);
                metrics.apiserver_up.set(false);
                ("kube-apiserver", error.to_string())
            }
            Err(error) => return Err(error),
        };
        if said != why {
            tracing::warn!(what, %why, "does not answer; waits for it");
            said.clone_from(&why);
        }
        readiness.waiting(what, why);
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
}

async fn attempt(needs: &StartDeps<'_>) -> Result<Epoch, StartError> {
    let (settings, db) = (needs.settings, needs.db);
    if settings.migrate {
        crate::db::migrate(settings.database_url.expose_secret()).await?;
    }
    db.check_schema().await?;
    let namespaces: Api<Namespace> = Api::all(needs.client.clone());
    let cluster = namespaces
        .get_metadata(CLUSTER_NAMESPACE)
        .await
        .map_err(Error::from)?;
    db.cluster_claim(&cluster.uid().unwrap_or_default(), settings.adopt_cluster)
        .await?;
    let epoch = db.lead(needs.identity).await?;
    let own = needs.keyring.fingerprint_check();
    let claim = db.write_unversioned(epoch, move |tx| {
        Box::pin(async move { tx.keyring_check(&own).await })
    });
    needs.keyring.expect(claim.await?);
    Ok(epoch)
}

/// The guard over what checks may connect to: never a kube-apiserver, PostgreSQL, or a port of this
/// process.
pub fn guard(
    settings: &Settings,
    kubeconfig: &kube::Config,
    client: &Client,
    db: &Db,
    listeners: &[SocketAddr],
) -> AddressGuard {
    let api = &kubeconfig.cluster_url;
    let api_host = api.host().unwrap_or_default().to_owned();
    let hosts = vec![(api_host, api.port_u16().unwrap_or(443)), db.server()];
    let (service, slices) = (client.clone(), client.clone());
    let own = OwnAddresses::of(hosts)
        .and_found_by(move || apiserver_addresses::of_service(service.clone()))
        .and_found_by(move || apiserver_addresses::of_slices(slices.clone()));
    let own = listeners
        .iter()
        .copied()
        .fold(own, OwnAddresses::and_listener);
    AddressGuard::watching(settings.allow_cidrs.clone(), own)
}
