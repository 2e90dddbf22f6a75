//! `llmplane all`: controller and read API in one process, for small installations.
//!
//! They share the process and its admin port, and nothing else: each has its own role in PostgreSQL
//! and reads what the other wrote there. It ends when one of them does, as two processes would be
//! restarted one by one.

use rustls::crypto::ring;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::admin::Host;
use crate::api::{self, ApiError};
use crate::config::api::{ApiSettings, ServingArgs};
use crate::controller::{Controller, Settings, StartError};
use crate::telemetry::TraceArgs;

/// Bring what is declared into force and serve the read API, in one process
#[derive(Clone, Debug, clap::Args)]
pub struct AllCommand {
    #[command(flatten)]
    controller: Settings,
    /// PostgreSQL URL of the API's role, where DATABASE_URL is the controller's
    #[arg(
        long,
        env = "LLMPLANE_API_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    api_database_url: SecretString,
    #[command(flatten)]
    serving: ServingArgs,
    /// Where traces go.
    #[command(flatten)]
    pub(super) traces: TraceArgs,
}

/// Why the process ended.
#[derive(Debug, thiserror::Error)]
enum FirstEnded {
    #[error(transparent)]
    Controller(#[from] StartError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Admin(#[from] std::io::Error),
}

impl AllCommand {
    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// What keeps one of the two from starting or going on.
    pub async fn run(self) -> anyhow::Result<()> {
        // A second installation of the same provider is no error.
        let _ = ring::default_provider().install_default();
        let cluster = self.controller.cluster.clone();
        let keyring = Some(self.controller.keyring_dir.clone());
        let services = self.controller.token_services.clone();
        let audience = self.controller.audience.clone();
        let url = self.api_database_url;
        let api = (self.serving).settings(url, cluster, keyring, services, audience)?;
        let shutdown = CancellationToken::new();
        let signalled = crate::telemetry::cancel_on_signal(shutdown.clone())?;
        let ended = run(self.controller, api, shutdown).await;
        signalled.abort();
        Ok(ended?)
    }
}

async fn run(
    controller: Settings,
    api: ApiSettings,
    shutdown: CancellationToken,
) -> Result<(), FirstEnded> {
    let mut host = Host::bind(controller.admin).await?;
    let server = api::Server::prepare(api, &mut host).await?;
    let controller = Controller::prepare(controller, &mut host).await?;
    let both = async {
        // Before either half starts: the API's ends where the schema is not its own.
        if !controller.migrate(&shutdown).await? {
            return Ok(());
        }
        let controller = async {
            let ended = controller.run(shutdown.clone()).await;
            shutdown.cancel();
            ended
        };
        let server = async {
            let ended = server.run(shutdown.clone()).await;
            shutdown.cancel();
            ended
        };
        let (controller, server) = tokio::join!(controller, server);
        controller
            .map_err(FirstEnded::from)
            .and(server.map_err(FirstEnded::from))
    };
    host.run(both, shutdown.clone()).await
}
