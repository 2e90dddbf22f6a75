//! `llmplane controller`.

use tokio_util::sync::CancellationToken;

use crate::controller::Settings;
use crate::telemetry::TraceArgs;

/// Brings what is declared into force, and checks it against the vendors
#[derive(Clone, Debug, clap::Args)]
pub struct ControllerCommand {
    #[command(flatten)]
    settings: Settings,
    /// Where traces go.
    #[command(flatten)]
    pub(super) traces: TraceArgs,
}

impl ControllerCommand {
    /// Runs until SIGTERM or SIGINT; the Lease is then given back.
    ///
    /// # Errors
    /// What keeps the controller from starting or going on, another's leadership among it.
    pub async fn run(self) -> anyhow::Result<()> {
        // A second installation of the same provider is no error.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shutdown = CancellationToken::new();
        let signalled = crate::telemetry::cancel_on_signal(shutdown.clone())?;
        let ended = crate::controller::run(self.settings, shutdown).await;
        signalled.abort();
        Ok(ended?)
    }
}
