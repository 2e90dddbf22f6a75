//! `kubectl llm check`.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::objects::{self, Declared, State, status_text};
use super::paint::Paint;
use super::{Format, write_document};
use crate::api_client::Cluster;
use crate::crd::Kind;
use crate::crd::remedy;
use crate::output::printable;

const REQUESTED_AT: &str = "llmplane.dev/reconcile-requested-at";
/// Time between two looks while waiting.
pub const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The object: NAME or KIND/NAME
    name: String,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout_seconds: u64,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

impl CheckArgs {
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<u8> {
        let asked = objects::named(cluster, &self.name, None).await?;
        let deadline = Instant::now() + Duration::from_secs(self.timeout_seconds);
        let checked = checked(cluster, &asked, deadline).await?;
        let mut out = crate::output::stdout();
        match self.output {
            Format::Text => write!(out, "{}", verdict(&checked, Paint::of_stdout()))?,
            Format::Name => writeln!(out, "{}", checked.resource_name())?,
            format => write_document(&mut out, format, &checked.conditions)?,
        }
        out.flush()?;
        Ok(u8::from(checked.state() != State::Works))
    }
}

/// Asks for the checks of an object; answers the object once they have been made.
///
/// # Errors
/// Where the user may not ask for them, or nobody makes them in time.
pub async fn checked(
    cluster: &Cluster,
    asked: &Declared,
    deadline: Instant,
) -> anyhow::Result<Declared> {
    let name = asked.resource_name();
    let token = Timestamp::now().to_string();
    let before = status_text(&asked.object, "/lastHandledReconcileAt");
    let annotation = json!({ "metadata": { "annotations": { REQUESTED_AT: token } } });
    objects::api(cluster, asked.kind, &asked.namespace)
        .patch(
            &asked.name,
            &PatchParams::default(),
            &Patch::Merge(&annotation),
        )
        .await
        .with_context(|| {
            format!("the checks of {name} cannot be asked for: it takes the right to patch it")
        })?;
    loop {
        let now = objects::get(cluster, asked.kind, &asked.namespace, &asked.name).await?;
        let Some(now) = now else {
            bail!("{name} was deleted meanwhile");
        };
        let handled = status_text(&now.object, "/lastHandledReconcileAt");
        // Who asked since then has put a request of his own in its place.
        let is_latest = handled
            == now
                .object
                .annotations()
                .get(REQUESTED_AT)
                .map(String::as_str);
        if handled == Some(&token) || is_latest && handled != before {
            return Ok(now);
        }
        if Instant::now() >= deadline {
            bail!(
                "nothing was heard of the checks of {name} in time; `kubectl llm why {name}` says what is known, \
                 and the controller's log whether it runs"
            );
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What the checks found, in two or three lines.
pub fn verdict(checked: &Declared, paint: Paint) -> String {
    let Some(decided) = checked.deciding() else {
        return format!("{} was changed meanwhile\n", checked.resource_name());
    };
    let name = format!("{}/{}", checked.kind.kubernetes(), checked.name);
    let head = format!("{}={} {}", decided.type_, decided.status, decided.reason);
    let mut text = format!(
        "{}  {}\n",
        paint.strong(printable(&name)),
        paint.state(checked.state(), printable(&head))
    );
    if !decided.message.is_empty() {
        text.push_str(&format!("  {}\n", printable(&decided.message)));
    }
    if checked.state() != State::Works
        && let Some(remedy) = remedy::of(&decided.reason)
    {
        text.push_str(&format!("  {}\n", paint.faint(remedy)));
    }
    if checked.kind == Kind::Provider && checked.state() == State::Works {
        text.push_str(&format!(
            "  {}\n",
            paint.faint("its endpoints, credentials and models have checks of their own")
        ));
    }
    text
}
