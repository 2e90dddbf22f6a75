//! `kubectl llm status`.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::causes::{Trouble, troubles};
use super::objects::{self, Declared, State};
use super::paint::Paint;
use super::{Format, write_document};
use crate::api_client::Cluster;
use crate::crd::remedy;
use crate::output::printable;

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// Something that does not work.
#[derive(Debug, Serialize)]
struct Item<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    state: &'static str,
    condition: Option<&'a str>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    since: Option<Timestamp>,
    /// What to do.
    remedy: Option<&'static str>,
    /// What keeps it from working, where that is another object: kind/name.
    caused_by: Option<String>,
}

impl StatusArgs {
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<u8> {
        let all = objects::all(cluster).await?;
        let found = troubles(&all);
        let mut out = crate::output::stdout();
        match self.output {
            Format::Text => {
                write!(out, "{}", text(cluster, &all, &found, Paint::of_stdout()))?;
            }
            Format::Name => {
                for trouble in found.iter().filter(|trouble| trouble.cause.is_none()) {
                    writeln!(out, "{}", trouble.object.resource_name())?;
                }
            }
            format => {
                let items: Vec<Item<'_>> = found.iter().map(|one| Item::of(one, &found)).collect();
                write_document(&mut out, format, &items)?;
            }
        }
        out.flush()?;
        Ok(u8::from(!found.is_empty()))
    }
}

impl<'a> Item<'a> {
    fn of(trouble: &Trouble<'a>, all: &[Trouble<'a>]) -> Self {
        let decided = trouble.object.deciding();
        Self {
            kind: trouble.object.kind.kubernetes(),
            namespace: &trouble.object.namespace,
            name: &trouble.object.name,
            state: word(trouble.state),
            condition: decided.map(|condition| condition.type_.as_str()),
            reason: trouble.reason,
            message: decided.map(|condition| condition.message.as_str()),
            since: decided.map(|condition| condition.last_transition_time.0),
            remedy: trouble.reason.and_then(remedy::of),
            caused_by: trouble.cause.map(|cause| name(all[cause].object)),
        }
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Works => "works",
        State::Waits => "waits",
        State::Fails => "fails",
        State::Broken => "broken",
    }
}

fn name(object: &Declared) -> String {
    format!("{}/{}", object.kind.kubernetes(), object.name)
}

fn text(cluster: &Cluster, all: &[Declared], found: &[Trouble<'_>], paint: Paint) -> String {
    let place = cluster.place();
    if all.is_empty() {
        return format!(
            "nothing is declared in {place}; `llmplane init TYPE` prints a first set of manifests\n"
        );
    }
    if found.is_empty() {
        return format!("all {} objects in {place} are in order\n", all.len());
    }
    let mut roots: Vec<usize> = (0..found.len())
        .filter(|at| found[*at].cause.is_none())
        .collect();
    let waiting = |root: usize| found.iter().filter(move |other| other.cause == Some(root));
    roots.sort_by_key(|root| {
        let trouble = &found[*root];
        (
            std::cmp::Reverse(trouble.state),
            trouble.object.kind as u8,
            std::cmp::Reverse(waiting(*root).count()),
        )
    });
    let mut text = format!(
        "{} of {} objects in {place} {} not in order, for {}\n",
        found.len(),
        all.len(),
        if found.len() == 1 { "is" } else { "are" },
        counted(roots.len(), "cause")
    );
    for root in roots {
        text.push('\n');
        text.push_str(&told(&found[root], cluster.all_namespaces, paint));
        let waiting: Vec<String> = waiting(root).map(|other| name(other.object)).collect();
        if !waiting.is_empty() {
            let names = waiting.join(", ");
            text.push_str(&format!("  waiting for it: {}\n", printable(&names)));
        }
    }
    text
}

fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// What is wrong with an object, since when, and what to do.
fn told(trouble: &Trouble<'_>, with_namespace: bool, paint: Paint) -> String {
    let object = trouble.object;
    let mut name = name(object);
    if with_namespace {
        name.push_str(&format!(" in {}", object.namespace));
    }
    let Some(decided) = object.deciding() else {
        return format!(
            "{}  {}\n  the controller has not looked at this generation yet; does it run, and does it watch the namespace?\n",
            paint.strong(printable(&name)),
            paint.state(trouble.state, "not looked at")
        );
    };
    let head = format!("{}={} {}", decided.type_, decided.status, decided.reason);
    let mut told = format!(
        "{}  {}{}\n",
        paint.strong(printable(&name)),
        paint.state(trouble.state, printable(&head)),
        paint.faint(format!(", since {}", decided.last_transition_time.0))
    );
    if !decided.message.is_empty() {
        told.push_str(&format!("  {}\n", printable(&decided.message)));
    }
    if let Some(remedy) = remedy::of(&decided.reason) {
        told.push_str(&format!("  {}\n", paint.faint(remedy)));
    }
    told
}
