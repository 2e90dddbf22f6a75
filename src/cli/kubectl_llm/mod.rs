//! `kubectl llm`: what is declared, whether it works, and what to do where it does not. The same binary
//! under the name `kubectl-llm`, which kubectl finds on the PATH.

mod causes;
mod check;
mod complete;
mod holders;
mod objects;
mod paint;
mod resolve;
mod rotate;
mod status;
mod tree;
mod why;

use std::ffi::OsString;
use std::io::Write;

use anyhow::bail;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::api_client::ClusterArgs;

/// What is declared for LLMs, whether it works, and what to do where it does not
///
/// Ends with 0 where all is in order, with 1 where something is not, and with 2 where that could not be
/// found out.
#[derive(Debug, Parser)]
#[command(name = "kubectl-llm", bin_name = "kubectl llm", version)]
pub struct KubectlLlm {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what does not work: first what causes it, with what waits for it, and what to do
    Status(status::StatusArgs),
    /// Show a provider with all that belongs to it
    Tree(tree::TreeArgs),
    /// Say all that is known of one object: conditions, what to do, what it hangs on, Events
    Why(why::WhyArgs),
    /// Ask for the checks of an object, and wait for what they find
    Check(check::CheckArgs),
    /// Ask the API for a model as an agent would, and say why others were passed over
    Resolve(Box<resolve::ResolveArgs>),
    /// Say who was given which version of a credential's key, and when
    Holders(holders::HoldersArgs),
    /// Put a new key, from standard input, into a credential's Secret, and wait for the vendor's verdict
    Rotate(rotate::RotateArgs),
    /// Print what a shell needs to complete the commands
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    Json,
    Yaml,
    /// The names alone, as kubectl takes them
    Name,
}

impl KubectlLlm {
    /// Prints what may stand in the place of the last of these words, for kubectl.
    ///
    /// # Errors
    /// Where standard output does not take it.
    pub fn complete(words: impl Iterator<Item = OsString>) -> std::io::Result<()> {
        complete::run(Self::command(), words)
    }

    /// Runs the command; answers the code to end with.
    ///
    /// # Errors
    /// What kept it from an answer, as a message for the user.
    pub fn run(self) -> anyhow::Result<u8> {
        let Self { command, cluster } = self;
        if let Command::Completion { shell } = command {
            let mut out = crate::output::stdout();
            clap_complete::generate(shell, &mut Self::command(), "kubectl-llm", &mut out);
            out.flush()?;
            return Ok(0);
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        super::runtime()?.block_on(async move {
            let cluster = cluster.open().await?;
            if cluster.all_namespaces && !command.takes_all_namespaces() {
                bail!(
                    "-A is for `status`, and for `tree` without a name: all else is of one namespace, which -n names"
                );
            }
            match command {
                Command::Status(args) => args.run(&cluster).await,
                Command::Tree(args) => args.run(&cluster).await,
                Command::Why(args) => args.run(&cluster).await,
                Command::Check(args) => args.run(&cluster).await,
                Command::Resolve(args) => args.run(&cluster).await,
                Command::Holders(args) => args.run(&cluster).await,
                Command::Rotate(args) => args.run(&cluster).await,
                Command::Completion { .. } => Ok(0),
            }
        })
    }
}

impl Command {
    fn takes_all_namespaces(&self) -> bool {
        match self {
            Self::Status(_) => true,
            Self::Tree(args) => args.name.is_none(),
            _ => false,
        }
    }
}

/// Prints an answer as JSON or YAML.
fn write_document(
    out: &mut impl Write,
    format: Format,
    answer: &impl Serialize,
) -> anyhow::Result<()> {
    if format == Format::Yaml {
        let yaml = serde_saphyr::to_string(answer)?;
        write!(out, "{}", crate::output::printable_lines(&yaml))?;
        return Ok(());
    }
    let json = serde_json::to_string_pretty(answer)?;
    writeln!(out, "{}", crate::output::printable_json(&json))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        KubectlLlm::command().debug_assert();
    }
}
