//! The command line: one binary, one subcommand a task.

use std::io::Write;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::all::AllCommand;
use crate::api::command::ApiCommand;
use crate::controller::command::ControllerCommand;
use crate::crd::generate::CrdsCommand;
use crate::crd::init::InitCommand;
use crate::db::command::MigrateCommand;
use crate::encryption::keyring::command::KeyringCommand;
use crate::lint::command::LintCommand;
use crate::local::LocalArgs;
use crate::telemetry::LogArgs;
use crate::vendors::catalog::command::CatalogCommand;

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
    /// Bring what is declared into force, and check it against the vendors
    Controller(ControllerCommand),
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
    /// Run a real control plane on this machine
    Local(LocalArgs),
    /// Bring the database's schema up to date
    Migrate(MigrateCommand),
}

impl Cli {
    /// The command line of this process. Where it cannot be understood, one line on standard error
    /// says why, and the process ends with 1 where something is not set, with 2 for wrong usage.
    pub fn from_args() -> Self {
        Self::try_parse().unwrap_or_else(|error| match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
            _ => {
                let (said, code) = usage_error(&error);
                eprintln!("error: {said}");
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
                self.log.start()?;
                runtime()?.block_on(command.run())
            }
            Command::Api(command) => {
                self.log.start()?;
                runtime()?.block_on(command.run())
            }
            Command::Init(command) => Ok(command.run()?),
            Command::Controller(command) => {
                self.log.start()?;
                runtime()?.block_on(command.run())
            }
            Command::Lint(command) => Ok(command.run()?),
            Command::Crds(command) => Ok(command.run()?),
            Command::Keyring(command) => Ok(command.run()?),
            Command::Openapi => {
                let json = crate::api::openapi::json();
                Ok(crate::output::stdout().write_all(json.as_bytes())?)
            }
            Command::Local(args) => Ok(runtime()?.block_on(crate::local::run(args))?),
            Command::Migrate(command) => Ok(command.run()?),
        }
    }
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

/// The variable that stands for a flag, which is as clap prints it: `--database-url <URL>`.
fn variable(command: &clap::Command, flag: &str) -> Option<String> {
    let own = command.get_arguments().find(|arg| arg.to_string() == flag);
    own.and_then(clap::Arg::get_env)
        .map(|variable| variable.to_string_lossy().into_owned())
        .or_else(|| {
            command
                .get_subcommands()
                .find_map(|sub| variable(sub, flag))
        })
}

/// Where the subcommands that wait for others run.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
