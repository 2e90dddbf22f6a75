//! `llmplane rotation`: who still holds a former version of a key.

mod look;

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::audit::{DatabaseArgs, Output};
use crate::config::cluster::KubectlArgs;
use crate::crd::credential::VersionState;
use crate::output::printable;
use look::LookedAt;

/// Time between two looks while waiting.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Say who holds which version of a key, and wait until nobody holds a former one
#[derive(Debug, Subcommand)]
pub enum RotationCommand {
    /// Say which versions there are, and who was given which one last
    Status(StatusArgs),
    /// Return when nobody holds a former version; ends with 1 when that takes too long
    Wait(WaitArgs),
}

/// Which credential, and where it is looked for.
#[derive(Debug, Args)]
pub struct CredentialArgs {
    /// The LlmCredential's name
    name: String,
    /// Its namespace; without it the kubeconfig's, or `default` where no cluster is asked
    #[arg(long, short)]
    namespace: Option<String>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Do not ask the cluster which pods still run: whoever was ever given a version counts
    #[arg(long)]
    without_cluster: bool,
    #[command(flatten)]
    cluster: KubectlArgs,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    credential: CredentialArgs,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    credential: CredentialArgs,
    /// The version that is to be in use; without it, that of the key which the Secret holds now: the cluster
    /// is asked for the Secret's metadata
    #[arg(long, value_name = "NUMBER", required_if_eq("without_cluster", "true"))]
    new_version: Option<i32>,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout_seconds: u64,
}

/// A version, and who was given it last.
#[derive(Debug, Serialize)]
struct VersionStatus {
    version: i32,
    state: String,
    /// Since when it is in this state; none: it was destroyed so long ago that it is forgotten.
    since: Option<Timestamp>,
    grace_until: Option<Timestamp>,
    /// When it was last given to anybody who holds it.
    last_given_at: Option<Timestamp>,
    holders: Vec<Holder>,
}

/// Someone to whom a version was the last that was given.
#[derive(Debug, Serialize)]
struct Holder {
    user: String,
    pod: Option<String>,
    pod_uid: Option<String>,
    node: Option<String>,
    given_at: Timestamp,
}

impl RotationCommand {
    /// Runs the command; answers the code to end with.
    ///
    /// # Errors
    /// What kept it from an answer, as a message for the user.
    pub async fn run(self) -> anyhow::Result<i32> {
        match self {
            Self::Status(args) => args.run().await.map(|()| 0),
            Self::Wait(args) => args.run().await,
        }
    }
}

impl StatusArgs {
    async fn run(self) -> anyhow::Result<()> {
        let looked_at = LookedAt::open(&self.credential).await?;
        // First, so that the versions are those of what was taken.
        let untaken = match looked_at.untaken().await {
            Ok(untaken) => untaken,
            Err(why) => Some(format!("{why:#}")),
        };
        let versions = looked_at.versions().await?;
        let mut out = crate::output::stdout();
        match self.output {
            Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&versions)?)?,
            Output::Text => print(&versions, untaken, Timestamp::now(), &mut out)?,
        }
        Ok(())
    }
}

impl WaitArgs {
    async fn run(self) -> anyhow::Result<i32> {
        let looked_at = LookedAt::open(&self.credential).await?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(self.timeout_seconds);
        let mut told = String::new();
        loop {
            let mut out = crate::output::stdout();
            let Some(left) = self.left(&looked_at).await? else {
                writeln!(
                    out,
                    "nobody holds a former version of {}",
                    printable(&self.credential.name)
                )?;
                return Ok(0);
            };
            if left != told {
                writeln!(out, "{}", printable(&left))?;
                told = left;
            }
            if tokio::time::Instant::now() >= deadline {
                eprintln!("not within {} s", self.timeout_seconds);
                return Ok(1);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What is still to wait for, in a sentence; `None`: nothing.
    async fn left(&self, looked_at: &LookedAt) -> anyhow::Result<Option<String>> {
        // First, so that the versions are those of what was taken.
        let untaken = match self.new_version {
            Some(_) => None,
            None => looked_at.untaken().await?,
        };
        if untaken.is_some() {
            return Ok(untaken);
        }
        let versions = looked_at.versions().await?;
        let current = current(&versions).map_or(0, |current| current.version);
        match self.new_version.filter(|new| *new > current) {
            Some(new) => Ok(Some(format!("version {new} is not current yet"))),
            None => Ok(left(&versions)),
        }
    }
}

fn current(versions: &[VersionStatus]) -> Option<&VersionStatus> {
    let mut versions = versions.iter();
    versions.find(|v| v.state == VersionState::Current.as_str())
}

/// What is still to wait for, in a sentence; `None`: nothing.
fn left(versions: &[VersionStatus]) -> Option<String> {
    let Some(current) = current(versions) else {
        return Some("no version is current yet".to_owned());
    };
    if let Some(pending) = versions
        .iter()
        .find(|v| v.state == VersionState::Pending.as_str() && v.version > current.version)
    {
        return Some(format!("version {} is not current yet", pending.version));
    }
    let former: Vec<&VersionStatus> = versions
        .iter()
        .filter(|v| v.version < current.version && !v.holders.is_empty())
        .collect();
    let holders: Vec<&Holder> = former.iter().flat_map(|v| &v.holders).collect();
    let names: Vec<String> = holders.iter().take(5).map(|holder| holder.name()).collect();
    let more = holders.len().saturating_sub(names.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let numbers: Vec<String> = former.iter().map(|v| v.version.to_string()).collect();
    (!former.is_empty()).then(|| {
        format!(
            "version {} is held by {}{more}",
            numbers.join(", "),
            names.join(", ")
        )
    })
}

impl Holder {
    fn name(&self) -> String {
        match &self.pod {
            Some(pod) => format!("pod {pod} of {}", self.user),
            None => self.user.clone(),
        }
    }
}

fn print(
    versions: &[VersionStatus],
    untaken: Option<String>,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for version in versions {
        let last = match version.last_given_at {
            Some(at) => format!("last given out {} ago", span(now, at)),
            None => "nobody holds it".to_owned(),
        };
        let since = version.since.map(|since| format!(" since {since}"));
        writeln!(
            out,
            "version {}: {}{}; {last}",
            version.version,
            version.state,
            since.unwrap_or_default()
        )?;
        for holder in &version.holders {
            let line = format!("  {} at {}", holder.name(), holder.given_at);
            writeln!(out, "{}", printable(&line))?;
        }
    }
    match untaken.or_else(|| left(versions)) {
        None if versions.len() < 2 => writeln!(out, "it is the only version")?,
        None => writeln!(
            out,
            "nobody holds a former version: the old key can be revoked at the vendor"
        )?,
        Some(left) => writeln!(out, "{}", printable(&left))?,
    }
    Ok(())
}

/// A time that has passed, in its largest unit.
fn span(now: Timestamp, at: Timestamp) -> String {
    let seconds = (now.as_second() - at.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
