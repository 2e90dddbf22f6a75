//! `llmplane console`.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use crate::api_client::{ApiArgs, ClusterArgs};
use crate::console::Console;
use crate::output::printable;

/// How long a token lasts: a stream of changes ends with its token, and is then begun anew.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Show what is declared, and whether it works, as a page in a browser
///
/// It listens on this machine alone, and asks the API as a ServiceAccount of which you may make a token. It
/// changes nothing, and shows no key.
#[derive(Debug, clap::Args)]
pub struct ConsoleCommand {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    api: ApiArgs,
    /// Port of 127.0.0.1 to listen on; 0 for a free one
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    port: u16,
    /// Print the address, and open no browser
    #[arg(long)]
    no_open: bool,
}

impl ConsoleCommand {
    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// Where the cluster is not known, the port is taken, or no token can be made.
    pub async fn run(self) -> anyhow::Result<()> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = self.cluster.open().await?;
        let api = self.api.connection(&cluster, TOKEN_LIFETIME)?;
        // What can be wrong from the start is said in the terminal.
        api.tokens.token().await?;
        api.link().await?;
        let user = api.tokens.user();
        let console = match Console::bind(self.port, cluster, api).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                bail!("port {} is taken; give another with --port", self.port)
            }
            bound => bound.context("no port of 127.0.0.1 can be opened")?,
        };
        let shutdown = CancellationToken::new();
        let signalled = crate::telemetry::cancel_on_signal(shutdown.clone())?;
        let mut out = crate::output::stdout();
        writeln!(out, "{}", console.address())?;
        out.flush()?;
        drop(out);
        eprintln!("asks the API as {}; Ctrl-C ends it", printable(&user));
        if !self.no_open {
            let address = console.address_for_once()?;
            if let Err(error) = open::that_detached(address) {
                eprintln!("no browser was opened ({error}); open the address above");
            }
        }
        let ended = console.run(shutdown).await;
        signalled.abort();
        Ok(ended?)
    }
}
