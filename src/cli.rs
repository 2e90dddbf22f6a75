//! The command line: one binary, one subcommand a task.

use std::io::Write;

use clap::{Parser, Subcommand};

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
    /// Runs the subcommand that was named.
    ///
    /// # Errors
    /// What the subcommand reports, as a message for the user.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Catalog(command) => Ok(command.run()?),
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

/// Where the subcommands that wait for others run.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
