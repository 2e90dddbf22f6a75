//! `llmplane keyring`: make and change a keyring folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::encryption::KekId;
use crate::encryption::kek::folder::{self, Keyring, KeyringError};
use crate::output::printable;

/// Make and rotate the keys that encrypt credentials
#[derive(Debug, Subcommand)]
pub enum KeyringCommand {
    /// Make a new keyring with one active key
    New {
        /// The folder to make; it must not exist yet, or be empty
        dir: PathBuf,
    },
    /// Add a fresh key, without using it yet
    Add {
        /// The keyring folder
        dir: PathBuf,
    },
    /// Encrypt new rows under this key; rows that are stored stay under theirs
    Activate {
        /// The keyring folder
        dir: PathBuf,
        /// The key's id, as `list` shows it
        id: KekId,
    },
    /// List the keys by id, never their bytes
    List {
        /// The keyring folder
        dir: PathBuf,
    },
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum KeyringCommandError {
    /// The keyring folder is at fault.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The answer could not be printed.
    #[error("the answer could not be printed: {0}")]
    Print(#[from] io::Error),
}

impl KeyringCommand {
    /// Runs the command and prints its answer on standard output.
    ///
    /// # Errors
    /// [`KeyringCommandError`], with a message for the user.
    pub fn run(self) -> Result<(), KeyringCommandError> {
        self.run_to(&mut crate::output::stdout())
    }

    pub(crate) fn run_to(self, out: &mut impl Write) -> Result<(), KeyringCommandError> {
        match self {
            Self::New { dir } => {
                let id = folder::create(&dir)?;
                let dir = dir.to_string_lossy();
                writeln!(out, "made keyring {} with active key {id}", printable(&dir))?;
                writeln!(
                    out,
                    "keep a copy of it, apart from the database's backups: without it no stored key can be read"
                )?;
            }
            Self::Add { dir } => {
                let id = folder::add(&dir)?;
                writeln!(out, "added key {id}, which is not active yet")?;
                writeln!(
                    out,
                    "when every controller and API replica has it: llmplane keyring activate {} {id}",
                    printable(&dir.to_string_lossy())
                )?;
            }
            Self::Activate { dir, id } => {
                folder::activate(&dir, &id)?;
                writeln!(
                    out,
                    "key {id} is active: keys stored from now on are under it"
                )?;
                writeln!(
                    out,
                    "keep every other key file: what was stored before stays under its key until its Secret changes"
                )?;
            }
            Self::List { dir } => list(&dir, out)?,
        }
        Ok(())
    }
}

fn list(dir: &Path, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    let keyring = Keyring::load(dir)?;
    for file in folder::kek_files(dir)? {
        let mark = if file.id == keyring.active() {
            "active"
        } else {
            ""
        };
        let line = format!("{}  {mark:6}  {}", file.id, file.name.to_string_lossy());
        writeln!(out, "{}", printable(&line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_command_says_what_is_true_and_prints_names_escaped() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("keyring");
        let id = folder::create(&dir).unwrap();
        let mut out = Vec::new();
        let activate = KeyringCommand::Activate {
            dir: dir.clone(),
            id,
        };
        activate.run_to(&mut out).unwrap();
        let said = String::from_utf8(std::mem::take(&mut out)).unwrap();
        assert!(
            !said.contains("re-wrap"),
            "nothing re-wraps rows yet: {said}"
        );
        assert!(said.contains("keep every other key file"), "{said}");
        fs::write(
            dir.join("a\u{1b}[31m.key"),
            hex::decode("00ff".repeat(16)).unwrap(),
        )
        .unwrap();
        let list = KeyringCommand::List { dir };
        list.run_to(&mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert!(
            said.contains(r"a\u{1b}[31m.key") && !said.contains('\u{1b}'),
            "{said:?}"
        );
    }
}
