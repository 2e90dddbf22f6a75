//! `llmplane keyring verify`: opens every stored key, as who uses it would.

use std::io::Write;

use serde::Serialize;
use uuid::Uuid;

use super::{DatabaseArgs, Form, KeyringCommandError, connect, counted, print_json, whole};
use crate::db::StoredKey;
use crate::encryption::Fingerprint;
use crate::encryption::kek::folder::Survey;
use crate::keys::open::open_stored_with;
use crate::output::printable;

/// Rows that are read at once.
const PAGE: i64 = 500;

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Versions that are stored, without destroyed ones.
    versions: usize,
    /// Those that open.
    opened: usize,
    failed: Vec<Failure>,
    /// What is wrong with the folder; its other files were used. Without `fingerprint.key` no row's fingerprint
    /// is compared.
    faults: Vec<String>,
}

/// A version that does not open, or is not what its row says.
#[derive(Debug, Serialize)]
struct Failure {
    namespace: String,
    name: String,
    uid: Uuid,
    version: i32,
    kek_id: String,
    /// One word for machines.
    reason: &'static str,
    message: String,
}

pub(super) async fn run(
    args: DatabaseArgs,
    out: &mut impl Write,
) -> Result<(), KeyringCommandError> {
    let keyring = Survey::of(&args.folder.dir)?;
    let db = connect(&args.database).await?;
    let mut report = Report {
        faults: keyring.faults(),
        ..Report::default()
    };
    let mut after = None;
    loop {
        let page = db.stored_keys(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.sealed.credential_uid, last.sealed.version));
        for row in page {
            report.versions += 1;
            match fault(&keyring, row).await {
                None => report.opened += 1,
                Some(failure) => report.failed.push(failure),
            }
        }
    }
    match args.form.output {
        Form::Json => print_json(&report, out)?,
        Form::Text => print(&report, out)?,
    }
    match report.failed.len() {
        0 => whole(report.faults),
        failed => Err(KeyringCommandError::NotAllOpen {
            failed,
            versions: report.versions,
        }),
    }
}

/// What is wrong with a row, if anything is.
async fn fault(keyring: &Survey, row: StoredKey) -> Option<Failure> {
    let StoredKey {
        namespace,
        name,
        fingerprint,
        sealed,
    } = row;
    let (uid, version, kek_id) = (sealed.credential_uid, sealed.version, sealed.kek_id.clone());
    let (reason, message) = match open_stored_with(keyring, &namespace, &name, sealed).await {
        Err(why) => (why.reason(), why.to_string()),
        Ok(payload) => {
            let is_stored =
                |key| Fingerprint::of(key, uid, &payload.fields).to_string() == fingerprint;
            if keyring.fingerprint_key().is_none_or(is_stored) {
                return None;
            }
            let why = "it opens, but its fingerprint is not the stored one: its row was changed, or fingerprint.key is another";
            ("fingerprint-differs", why.to_owned())
        }
    };
    Some(Failure {
        namespace,
        name,
        uid,
        version,
        kek_id,
        reason,
        message,
    })
}

fn print(report: &Report, out: &mut impl Write) -> Result<(), KeyringCommandError> {
    for failure in &report.failed {
        let line = format!(
            "{}/{} version {} (key {}): {}",
            failure.namespace, failure.name, failure.version, failure.kek_id, failure.message
        );
        writeln!(out, "{}", printable(&line))?;
    }
    for fault in report.faults.iter().filter(|_| !report.failed.is_empty()) {
        writeln!(out, "{}", printable(fault))?;
    }
    writeln!(
        out,
        "{} of {} open",
        report.opened,
        counted(report.versions, "stored key")
    )?;
    Ok(())
}
