//! `llmplane api`, `llmplane openapi`.

use tokio_util::sync::CancellationToken;

use crate::config::api::ApiArgs;
use crate::telemetry::TraceArgs;

/// Serve the read API
#[derive(Clone, Debug, clap::Args)]
pub struct ApiCommand {
    #[command(flatten)]
    args: ApiArgs,
    /// Where traces go.
    #[command(flatten)]
    pub(super) traces: TraceArgs,
}

impl ApiCommand {
    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// Settings that do not go together, and what keeps the API from starting or going on.
    pub async fn run(self) -> anyhow::Result<()> {
        let admin = self.args.admin;
        let settings = self.args.settings()?;
        let shutdown = CancellationToken::new();
        let signalled = crate::telemetry::cancel_on_signal(shutdown.clone())?;
        let ended = crate::api::run(settings, admin, shutdown).await;
        signalled.abort();
        Ok(ended?)
    }
}
