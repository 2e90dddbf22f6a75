//! `llmplane console`.

use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
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
    /// Where the cluster is not known, the port is taken, no token can be made, or the API does not answer.
    pub async fn run(self) -> anyhow::Result<()> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = self.cluster.open().await?;
        let api = self.api.connection(&cluster, TOKEN_LIFETIME)?;
        // What can be wrong from the start is said in the terminal.
        api.tokens.token().await?;
        let user = api.tokens.user();
        let console = match Console::bind(self.port, cluster, api).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                bail!("port {} is taken; give another with --port", self.port)
            }
            bound => bound.context("no port of 127.0.0.1 can be opened")?,
        };
        console.probe_api().await?;
        let shutdown = CancellationToken::new();
        let signalled = crate::telemetry::cancel_on_signal(shutdown.clone())?;
        let mut out = crate::output::stdout();
        writeln!(out, "{}", console.address())?;
        out.flush()?;
        drop(out);
        eprintln!("asks the API as {}; Ctrl-C ends it", printable(&user));
        if !self.no_open {
            open_browser(&console.address_for_once()?);
        }
        let ended = console.run(shutdown).await;
        signalled.abort();
        Ok(ended?)
    }
}

/// Has the first of the system's programs for it that is there open an address, and says where none does.
fn open_browser(address: &str) {
    let started = open::commands(address).into_iter().find_map(|mut command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Ctrl-C is for the console, and not for the browser.
        command.process_group(0).spawn().ok()
    });
    // `open::that_detached` waits on a stack that a build without optimization runs out of.
    std::thread::spawn(move || {
        let ended = started.map(|mut program| program.wait());
        if !ended.is_some_and(|it| it.is_ok_and(|status| status.success())) {
            eprintln!("no browser was opened; open the address above");
        }
    });
}
