//! A control plane of the run's own, and the processes that are measured on it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use kube::config::Kubeconfig;
use llmplane::config::cluster;
use llmplane::local::postgres::{self, Role};
use llmplane::local::state::Component;
use llmplane::local::{Durability, Lifetime, Options, SYSTEM_NAMESPACE, StateDir, down, up};
use rustls::{ClientConfig, RootCertStore};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::process::Command;

use crate::fleet;
use crate::process::Process;

/// The program that is measured, of the same profile as this one.
const PROGRAM: &str = env!("CARGO_BIN_EXE_llmplane");
/// The database that it works on.
const DATABASE: &str = "bench";
/// An empty one beside it, for the floor that it is compared with.
const FLOOR_DATABASE: &str = "bench_floor";

/// One in which stored keys are re-wrapped.
const REWRAP_DATABASE: &str = "bench_rewrap";

/// One for the service that the read API is compared with.
const PEERS_DATABASE: &str = "bench_peers";

/// etcd, kube-apiserver, kube-controller-manager and PostgreSQL, as durable as by default.
pub struct Plane {
    pub options: Options,
    /// With the administrator's rights.
    pub client: kube::Client,
}

impl Plane {
    /// A new one in a folder of this name; whatever an earlier run left there is removed.
    pub async fn start(name: &str) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let state_dir = StateDir::new(&folder)?;
        down(&state_dir, true).await?;
        let options = Options {
            state_dir,
            plane_only: true,
            empty: false,
            node: false,
            durability: Durability::Durable,
            lifetime: Lifetime::WithCaller,
            executable: PathBuf::from(PROGRAM),
        };
        let report = |line: &str| eprintln!("{line}");
        up(&options, &report, std::future::pending()).await?;
        let kubeconfig = Kubeconfig::read_from(options.state_dir.kubeconfig())?;
        let config = cluster::direct(kubeconfig).await?;
        let plane = Self {
            client: kube::Client::try_from(config)?,
            options,
        };
        plane.make_databases().await?;
        Ok(plane)
    }

    /// Stops all of it and removes its state.
    pub async fn end(&self) -> Result<()> {
        Ok(down(&self.options.state_dir, true).await?)
    }

    async fn make_databases(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url(Role::Superuser, "postgres")?).await?;
        for name in [DATABASE, FLOOR_DATABASE] {
            let statement = format!("CREATE DATABASE {name} OWNER llmplane_owner");
            connection.execute(AssertSqlSafe(statement)).await?;
        }
        connection.close().await?;
        llmplane::db::migrate(&self.database_url(Role::Owner)?).await?;
        Ok(())
    }

    fn url(&self, role: Role, database: &str) -> Result<String> {
        postgres::url(&self.options.state_dir, role, database)?.context("the plane has passwords")
    }

    /// The address of the measured database.
    pub fn database_url(&self, role: Role) -> Result<String> {
        self.url(role, DATABASE)
    }

    /// The address of the empty database.
    pub fn floor_database_url(&self) -> Result<String> {
        self.url(Role::Owner, FLOOR_DATABASE)
    }

    /// An empty database for a peer, made anew; its owner may do anything there.
    pub async fn peers_database(&self) -> Result<String> {
        let mut connection = PgConnection::connect(&self.url(Role::Superuser, "postgres")?).await?;
        for statement in [
            format!("DROP DATABASE IF EXISTS {PEERS_DATABASE}"),
            format!("CREATE DATABASE {PEERS_DATABASE} OWNER llmplane_owner"),
        ] {
            connection.execute(AssertSqlSafe(statement)).await?;
        }
        connection.close().await?;
        self.url(Role::Owner, PEERS_DATABASE)
    }

    /// Where the kube-apiserver listens, and how to trust it; as nobody in particular.
    pub async fn apiserver(&self) -> Result<(SocketAddr, Arc<ClientConfig>)> {
        let kubeconfig = Kubeconfig::read_from(self.options.state_dir.kubeconfig())?;
        let config = cluster::direct(kubeconfig).await?;
        let host = config.cluster_url.authority().context("it has a host")?;
        let mut roots = RootCertStore::empty();
        for certificate in config.root_cert.into_iter().flatten() {
            roots.add(certificate.into())?;
        }
        let tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok((host.as_str().parse()?, Arc::new(tls)))
    }

    /// Transactions that the measured database has seen, committed or not. The question is asked
    /// in another database, so that it does not count itself.
    pub async fn transactions(&self) -> Result<i64> {
        let mut connection = PgConnection::connect(&self.url(Role::Superuser, "postgres")?).await?;
        let count = sqlx::query_scalar(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1",
        )
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(count)
    }

    /// What the kube-apiserver counts.
    pub async fn apiserver_metrics(&self) -> Result<String> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        Ok(self.client.request_text(request).await?)
    }

    /// A controller of the namespaces that are measured. Several take turns by the Lease.
    pub fn controller(&self, name: &str) -> Result<Process> {
        let admin = free_address()?;
        let mut command = self.command("controller", Component::Controller, admin);
        command
            .env("DATABASE_URL", self.database_url(Role::Controller)?)
            .env("LLMPLANE_KEYRING_DIR", self.options.state_dir.keyring())
            .env("LLMPLANE_NAMESPACES", fleet::WATCHED.join(","))
            .env("LLMPLANE_ALLOW_CIDRS", "127.0.0.0/8")
            .env("LLMPLANE_LEASE_NAMESPACE", SYSTEM_NAMESPACE)
            .env("HOSTNAME", name);
        Process::start(command, admin, None, &self.log(name))
    }

    /// A database of its own for re-wrapping: its address as the owner, and as the controller.
    pub async fn rewrap_database(&self) -> Result<(String, String)> {
        let mut connection = PgConnection::connect(&self.url(Role::Superuser, "postgres")?).await?;
        let statement = format!("CREATE DATABASE {REWRAP_DATABASE} OWNER llmplane_owner");
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await?;
        let owner = self.url(Role::Owner, REWRAP_DATABASE)?;
        llmplane::db::migrate(&owner).await?;
        Ok((owner, self.url(Role::Controller, REWRAP_DATABASE)?))
    }

    /// A controller of this database alone, which re-wraps at once what is not under its keyring's
    /// active key.
    pub fn rewrapper(&self, database_url: &str, keyring: &Path) -> Result<Process> {
        let admin = free_address()?;
        let mut command = self.command("controller", Component::Controller, admin);
        command
            .env("DATABASE_URL", database_url)
            .env("LLMPLANE_KEYRING_DIR", keyring)
            .env("LLMPLANE_NAMESPACES", "rewrap")
            .env("LLMPLANE_LEADER_ELECTION", "false")
            .env("LLMPLANE_REWRAP_SETTLING_SECONDS", "0");
        Process::start(command, admin, None, &self.log("rewrapper"))
    }

    /// A read API.
    pub fn api(&self, name: &str) -> Result<Process> {
        self.api_with(name, &[])
    }

    /// A read API with these settings over the usual ones.
    pub fn api_with(&self, name: &str, settings: &[(&str, &str)]) -> Result<Process> {
        let (admin, listen) = (free_address()?, free_address()?);
        let mut command = self.command("api", Component::Api, admin);
        command
            .env("DATABASE_URL", self.database_url(Role::Api)?)
            .env("LLMPLANE_KEYRING_DIR", self.options.state_dir.keyring())
            .env("LLMPLANE_KEYS_PER_SECOND", "1000000")
            .env("LLMPLANE_LISTEN", listen.to_string())
            .envs(settings.iter().copied());
        Process::start(command, admin, Some(listen), &self.log(name))
    }

    fn command(&self, subcommand: &str, who: Component, admin: SocketAddr) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg(subcommand)
            .env_clear()
            .env("KUBECONFIG", self.options.state_dir.kubeconfig_of(who))
            .env("LLMPLANE_ADMIN_LISTEN", admin.to_string());
        command
    }

    fn log(&self, name: &str) -> PathBuf {
        self.options
            .state_dir
            .path()
            .join(format!("bench-{name}.log"))
    }
}

/// An address on loopback that nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(llmplane::local::ports::bind_free()?.local_addr()?)
}
