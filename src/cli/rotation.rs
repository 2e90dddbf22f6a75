//! `llmplane rotation`: who still holds a former version of a key.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use super::audit::{DatabaseArgs, Output};
use crate::crd::credential::VersionState;
use crate::db::{CredentialHolder, CredentialVersionRow, Db};
use crate::output::printable;

/// Time between two looks while waiting.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Holders that are looked at.
const MAX_HOLDERS: i64 = 100_000;

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
    /// Its namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Do not ask the cluster which pods still run: whoever was ever given a version counts
    #[arg(long)]
    without_cluster: bool,
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
        let versions = looked_at.versions().await?;
        let mut out = crate::output::stdout();
        match self.output {
            Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&versions)?)?,
            Output::Text => print(&versions, Timestamp::now(), &mut out)?,
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
            let versions = looked_at.versions().await?;
            let mut out = crate::output::stdout();
            let Some(left) = left(&versions) else {
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
}

/// What is still to wait for, in a sentence; `None`: nothing.
fn left(versions: &[VersionStatus]) -> Option<String> {
    let Some(current) = versions
        .iter()
        .find(|v| v.state == VersionState::Current.as_str())
    else {
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

struct LookedAt {
    db: Db,
    uid: uuid::Uuid,
    cluster: Option<Client>,
}

impl LookedAt {
    async fn open(args: &CredentialArgs) -> anyhow::Result<Self> {
        let db = args.database.open().await?;
        let uid = db.credential_uid(&args.namespace, &args.name).await?;
        let Some(uid) = uid else {
            bail!(
                "there is no LlmCredential {}/{} in the database",
                args.namespace,
                args.name
            );
        };
        let cluster = match args.without_cluster {
            true => None,
            false => Some(Client::try_default().await.context(
                "the cluster cannot be asked which pods still run; set KUBECONFIG, or give --without-cluster",
            )?),
        };
        Ok(Self { db, uid, cluster })
    }

    async fn versions(&self) -> anyhow::Result<Vec<VersionStatus>> {
        let mut rows = self.db.credential_version_rows(&[self.uid]).await?;
        rows.sort_by_key(|row| row.version);
        let mut holders = self.db.credential_holders(self.uid, MAX_HOLDERS).await?;
        if let Some(cluster) = &self.cluster {
            let running = running(cluster, &holders).await?;
            holders.retain(|holder| {
                holder
                    .pod_uid
                    .as_ref()
                    .is_none_or(|uid| running.contains(uid))
            });
        }
        Ok(versions(rows, holders))
    }
}

/// UIDs of the pods among these that have not ended.
async fn running(
    cluster: &Client,
    holders: &[CredentialHolder],
) -> anyhow::Result<HashSet<String>> {
    let namespaces: HashSet<&str> = holders
        .iter()
        .filter(|holder| holder.pod_uid.is_some())
        .filter_map(|holder| {
            holder
                .actor
                .strip_prefix("system:serviceaccount:")?
                .split(':')
                .next()
        })
        .collect();
    let lists = namespaces.into_iter().map(|namespace| async move {
        let pods: Api<Pod> = Api::namespaced(cluster.clone(), namespace);
        let list = pods.list(&ListParams::default()).await;
        list.with_context(|| format!("the pods of namespace {namespace} cannot be listed; give --without-cluster to count all of them as running"))
    });
    let lists: Vec<_> = futures::stream::iter(lists.map(Ok::<_, anyhow::Error>))
        .and_then(|list| list)
        .try_collect()
        .await?;
    Ok(lists
        .into_iter()
        .flat_map(|list| list.items)
        .filter(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        })
        .filter_map(|pod| pod.uid())
        .collect())
}

fn versions(rows: Vec<CredentialVersionRow>, holders: Vec<CredentialHolder>) -> Vec<VersionStatus> {
    let mut versions: BTreeMap<i32, VersionStatus> = rows
        .into_iter()
        .map(|row| {
            let status = VersionStatus {
                version: row.version,
                state: row.state.as_str().to_owned(),
                since: Some(row.since),
                grace_until: row.grace_until,
                last_given_at: None,
                holders: Vec::new(),
            };
            (row.version, status)
        })
        .collect();
    for holder in holders {
        // A version that was destroyed long ago is forgotten; whoever holds it is not.
        let status = versions
            .entry(holder.version)
            .or_insert_with(|| VersionStatus {
                version: holder.version,
                state: "Forgotten".to_owned(),
                since: None,
                grace_until: None,
                last_given_at: None,
                holders: Vec::new(),
            });
        status.last_given_at = status.last_given_at.max(Some(holder.last_at));
        status.holders.push(Holder {
            user: holder.actor,
            pod: holder.pod,
            pod_uid: holder.pod_uid,
            node: holder.node,
            given_at: holder.last_at,
        });
    }
    versions.into_values().collect()
}

fn print(versions: &[VersionStatus], now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
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
    match left(versions) {
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
mod tests {
    use super::*;

    fn version(version: i32, state: VersionState, holders: &[&str]) -> VersionStatus {
        VersionStatus {
            version,
            state: state.as_str().to_owned(),
            since: Some(Timestamp::UNIX_EPOCH),
            grace_until: None,
            last_given_at: None,
            holders: holders
                .iter()
                .map(|pod| Holder {
                    user: "agent".to_owned(),
                    pod: Some((*pod).to_owned()),
                    pod_uid: None,
                    node: None,
                    given_at: Timestamp::UNIX_EPOCH,
                })
                .collect(),
        }
    }

    #[test]
    fn a_rotation_is_over_when_the_new_version_is_current_and_nobody_holds_a_former_one() {
        use VersionState::{Current, Destroyed, Pending, Previous};
        let of = |versions: &[VersionStatus]| left(versions);
        assert_eq!(of(&[version(1, Current, &["a"])]), None);
        assert!(of(&[version(1, Current, &["a"]), version(2, Pending, &[])]).is_some());
        let held = of(&[
            version(1, Previous, &["a", "b"]),
            version(2, Current, &["c"]),
        ]);
        assert_eq!(
            held.as_deref(),
            Some("version 1 is held by pod a of agent, pod b of agent")
        );
        // A destroyed version is one that a pod may still have in memory.
        assert!(of(&[version(1, Destroyed, &["a"]), version(2, Current, &[])]).is_some());
        assert_eq!(
            of(&[version(1, Destroyed, &[]), version(2, Current, &["a"])]),
            None
        );
        assert!(of(&[version(1, Previous, &[])]).is_some());
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let at = Timestamp::from_second(1_000_000).unwrap();
        let told = |seconds: i64| span(Timestamp::from_second(1_000_000 + seconds).unwrap(), at);
        assert_eq!((told(5), told(7_300)), ("5 s".to_owned(), "2 h".to_owned()));
    }
}
