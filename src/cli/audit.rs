//! `llmplane audit`: prove that the audit is whole, export it, ask whose key a string is.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::audit::{Anchor, ChainReport, Verifier, export_line};
use crate::db::{AuditAction, AuditEntry, AuditObject, Db, DbOptions, StoredFingerprints};
use crate::encryption::KeyringHandle;
use crate::keys::whose;
use crate::output::printable;

use super::person;

/// Rows that are read at once.
const PAGE: i64 = 2000;
/// Bytes of a string that may be a key: more than any field may have.
const MAX_KEY: u64 = 64 * 1024;

/// Prove that the audit is whole, export it, ask whose key a string is
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Look for rows that were edited, removed or inserted; ends with 1 where there are some
    Verify(VerifyArgs),
    /// Print the rows as lines of JSON, oldest first
    Export(ExportArgs),
    /// Say whose key the string on standard input is, and who was given it
    WhoseKey(WhoseKeyArgs),
}

/// How the database is reached.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// PostgreSQL URL; the API's role suffices. sslmode and sslrootcert in it are heeded
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: SecretString,
}

impl DatabaseArgs {
    pub async fn open(&self) -> anyhow::Result<Db> {
        let db = Db::connect(
            self.database_url.expose_secret(),
            &DbOptions::new("llmplane-cli"),
        )
        .await?;
        db.check_schema().await?;
        Ok(db)
    }
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The keyring folder, with its audit.key
    #[arg(long, env = "LLMPLANE_KEYRING_DIR", value_name = "DIR")]
    keyring_dir: PathBuf,
    /// An anchor from the controller's log, POSITION:HASH:MAC; may be given several times
    #[arg(long = "anchor", value_name = "ANCHOR")]
    anchors: Vec<Anchor>,
    /// The controller's log, or any text with its anchors in it
    #[arg(long, value_name = "FILE")]
    anchors_from: Option<PathBuf>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Begin behind this position: what was exported last time
    #[arg(long, value_name = "POSITION", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
}

/// Arguments of `whose-key`.
#[derive(Debug, Args)]
pub struct WhoseKeyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The keyring folder, with its fingerprint.key
    #[arg(long, env = "LLMPLANE_KEYRING_DIR", value_name = "DIR")]
    keyring_dir: PathBuf,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl AuditCommand {
    /// Runs the command; answers the code to end with.
    ///
    /// # Errors
    /// What kept it from an answer, as a message for the user.
    pub async fn run(self) -> anyhow::Result<i32> {
        match self {
            Self::Verify(args) => args.run().await,
            Self::Export(args) => args.run().await.map(|()| 0),
            Self::WhoseKey(args) => args.run().await.map(|()| 0),
        }
    }
}

impl VerifyArgs {
    async fn run(self) -> anyhow::Result<i32> {
        let keyring = KeyringHandle::open(&self.keyring_dir)?;
        let mut logged = self.anchors;
        if let Some(file) = &self.anchors_from {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            logged.extend(anchors_in(&text));
            if logged.is_empty() {
                bail!(
                    "{} has no anchor in it; an anchor is POSITION:HASH:MAC",
                    file.display()
                );
            }
        }
        let db = self.database.open().await?;
        let has_logged = !logged.is_empty();
        let report = verify(&db, &keyring, logged).await?;
        let mut out = crate::output::stdout();
        match self.output {
            Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
            Output::Text => print_report(&report, has_logged, &mut out)?,
        }
        Ok(i32::from(!report.is_whole()))
    }
}

/// Every anchor in a text, whatever stands around them.
fn anchors_in(text: &str) -> Vec<Anchor> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':')
        .filter_map(|word| word.parse().ok())
        .collect()
}

async fn verify(
    db: &Db,
    keyring: &KeyringHandle,
    logged: Vec<Anchor>,
) -> anyhow::Result<ChainReport> {
    let mut reader = db.audit_reader().await?;
    let head = reader.head().await?;
    let mut anchors = logged;
    let mut after = 0;
    loop {
        let page = reader.anchors(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        anchors.extend(page.into_iter().map(Anchor::from));
    }
    let (mut genuine, mut forged) = (Vec::new(), Vec::new());
    for anchor in anchors {
        match anchor.is_genuine(keyring)? {
            true => genuine.push(anchor),
            false => forged.push(anchor.seq),
        }
    }
    let mut verifier = Verifier::new(genuine, forged, &head);
    let mut after = i64::MIN;
    loop {
        let rows = reader.rows(after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        for row in &rows {
            verifier.row(row);
        }
    }
    Ok(verifier.end())
}

fn print_report(
    report: &ChainReport,
    has_logged: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    let told = report.findings.len() as u64;
    if report.findings_total > told {
        writeln!(out, "and {} more", report.findings_total - told)?;
    }
    match (report.first, report.last) {
        (Some(first), Some(last)) => {
            writeln!(out, "{} rows looked at, {first} to {last}", report.rows)?
        }
        _ => writeln!(out, "the audit has no rows")?,
    }
    match report.anchored_to {
        Some(anchored) => writeln!(
            out,
            "anchored up to row {anchored}: what was changed before it would show"
        )?,
        None => writeln!(
            out,
            "no anchor holds: rows that were changed and hashed anew would not show"
        )?,
    }
    for prune in &report.prunes {
        writeln!(
            out,
            "row {} of {} says that the retention removed the rows before {}",
            prune.seq, prune.at, prune.first_kept
        )?;
    }
    if report.is_whole() {
        writeln!(out, "the chain is whole")?;
    }
    if !has_logged {
        writeln!(
            out,
            "only the database's own anchors were looked at: where these were removed with the rows, the \
             controller's log tells (--anchors-from)"
        )?;
    }
    Ok(())
}

impl ExportArgs {
    async fn run(self) -> anyhow::Result<()> {
        let db = self.database.open().await?;
        // Up to the row that says so: what comes meanwhile is exported next time.
        let end = db.audit_append(&[self.read()]).await?;
        let mut out = crate::output::stdout();
        let mut after = self.after;
        // No transaction is open while lines wait for who reads them, however long that takes.
        while after < end {
            let rows = db.audit_rows_after(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for row in rows.iter().take_while(|row| row.seq <= end) {
                writeln!(out, "{}", export_line(row))?;
            }
        }
        Ok(out.flush()?)
    }
}

impl ExportArgs {
    fn read(&self) -> AuditEntry {
        AuditEntry {
            action: AuditAction::Read,
            result: "Done".to_owned(),
            actor: person(),
            object: AuditObject::default(),
            purpose: None,
            count: 1,
            detail: serde_json::json!({ "exported_after": self.after }),
        }
    }
}

impl WhoseKeyArgs {
    async fn run(self) -> anyhow::Result<()> {
        let keyring = KeyringHandle::open(&self.keyring_dir)?;
        let strings = whose::strings_in(&key_on_standard_input()?)
            .context("the text on standard input cannot be looked up")?;
        let db = self.database.open().await?;
        if let Some(check) = db.keyring_check().await? {
            keyring.expect(check);
        }
        let stored = db.stored_fingerprints(None).await?;
        let known = stored.len();
        let found = whose::versions_with(&*keyring.fingerprint_key()?, &strings, stored);
        drop(strings);
        db.audit_append(&whose::audited(&person(), None, &found))
            .await?;
        let mut out = crate::output::stdout();
        if found.is_empty() {
            writeln!(
                out,
                "it is none of the {known} key versions that were stored and are not forgotten yet"
            )?;
        }
        for version in found {
            print_version(&db, &version, &mut out).await?;
        }
        Ok(out.flush()?)
    }
}

/// The string, or the line that it stands in.
fn key_on_standard_input() -> anyhow::Result<SecretString> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY as usize + 1));
    std::io::stdin()
        .lock()
        .take(MAX_KEY + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KEY {
        bail!("the string on standard input is longer than any key");
    }
    let text = std::str::from_utf8(&bytes).context("the string on standard input is no UTF-8")?;
    if text.trim().is_empty() {
        bail!(
            "give the string on standard input, for example: llmplane audit whose-key < found.txt"
        );
    }
    Ok(SecretString::from(text))
}

async fn print_version(
    db: &Db,
    version: &StoredFingerprints,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let deleted = if version.is_live {
        ""
    } else {
        ", deleted since"
    };
    writeln!(
        out,
        "{}/{}{deleted}: version {}, {} since {}",
        printable(&version.namespace),
        printable(&version.name),
        version.version,
        version.state.as_str(),
        version.since
    )?;
    let holders = db
        .all_holders(version.credential_uid, Some(version.version))
        .await?;
    for holder in &holders {
        let pod = holder.pod.as_deref().map(|pod| format!(" in pod {pod}"));
        let purpose = holder
            .purpose
            .as_deref()
            .map(|purpose| format!(", for {purpose:?}"));
        let line = format!(
            "  given to {}{}{}, last at {}",
            holder.actor,
            pod.unwrap_or_default(),
            purpose.unwrap_or_default(),
            holder.last_at
        );
        writeln!(out, "{}", printable(&line))?;
    }
    if holders.is_empty() {
        writeln!(out, "  given to nobody that the audit knows of")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_found_in_a_log_of_either_form() {
        let anchor = format!("7:{}:{}", "ab".repeat(32), "01".repeat(32));
        for text in [
            format!("INFO the head of the audit is anchored anchor={anchor}\n"),
            format!(r#"{{"fields":{{"anchor":"{anchor}"}},"at":"12:30:01"}}"#),
        ] {
            assert_eq!(anchors_in(&text), [anchor.parse().unwrap()], "{text}");
        }
        assert!(anchors_in("12:30:01 nothing").is_empty());
    }
}
