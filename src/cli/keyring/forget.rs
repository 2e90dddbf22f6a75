//! `llmplane keyring forget`: removes a key that nothing is stored under; with `--lost`, gives up one
//! whose file is gone.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::{ForgetArgs, Form, KeyringCommandError, connect, counted, print_json};
use crate::crd::conditions::{self, ConditionType};
use crate::crd::credential::VersionState;
use crate::crd::reasons::Reason;
use crate::db::{Db, KeyUnder};
use crate::encryption::KekId;
use crate::encryption::kek::folder::{self, Survey};
use crate::output::printable;

/// What became of a key, or would.
#[derive(Debug, Serialize)]
struct Report {
    id: KekId,
    /// Whether its file was removed from the folder.
    removed: bool,
    /// Versions that the controller encrypts anew from their Secrets.
    from_secrets: Vec<Version>,
    /// Versions that nobody can read any more.
    lost: Vec<Version>,
    /// What is wrong with the folder: with a file that is mended the key may be there again.
    faults: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Version {
    namespace: String,
    name: String,
    version: i32,
    state: VersionState,
    /// Until when it was to be usable, where that is decided.
    grace_until: Option<Timestamp>,
    /// Why it is lost.
    why: Option<String>,
}

pub(super) async fn run(args: ForgetArgs, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    let keyring = Survey::of(&args.dir)?;
    let db = connect(&args.database).await?;
    let report = match args.lost {
        true => give_up(&args, &keyring, &db).await?,
        false => remove(&args, &db).await?,
    };
    match args.form.output {
        Form::Json => print_json(&report, out),
        Form::Text => print(&args, &report, out),
    }
}

/// Removes the file of a key that nothing is stored under, now or in a moment.
async fn remove(args: &ForgetArgs, db: &Db) -> Result<Report, KeyringCommandError> {
    let id = args.id;
    // In this order: a controller for which another key is active stores nothing under this one, but for
    // what it had sealed before.
    let state = db.rewrap_state().await?;
    if state.is_some_and(|state| state.active_kek == id.to_string()) {
        return Err(KeyringCommandError::StillActive { id });
    }
    if !db.rewrap_is_settled().await? {
        return Err(KeyringCommandError::JustReplaced { id });
    }
    let uses = db.kek_uses().await?;
    let used = uses.iter().find(|used| used.kek_id == id.to_string());
    if let Some(versions) = used.map(|used| used.versions) {
        return Err(KeyringCommandError::StillNeeded { id, versions });
    }
    folder::remove(&args.dir, &id)?;
    Ok(Report {
        id,
        removed: true,
        from_secrets: Vec::new(),
        lost: Vec::new(),
        faults: Vec::new(),
    })
}

/// Hands what is stored under a lost key to the controller.
async fn give_up(
    args: &ForgetArgs,
    keyring: &Survey,
    db: &Db,
) -> Result<Report, KeyringCommandError> {
    let id = args.id;
    if keyring.has(&id) {
        let dir = args.dir.clone();
        return Err(KeyringCommandError::NotLost { id, dir });
    }
    let under = db.keys_under(&id.to_string()).await?;
    if !args.dry_run && !under.is_empty() {
        db.kek_lose(&id.to_string()).await?;
    }
    let (lost, from_secrets) = under
        .into_iter()
        .map(judged)
        .partition(|version| version.why.is_some());
    Ok(Report {
        id,
        removed: false,
        from_secrets,
        lost,
        faults: keyring.faults(),
    })
}

/// Whether a version's key can still be had from its Secret, as far as the database knows.
fn judged(row: KeyUnder) -> Version {
    let valid = conditions::find(&row.conditions, ConditionType::Valid);
    let reason = valid.and_then(|valid| Reason::parse(&valid.reason));
    let why = match (row.state, reason) {
        (VersionState::Previous, _) => Some("the Secret holds a newer key".to_owned()),
        (
            _,
            Some(
                Reason::SecretNotFound
                | Reason::SecretNotLabelled
                | Reason::SecretFieldMissing
                | Reason::KeyMalformed,
            ),
        ) => valid.map(|valid| valid.message.clone()),
        _ => None,
    };
    Version {
        namespace: row.namespace,
        name: row.name,
        version: row.version,
        state: row.state,
        grace_until: row.grace_until,
        why,
    }
}

fn print(
    args: &ForgetArgs,
    report: &Report,
    out: &mut impl Write,
) -> Result<(), KeyringCommandError> {
    let id = report.id;
    let dir = args.dir.to_string_lossy();
    if report.removed {
        writeln!(out, "key {id} is removed from {}", printable(&dir))?;
        writeln!(
            out,
            "replace the keyring's Secret with the folder; keep a copy of the key elsewhere for as long as you may restore a backup of the database that was made while it was in use"
        )?;
        return Ok(());
    }
    for fault in &report.faults {
        writeln!(out, "{}", printable(fault))?;
    }
    for version in &report.lost {
        let why = version.why.as_deref().unwrap_or_default();
        let line = format!(
            "lost: {}/{} version {}: {why}",
            version.namespace, version.name, version.version
        );
        writeln!(out, "{}", printable(&line))?;
    }
    let (again, lost) = (report.from_secrets.len(), report.lost.len());
    if again + lost == 0 {
        writeln!(out, "nothing is stored under key {id}")?;
        return Ok(());
    }
    let (verb, then) = match args.dry_run {
        true => ("would be", "nothing was changed"),
        false => (
            "will be",
            "the running controller does so within a minute; look at `llmplane keyring status`",
        ),
    };
    writeln!(
        out,
        "{} {verb} encrypted anew from Secrets, {} cannot be read any more; {then}",
        counted(again, "stored key"),
        counted(lost, "stored key"),
    )?;
    Ok(())
}
