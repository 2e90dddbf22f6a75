//! `llmplane keyring`: make a keyring folder, rotate its keys, and see what the database needs of it.

mod forget;
mod status;
mod verify;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::db::{Db, DbError, DbOptions};
use crate::encryption::kek::folder::{self, KeyringError, Survey, SurveyedFile};
use crate::encryption::{KekError, KekId};
use crate::output::{printable, printable_json};

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
    /// Encrypt new rows under this key; the controller re-wraps those that are stored
    Activate {
        /// The keyring folder
        dir: PathBuf,
        /// The key's id, as `list` shows it
        id: KekId,
    },
    /// List the keys by id, never their bytes
    List(ListArgs),
    /// Open every stored key, and say which do not open and why; ends with 1 where one does not
    Verify(DatabaseArgs),
    /// Show what is stored under which key, and how far re-wrapping has come
    Status(DatabaseArgs),
    /// Remove a key that nothing is stored under, or give up one that is lost
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    form: FormArgs,
}

/// What a command that compares folder and database needs.
#[derive(Debug, Args)]
pub struct DatabaseArgs {
    #[command(flatten)]
    folder: FolderArgs,
    #[command(flatten)]
    database: UrlArgs,
    #[command(flatten)]
    form: FormArgs,
}

#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The keyring folder
    dir: PathBuf,
    /// The key's id
    id: KekId,
    /// The key's file is gone for good: have what is stored under it encrypted anew from its Secrets, and
    /// say what is lost
    #[arg(long)]
    lost: bool,
    /// With --lost: only say what would be lost
    #[arg(long, requires = "lost")]
    dry_run: bool,
    #[command(flatten)]
    database: UrlArgs,
    #[command(flatten)]
    form: FormArgs,
}

#[derive(Debug, Args)]
struct FolderArgs {
    /// The keyring folder
    #[arg(env = "LLMPLANE_KEYRING_DIR")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct UrlArgs {
    /// PostgreSQL URL of the controller's role, or of the owner
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: SecretString,
}

#[derive(Debug, Args)]
struct FormArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum KeyringCommandError {
    /// The keyring folder is at fault.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A key-encryption key could not be used.
    #[error(transparent)]
    Kek(#[from] KekError),
    /// The database cannot be read.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Stored keys do not open.
    #[error(
        "{failed} of {versions} stored keys do not open; what is said of each tells what to do"
    )]
    NotAllOpen {
        /// How many do not open.
        failed: usize,
        /// How many are stored.
        versions: usize,
    },
    /// Parts of the folder cannot be used; the rest was looked at.
    #[error("the keyring folder is not whole: {}", .0.join("; "))]
    NotWhole(Vec<String>),
    /// A key is still needed.
    #[error(
        "{versions} stored keys are encrypted under key {id}, so that its file stays: the controller re-wraps them under the active key within minutes of its activation; look at `llmplane keyring status`, and forget it when none is left"
    )]
    StillNeeded {
        /// The key.
        id: KekId,
        /// Versions under it.
        versions: i64,
    },
    /// The controller goes on encrypting under a key.
    #[error(
        "the controller still knows key {id} as the active one, so that its file stays: deliver the folder in which another key is active, and wait until `llmplane keyring status` shows that the controller has it"
    )]
    StillActive {
        /// The key.
        id: KekId,
    },
    /// The controller may still be storing something under a key.
    #[error(
        "another key became the controller's active one less than a minute ago, and something that it encrypted under key {id} may still be on its way into the database: try again in a minute"
    )]
    JustReplaced {
        /// The key.
        id: KekId,
    },
    /// A key that is said to be lost is there.
    #[error(
        "key {id} is in {dir}: it is not lost; give the controller this folder and it opens what is stored under the key",
        dir = dir.display()
    )]
    NotLost {
        /// The key.
        id: KekId,
        /// The folder.
        dir: PathBuf,
    },
    /// The answer could not be printed.
    #[error("the answer could not be printed: {0}")]
    Print(#[from] io::Error),
}

impl KeyringCommand {
    /// Runs the command and prints its answer on standard output.
    ///
    /// # Errors
    /// [`KeyringCommandError`], with a message for the user.
    pub async fn run(self) -> Result<(), KeyringCommandError> {
        self.run_to(&mut crate::output::stdout()).await
    }

    pub(crate) async fn run_to(self, out: &mut impl Write) -> Result<(), KeyringCommandError> {
        match self {
            Self::New { dir } => new(&dir, out),
            Self::Add { dir } => add(&dir, out),
            Self::Activate { dir, id } => activate(&dir, &id, out),
            Self::List(args) => list(&args.folder.dir, args.form.output, out),
            Self::Verify(args) => verify::run(args, out).await,
            Self::Status(args) => status::run(args, out).await,
            Self::Forget(args) => forget::run(args, out).await,
        }
    }
}

fn new(dir: &Path, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    let id = folder::create(dir)?;
    let dir = dir.to_string_lossy();
    writeln!(out, "made keyring {} with active key {id}", printable(&dir))?;
    writeln!(
        out,
        "keep a copy of it, apart from the database's backups: without it no stored key can be read"
    )?;
    Ok(())
}

fn add(dir: &Path, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    let id = folder::add(dir)?;
    writeln!(out, "added key {id}, which is not active yet")?;
    writeln!(
        out,
        "when every controller and API replica has it: llmplane keyring activate {} {id}",
        printable(&dir.to_string_lossy())
    )?;
    Ok(())
}

fn activate(dir: &Path, id: &KekId, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    folder::activate(dir, id)?;
    writeln!(
        out,
        "key {id} is active: what is stored from now on is encrypted under it"
    )?;
    writeln!(
        out,
        "the controller re-wraps under it what was stored before, from five minutes after it has the folder on; \
         keep every other key file until `llmplane keyring status` shows nothing under it, then forget it"
    )?;
    Ok(())
}

/// A key file, as `list` shows it.
#[derive(Serialize)]
struct ListedKey {
    /// None where the file holds no key.
    id: Option<KekId>,
    active: bool,
    file: String,
    /// Why the file holds none.
    fault: Option<String>,
}

fn list(dir: &Path, form: Form, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    let survey = Survey::of(dir)?;
    let listed = |file: &SurveyedFile| {
        let id = file.id.as_ref().ok().copied();
        ListedKey {
            id,
            active: id.is_some() && id == survey.active_kek(),
            file: file.name.to_string_lossy().into_owned(),
            fault: file.id.as_ref().err().map(ToString::to_string),
        }
    };
    let keys: Vec<ListedKey> = survey.files().iter().map(listed).collect();
    if form == Form::Json {
        print_json(&keys, out)?;
    } else {
        for key in keys {
            let mark = if key.active { "active" } else { "" };
            let id = key
                .id
                .map_or_else(|| "no key".to_owned(), |id| id.to_string());
            writeln!(out, "{id:16}  {mark:6}  {}", printable(&key.file))?;
        }
    }
    whole(survey.faults())
}

/// What a command ends with that has looked at such a folder.
fn whole(faults: Vec<String>) -> Result<(), KeyringCommandError> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(KeyringCommandError::NotWhole(faults)),
    }
}

fn print_json(answer: &impl Serialize, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    let json = serde_json::to_string_pretty(answer).map_err(io::Error::from)?;
    Ok(writeln!(out, "{}", printable_json(&json))?)
}

/// `1 version`, `2 versions`.
fn counted(count: impl TryInto<i64>, one: &str) -> String {
    match count.try_into().unwrap_or(i64::MAX) {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

/// Connects, and makes sure that the schema is this release's.
async fn connect(args: &UrlArgs) -> Result<Db, KeyringCommandError> {
    let mut options = DbOptions::new("llmplane-keyring");
    options.max_connections = 2;
    let db = Db::connect(args.database_url.expose_secret(), &options).await?;
    db.check_schema().await?;
    Ok(db)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn the_command_says_what_is_true_and_prints_names_escaped() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("keyring");
        let id = folder::create(&dir).unwrap();
        let mut out = Vec::new();
        let activate = KeyringCommand::Activate {
            dir: dir.clone(),
            id,
        };
        activate.run_to(&mut out).await.unwrap();
        let said = String::from_utf8(std::mem::take(&mut out)).unwrap();
        assert!(said.contains("the controller re-wraps"), "{said}");
        assert!(said.contains("keep every other key file until"), "{said}");
        fs::write(
            dir.join("a\u{1b}[31m.key"),
            hex::decode("00ff".repeat(16)).unwrap(),
        )
        .unwrap();
        for output in [Form::Text, Form::Json] {
            let list = KeyringCommand::List(ListArgs {
                folder: FolderArgs { dir: dir.clone() },
                form: FormArgs { output },
            });
            list.run_to(&mut out).await.unwrap();
            let said = String::from_utf8(std::mem::take(&mut out)).unwrap();
            assert!(
                said.contains("[31m.key") && !said.contains('\u{1b}'),
                "{said:?}"
            );
            assert!(said.contains(&id.to_string()), "{said}");
        }
    }
}
