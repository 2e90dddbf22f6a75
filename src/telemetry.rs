//! Logs, and the signals that end a process.

use std::io::IsTerminal;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// What a process logs, and how.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// What is logged: a level, or levels by module; without it info
    #[arg(long = "log", env = "RUST_LOG", value_name = "FILTER", global = true)]
    pub log_filter: Option<String>,
    /// Form of the log; without it text on a terminal, else json
    #[arg(
        long,
        env = "LLMPLANE_LOG_FORMAT",
        value_name = "FORMAT",
        global = true
    )]
    pub log_format: Option<LogFormat>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be understood.
    #[error("RUST_LOG, or --log, cannot be understood: {0}; an example is info,llmplane=debug")]
    Filter(String),
    /// Something else in this process logs already.
    #[error("logging was started twice")]
    Twice,
}

impl LogArgs {
    /// Starts logging to standard error.
    ///
    /// # Errors
    ///
    /// Where the filter cannot be understood, or logging has started already.
    pub fn start(&self) -> Result<(), TelemetryError> {
        let filter = filter(self.log_filter.as_deref())?;
        let terminal = std::io::stderr().is_terminal();
        let format = self.log_format.unwrap_or(match terminal {
            true => LogFormat::Text,
            false => LogFormat::Json,
        });
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(terminal);
        match format {
            LogFormat::Text => builder.try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        }
        .map_err(|_| TelemetryError::Twice)
    }
}

fn filter(wanted: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let wanted = wanted.filter(|wanted| !wanted.is_empty()).unwrap_or("info");
    EnvFilter::try_new(wanted).map_err(|error| TelemetryError::Filter(error.to_string()))
}

/// Cancels the token at the first SIGTERM or SIGINT.
///
/// # Errors
///
/// Where the process may not handle signals.
pub fn cancel_on_signal(token: CancellationToken) -> std::io::Result<JoinHandle<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
        token.cancel();
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_filter_is_refused_with_an_example() {
        assert!(filter(None).is_ok() && filter(Some("")).is_ok());
        let refused = filter(Some("llmplane=loud"))
            .err()
            .map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains("info,llmplane=debug")));
    }
}
