//! The command line: one binary, one subcommand a task.

use clap::{Parser, Subcommand};

use crate::crd::generate::CrdsCommand;
use crate::db::command::MigrateCommand;
use crate::encryption::keyring::command::KeyringCommand;

/// A declarative control plane for LLM providers, endpoints, keys and models
#[derive(Debug, Parser)]
#[command(name = "llmplane", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One variant a task; each delegates to its module.
#[derive(Debug, Subcommand)]
enum Command {
    /// Print the custom resource definitions
    Crds(CrdsCommand),
    /// Make and rotate the keys that encrypt credentials
    #[command(subcommand)]
    Keyring(KeyringCommand),
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
            Command::Crds(command) => Ok(command.run()?),
            Command::Keyring(command) => Ok(command.run()?),
            Command::Migrate(command) => Ok(command.run()?),
        }
    }
}
