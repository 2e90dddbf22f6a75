//! Logs, traces, and the signals that end a process.

mod otlp;
pub mod spans;

use std::io::{IsTerminal, Write};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterExt, filter::FilterFn, fmt, layer::SubscriberExt,
    registry::LookupSpan, util::SubscriberInitExt,
};

pub use otlp::{TraceArgs, TraceError, Traces};

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
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] TraceError),
}

impl LogArgs {
    /// Starts logging to standard error.
    ///
    /// # Errors
    ///
    /// Where the filter cannot be understood, or logging has started already.
    pub fn start(&self) -> Result<(), TelemetryError> {
        let subscriber = tracing_subscriber::registry().with(self.lines()?);
        subscriber.try_init().map_err(|_| TelemetryError::Twice)
    }

    /// Starts logging to standard error, and traces of a process that is named so where an endpoint for them
    /// is set. To be called on the runtime that sends them.
    ///
    /// # Errors
    ///
    /// As [`Self::start`]; where traces cannot be sent.
    pub fn start_with(
        &self,
        traces: &TraceArgs,
        service: &'static str,
    ) -> Result<Option<Traces>, TelemetryError> {
        let Some(traces) = traces.start(service)? else {
            self.start()?;
            return Ok(None);
        };
        let ours = FilterFn::new(is_exported).with_max_level_hint(LevelFilter::INFO);
        let spans = tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_filter(ours);
        let subscriber = tracing_subscriber::registry()
            .with(spans)
            .with(self.lines()?);
        subscriber.try_init().map_err(|_| TelemetryError::Twice)?;
        Ok(Some(traces))
    }

    /// What writes the lines.
    fn lines<S>(&self) -> Result<impl Layer<S> + use<S>, TelemetryError>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let wanted = filter(self.log_filter.as_deref())?;
        let terminal = std::io::stderr().is_terminal();
        let format = self.log_format.unwrap_or(match terminal {
            true => LogFormat::Text,
            false => LogFormat::Json,
        });
        let lines = fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(terminal);
        let lines = match format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        Ok(lines.with_filter(wanted.and(FilterFn::new(may_be_logged))))
    }
}

/// Whether this is a span of ours: others' spans, and all events, may hold anything.
fn is_exported(what: &Metadata<'_>) -> bool {
    what.is_span() && what.target() == spans::TARGET
}

/// Other people's modules whose more talkative lines hold keys, and the level at which they hold
/// none. What RUST_LOG says of them counts only below that.
const QUIETENED: [(&str, LevelFilter); 3] = [
    // Traces what it signs with, the access key's id in plain.
    ("aws_sigv4", LevelFilter::INFO),
    ("aws_credential_types", LevelFilter::INFO),
    // Warns of an object that it cannot read by the whole of it, a Secret's contents too.
    ("kube_client::client", LevelFilter::ERROR),
];

fn may_be_logged(line: &Metadata<'_>) -> bool {
    if line.target() == spans::TARGET {
        return false;
    }
    let is_in = |module: &str| {
        let rest = line.target().strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let quietened = QUIETENED.iter().find(|(module, _)| is_in(module));
    quietened.is_none_or(|(_, loudest)| line.level() <= loudest)
}

/// From here on a panic says where it was, and not why: its text may hold anything, a key too.
pub fn hide_panic_texts() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        if tracing::dispatcher::has_been_set() {
            tracing::error!(place, "panicked");
        } else {
            // The last word of a process whose standard error may be closed.
            let _ = writeln!(std::io::stderr(), "panicked at {place}");
        }
    }));
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

    /// What is said on standard error by something that only makes sense in a process of its own: the
    /// test starts itself again, and does it there.
    fn said_in_a_process(test: &str, log: &str, act: impl FnOnce()) -> String {
        const ACTS: &str = "LLMPLANE_TEST_ACTS";
        if std::env::var_os(ACTS).is_some() {
            act();
            std::process::exit(0);
        }
        let own = std::env::current_exe().expect("a path");
        let output = std::process::Command::new(own)
            .args([
                "--exact",
                &format!("telemetry::tests::{test}"),
                "--nocapture",
            ])
            .env(ACTS, "1")
            .env("RUST_LOG", log)
            .output()
            .expect("a process");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// As the command line would be read.
    fn as_told() -> LogArgs {
        LogArgs {
            log_filter: std::env::var("RUST_LOG").ok(),
            log_format: None,
        }
    }

    #[test]
    fn no_filter_makes_others_log_keys() {
        for log in [
            "trace",
            "aws_sigv4::http_request::sign=trace,kube_client::client=trace",
        ] {
            let logged = said_in_a_process("no_filter_makes_others_log_keys", log, log_keys);
            assert!(!logged.contains("AKIA"), "{logged}");
            assert!(logged.contains("what went wrong"), "{logged}");
        }
    }

    fn log_keys() {
        as_told().start().expect("a log");
        let key = "AKIAQX7ZV3KPLM2NWRTD";
        tracing::trace!(target: "aws_sigv4::http_request::sign", key);
        tracing::debug!(target: "aws_credential_types", key);
        tracing::warn!(target: "kube_client::client", key);
        tracing::error!(target: "kube_client::client", "what went wrong");
    }

    #[test]
    fn a_panic_says_where_and_not_what() {
        let said = said_in_a_process("a_panic_says_where_and_not_what", "info", panics);
        assert_where_and_not_what(&said);
    }

    #[test]
    fn a_panic_is_logged_with_where_and_not_with_what() {
        let test = "a_panic_is_logged_with_where_and_not_with_what";
        let said = said_in_a_process(test, "info", || {
            as_told().start().expect("a log");
            panics();
        });
        assert_where_and_not_what(&said);
    }

    fn panics() {
        hide_panic_texts();
        let ended = std::thread::spawn(|| panic!("sk-canary-0123456789abcdef")).join();
        assert!(ended.is_err());
    }

    fn assert_where_and_not_what(said: &str) {
        assert!(!said.contains("canary"), "{said}");
        assert!(said.contains("src/telemetry/mod.rs:"), "{said}");
    }
}
