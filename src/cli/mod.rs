//! The command line: one binary, one subcommand a task.

mod all;
mod api;
mod audit;
mod catalog;
mod console;
mod controller;
mod crds;
mod export;
mod federation;
mod healthcheck;
mod import;
pub(crate) mod init;
mod keyring;
mod kubectl_llm;
mod lint;
mod local;
mod migrate;
mod needs;
mod plan;
mod preflight;
mod rotation;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use all::AllCommand;
use api::ApiCommand;
use audit::AuditCommand;
use catalog::CatalogCommand;
use console::ConsoleCommand;
use controller::ControllerCommand;
use crds::CrdsCommand;
use export::ExportCommand;
use federation::FederationCommand;
use healthcheck::HealthcheckCommand;
use import::ImportCommand;
use init::InitCommand;
use keyring::KeyringCommand;
pub use kubectl_llm::KubectlLlm;
use lint::LintCommand;
use local::LocalArgs;
use migrate::MigrateCommand;
use needs::NeedsCommand;
use plan::PlanCommand;
use preflight::PreflightCommand;
use rotation::RotationCommand;

use crate::db::AuditActor;
use crate::hardening::{self, NotHardened};
use crate::local::process::PLANE;
use crate::output::{printable, printable_lines};
use crate::telemetry::{LogArgs, TraceArgs};

/// What `kubectl llm` ends with where it could not find out whether all is in order.
const CANNOT_TELL: u8 = 2;

/// A declarative control plane for LLM providers, endpoints, keys and models
#[derive(Debug, Parser)]
#[command(name = "llmplane", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
}

/// One variant a task; each delegates to its module.
#[derive(Debug, Subcommand)]
enum Command {
    /// Print what is known of models that nobody declared
    Catalog(CatalogCommand),
    /// Controller and read API in one process
    All(AllCommand),
    /// Serve the read API
    Api(ApiCommand),
    /// Prove that the audit is whole, export it, ask whose key a string is
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show what is declared, and whether it works, as a page in a browser
    Console(ConsoleCommand),
    /// Bring what is declared into force, and check it against the vendors
    Controller(ControllerCommand),
    /// Print what is declared in the cluster, as manifests
    Export(ExportCommand),
    /// Say what vendors that exchange tokens in place of a key have to know
    #[command(subcommand)]
    Federation(FederationCommand),
    /// Say whether a URL answers, where there is no other client
    Healthcheck(HealthcheckCommand),
    /// Convert others' configuration to manifests, and apply them
    Import(ImportCommand),
    /// Print a first set of manifests for a provider type
    Init(InitCommand),
    /// Judge manifests as the apiserver would, without one
    Lint(LintCommand),
    /// Print the custom resource definitions
    Crds(CrdsCommand),
    /// Make and rotate the keys that encrypt credentials
    #[command(subcommand)]
    Keyring(KeyringCommand),
    /// Print the read API's description
    #[command(hide = true)]
    Openapi,
    /// Say who holds which version of a key, and wait until nobody holds a former one
    #[command(subcommand)]
    Rotation(RotationCommand),
    /// Run a real control plane on this machine
    Local(LocalArgs),
    /// Bring the database's schema up to date
    Migrate(MigrateCommand),
    /// Print what agents asked for, and how often, as JSON: for `llmplane plan --needs`
    Needs(NeedsCommand),
    /// Say what manifests would do: which objects change, and what agents would be answered otherwise
    Plan(Box<PlanCommand>),
    /// Say whether a cluster and a database have what an installation needs
    Preflight(Box<PreflightCommand>),
}

/// Runs this process's command, and answers the code to end with: `kubectl-llm`'s and `kubectl_complete-llm`'s
/// under these names, else `llmplane`'s. Where the command line cannot be understood, one line on standard error
/// says why, and the process ends with 1 where something is not set, with 2 for wrong usage.
pub fn run() -> ExitCode {
    let name = std::env::args_os().next().map(PathBuf::from);
    let name = name.as_deref().and_then(Path::file_stem);
    match name.and_then(|name| name.to_str()) {
        Some("kubectl-llm") => {
            let plugin: KubectlLlm = parsed().unwrap_or_else(|error: clap::Error| error.exit());
            plugin
                .run()
                .map_or_else(|error| failed(&error, CANNOT_TELL), ExitCode::from)
        }
        Some("kubectl_complete-llm") => succeeded(
            KubectlLlm::complete(std::env::args_os().skip(1)).map_err(anyhow::Error::from),
        ),
        _ => succeeded(Cli::from_args().run()),
    }
}

fn succeeded(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, 1),
    }
}

fn failed(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("{}", printable_lines(&format!("error: {error:#}")));
    ExitCode::from(code)
}

impl Cli {
    /// The command line of this process.
    fn from_args() -> Self {
        parsed().unwrap_or_else(|error: clap::Error| match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
            _ => {
                let (said, code) = usage_error(&error);
                eprintln!("error: {}", printable(&said));
                std::process::exit(code)
            }
        })
    }

    /// Runs the subcommand that was named.
    ///
    /// # Errors
    /// What the subcommand reports, as a message for the user.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Catalog(command) => Ok(command.run()?),
            Command::All(command) => {
                let traces = command.traces.clone();
                serve(&self.log, &traces, "llmplane", command.run())
            }
            Command::Api(command) => {
                let traces = command.traces.clone();
                serve(&self.log, &traces, "llmplane-api", command.run())
            }
            Command::Audit(command) => {
                close_memory()?;
                ended(runtime()?.block_on(command.run())?)
            }
            Command::Rotation(command) => ended(runtime()?.block_on(command.run())?),
            Command::Console(command) => runtime()?.block_on(command.run()),
            Command::Export(command) => runtime()?.block_on(command.run()),
            Command::Federation(command) => runtime()?.block_on(command.run()),
            Command::Healthcheck(command) => Ok(runtime()?.block_on(command.run())?),
            Command::Import(command) => ended(runtime()?.block_on(command.run())?),
            Command::Init(command) => Ok(command.run()?),
            Command::Controller(command) => {
                let traces = command.traces.clone();
                serve(&self.log, &traces, "llmplane-controller", command.run())
            }
            Command::Lint(command) => Ok(command.run()?),
            Command::Needs(command) => runtime()?.block_on(command.run()),
            Command::Plan(command) => ended(runtime()?.block_on(command.run())?),
            Command::Crds(command) => Ok(command.run()?),
            Command::Keyring(command) => {
                close_memory()?;
                Ok(runtime()?.block_on(command.run())?)
            }
            Command::Openapi => {
                let json = crate::api::openapi::json();
                Ok(crate::output::stdout().write_all(json.as_bytes())?)
            }
            Command::Local(args) => Ok(runtime()?.block_on(local::run(args))?),
            Command::Migrate(command) => Ok(command.run()?),
            Command::Preflight(command) => {
                close_memory()?;
                runtime()?.block_on(command.run())
            }
        }
    }
}

/// Runs a process of the installation, with its log, and with traces under this name where they are wanted.
fn serve(
    log: &LogArgs,
    traces: &TraceArgs,
    service: &'static str,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    close_memory()?;
    runtime()?.block_on(async {
        let traces = log.start_with(traces, service)?;
        let ended = work.await;
        if let Some(traces) = traces {
            traces.end().await;
        }
        ended
    })
}

/// Ends with this code, where it says anything.
fn ended(code: i32) -> anyhow::Result<()> {
    match code {
        0 => Ok(()),
        code => std::process::exit(code),
    }
}

/// Who runs a command, for the audit: the operating system's user and machine, which nobody vouches
/// for but who lets him at the database.
fn person() -> AuditActor {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    AuditActor {
        actor: format!("llmplane-cli:{}", user.as_deref().unwrap_or("unknown")),
        node: hostname(),
        ..AuditActor::default()
    }
}

fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned())
}

/// What is wrong with the command line, in one line, and the code to end with: clap's own text has
/// several lines, and does not name the variables.
fn usage_error(error: &clap::Error) -> (String, i32) {
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        let mut known = Cli::command();
        known.build();
        let set: Option<Vec<String>> = missing
            .iter()
            .map(|flag| Some(format!("set {}, or give {flag}", variable(&known, flag)?)))
            .collect();
        if let Some(set) = set {
            return (format!("{}; --help says more", set.join("; ")), 1);
        }
    }
    if let Some(said) = secret_not_understood(error) {
        return (format!("{said}; --help says more"), 2);
    }
    let text = error.render().to_string();
    let said: Vec<&str> = text
        .trim_start_matches("error: ")
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let said = said.join("; ").replace(":;", ":");
    (format!("{said}; --help says more"), 2)
}

/// The same for a value that may hold a password, which clap's own text would repeat.
fn secret_not_understood(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    error.get(ContextKind::InvalidValue)?;
    let mut known = Cli::command();
    known.build();
    let hidden = find_argument(&known, &|arg| {
        arg.to_string() == *flag && arg.is_hide_env_values_set()
    })?;
    let variable = hidden.get_env().unwrap_or_default().to_string_lossy();
    let reason = std::error::Error::source(error)
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    Some(format!(
        "the value of {variable}, or of {flag}, is not understood{reason}"
    ))
}

/// The variable that stands for a flag, which is as clap prints it: `--database-url <URL>`.
fn variable(command: &clap::Command, flag: &str) -> Option<String> {
    let stands = |arg: &clap::Arg| arg.to_string() == flag && arg.get_env().is_some();
    let variable = find_argument(command, &stands)?.get_env()?;
    Some(variable.to_string_lossy().into_owned())
}

fn find_argument<'a>(
    command: &'a clap::Command,
    wanted: &dyn Fn(&clap::Arg) -> bool,
) -> Option<&'a clap::Arg> {
    command.get_arguments().find(|arg| wanted(arg)).or_else(|| {
        command
            .get_subcommands()
            .find_map(|sub| find_argument(sub, wanted))
    })
}

/// The command line of this process, as that of this command.
fn parsed<T: CommandFactory + FromArgMatches>() -> Result<T, clap::Error> {
    let mut matches = without_empty_variables(T::command()).try_get_matches()?;
    T::from_arg_matches_mut(&mut matches)
}

/// An empty variable counts as one that is not set: manifests and shells have no other way to say so.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| {
            let is_empty = arg
                .get_env()
                .and_then(std::env::var_os)
                .is_some_and(|value| value.is_empty());
            if is_empty { arg.env(None) } else { arg }
        })
        .mut_subcommands(without_empty_variables)
}

/// Before a subcommand that holds keys does anything else.
fn close_memory() -> Result<(), NotHardened> {
    hardening::close_memory(std::env::var_os(PLANE).is_some())
}

/// Where the subcommands that wait for others run.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_a_process_has_a_variable() {
        let mut known = Cli::command();
        known.build();
        for name in ["controller", "api", "all"] {
            let command = known.find_subcommand(name).expect("it is one");
            let without: Vec<String> = command
                .get_arguments()
                .filter(|arg| arg.get_id() != "help" && arg.get_env().is_none())
                .map(ToString::to_string)
                .collect();
            assert_eq!(without, Vec::<String>::new(), "{name}");
        }
    }
}
