//! `kubectl llm why`.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::causes::troubles;
use super::objects::{self, Declared, State};
use super::paint::Paint;
use super::{Format, write_document};
use crate::api_client::Cluster;
use crate::crd::Kind;
use crate::crd::remedy;
use crate::output::printable;

/// Events that are told, the newest.
const MAX_EVENTS: usize = 10;

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The object: NAME or KIND/NAME
    name: String,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// All that is known of an object.
#[derive(Debug, Serialize)]
struct Why {
    kind: &'static str,
    namespace: String,
    name: String,
    in_order: bool,
    /// What keeps it from working, where that is another object.
    caused_by: Option<Related>,
    conditions: Vec<Told>,
    /// What it belongs to and hangs on.
    hangs_on: Vec<Related>,
    events: Vec<ToldEvent>,
}

#[derive(Debug, Serialize)]
struct Told {
    condition: String,
    status: String,
    reason: String,
    message: String,
    since: Timestamp,
    remedy: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Related {
    kind: &'static str,
    name: String,
    reason: Option<String>,
    #[serde(skip)]
    state: State,
}

#[derive(Debug, Serialize)]
struct ToldEvent {
    at: Option<Timestamp>,
    reason: String,
    note: String,
}

impl WhyArgs {
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<u8> {
        let asked = objects::named(cluster, &self.name, None).await?;
        let all = objects::all(cluster).await?;
        let why = explain(&asked, &all, events(cluster, &asked).await?);
        let mut out = crate::output::stdout();
        match self.output {
            Format::Text => write!(out, "{}", text(&why, asked.state(), Paint::of_stdout()))?,
            Format::Name => writeln!(out, "{}", asked.resource_name())?,
            format => write_document(&mut out, format, &why)?,
        }
        out.flush()?;
        Ok(u8::from(!why.in_order))
    }
}

fn explain(asked: &Declared, all: &[Declared], events: Vec<ToldEvent>) -> Why {
    let found = troubles(all);
    let own = found
        .iter()
        .find(|trouble| trouble.object.kind == asked.kind && trouble.object.name == asked.name);
    let cause = own
        .and_then(|own| own.cause)
        .map(|cause| found[cause].object);
    let conditions = asked.conditions.iter().map(|condition| Told {
        condition: condition.type_.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        since: condition.last_transition_time.0,
        remedy: (condition.status != "True")
            .then(|| remedy::of(&condition.reason))
            .flatten(),
    });
    Why {
        kind: asked.kind.kubernetes(),
        namespace: asked.namespace.clone(),
        name: asked.name.clone(),
        in_order: asked.state() == State::Works,
        caused_by: cause.map(related),
        conditions: conditions.collect(),
        hangs_on: all
            .iter()
            .filter(|other| hangs_on(asked, other))
            .map(related)
            .collect(),
        events,
    }
}

fn related(object: &Declared) -> Related {
    Related {
        kind: object.kind.kubernetes(),
        name: object.name.clone(),
        reason: object.deciding().map(|decided| decided.reason.clone()),
        state: object.state(),
    }
}

/// Whether an object belongs to another, or is checked by way of it; of a class, whether it names the
/// model, or means it now.
fn hangs_on(object: &Declared, other: &Declared) -> bool {
    if object.kind == Kind::ModelClass {
        let name = other.name.as_str();
        let is_meant = object.current_model() == Some(name);
        return other.kind == Kind::Model && (is_meant || object.model_refs().contains(&name));
    }
    if other.provider() != object.provider() {
        return false;
    }
    let refs = object.endpoint_refs();
    let named = refs.is_empty() || refs.contains(&other.name.as_str());
    match (object.kind, other.kind) {
        (Kind::Provider, _) => false,
        (_, Kind::Provider) => true,
        (Kind::Credential | Kind::Model, Kind::Endpoint) => named,
        (Kind::Model, Kind::Credential) => true,
        (Kind::Endpoint, Kind::Credential) => {
            object.spec("/healthCheck/credentialRef/name") == Some(other.name.as_str())
        }
        _ => false,
    }
}

/// The newest Events about it, the oldest of them first; none where the user may not see any.
async fn events(cluster: &Cluster, object: &Declared) -> anyhow::Result<Vec<ToldEvent>> {
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), &object.namespace);
    let uid = object.object.uid().unwrap_or_default();
    let selected = ListParams::default().fields(&format!("regarding.uid={uid}"));
    let list = match api.list(&selected).await {
        Ok(list) => list,
        Err(error) if objects::refusal(&error).is_some_and(|refused| refused.code == 403) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    let mut events: Vec<ToldEvent> = list
        .items
        .into_iter()
        .map(|event| ToldEvent {
            at: (event.series.map(|series| series.last_observed_time.0))
                .or(event.event_time.map(|time| time.0)),
            reason: event.reason.unwrap_or_default(),
            note: event.note.unwrap_or_default(),
        })
        .collect();
    events.sort_by_key(|event| event.at);
    Ok(events.split_off(events.len().saturating_sub(MAX_EVENTS)))
}

fn text(why: &Why, state: State, paint: Paint) -> String {
    let name = format!("{}/{}", why.kind, why.name);
    let word = match (why.in_order, why.conditions.is_empty()) {
        (true, _) => "is in order",
        (false, true) => {
            "was not looked at by any controller yet: does one run, and does it watch the namespace?"
        }
        (false, false) => "is not in order",
    };
    let mut text = format!(
        "{} {}\n",
        paint.strong(printable(&name)),
        paint.state(state, word)
    );
    if let Some(cause) = &why.caused_by {
        text.push_str(&format!(
            "it waits for {}/{} ({}): `kubectl llm why {}/{}`\n",
            cause.kind,
            printable(&cause.name),
            cause.reason.as_deref().unwrap_or("not looked at"),
            cause.kind.to_lowercase(),
            printable(&cause.name)
        ));
    }
    for told in &why.conditions {
        text.push_str(&format!(
            "\n{}={} {}{}\n",
            told.condition,
            told.status,
            printable(&told.reason),
            paint.faint(format!(", since {}", told.since))
        ));
        for line in [Some(told.message.as_str()), told.remedy]
            .into_iter()
            .flatten()
        {
            if !line.is_empty() {
                text.push_str(&format!("  {}\n", printable(line)));
            }
        }
    }
    if !why.hangs_on.is_empty() {
        text.push_str("\nIt hangs on\n");
    }
    for other in &why.hangs_on {
        let name = format!("{}/{}", other.kind, other.name);
        let reason = other.reason.as_deref().unwrap_or("not looked at");
        text.push_str(&format!(
            "  {}  {}\n",
            printable(&name),
            paint.state(other.state, reason)
        ));
    }
    if !why.events.is_empty() {
        text.push_str("\nEvents\n");
    }
    for event in &why.events {
        let at = event.at.map_or_else(String::new, |at| at.to_string());
        text.push_str(&format!(
            "  {}  {}: {}\n",
            paint.faint(at),
            printable(&event.reason),
            printable(&event.note)
        ));
    }
    text
}
