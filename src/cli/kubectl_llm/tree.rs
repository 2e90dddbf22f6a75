//! `kubectl llm tree`.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::objects::{self, Declared, State, status_text};
use super::paint::Paint;
use super::{Format, write_document};
use crate::api_client::Cluster;
use crate::crd::Kind;
use crate::output::printable;

#[derive(Debug, Args)]
pub struct TreeArgs {
    /// A provider, anything that belongs to one, or a class: NAME or KIND/NAME; without it every
    /// provider and every class
    pub(super) name: Option<String>,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// An object with what hangs on it.
#[derive(Debug, Serialize)]
struct Node<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    reason: Option<&'a str>,
    /// What tells it from others of its kind: its URL, masked key, the vendor's name for the model, or the
    /// model that a class means now.
    is: Option<&'a str>,
    children: Vec<Node<'a>>,
    #[serde(skip)]
    object: &'a Declared,
}

impl TreeArgs {
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<u8> {
        let wanted = match &self.name {
            Some(name) => Some(objects::named(cluster, name, Some(Kind::Provider)).await?),
            None => None,
        };
        let all = objects::all(cluster).await?;
        let root = wanted.as_ref().map(|wanted| match wanted.kind {
            Kind::ModelClass => (Kind::ModelClass, wanted.name.as_str()),
            _ => (Kind::Provider, wanted.provider()),
        });
        let trees: Vec<Node<'_>> = all
            .iter()
            .filter(|object| [Kind::Provider, Kind::ModelClass].contains(&object.kind))
            .filter(|object| root.is_none_or(|root| root == (object.kind, object.name.as_str())))
            .map(|object| tree(object, &all))
            .collect();
        if let (true, Some((_, provider))) = (trees.is_empty(), root) {
            bail!(
                "there is no LlmProvider {provider} in namespace {}",
                cluster.namespace
            );
        }
        let mut out = crate::output::stdout();
        match self.output {
            Format::Text => {
                let paint = Paint::of_stdout();
                for node in &trees {
                    write!(
                        out,
                        "{}",
                        lines(node, "", "", cluster.all_namespaces, paint)
                    )?;
                }
            }
            Format::Name => {
                for node in trees
                    .iter()
                    .flat_map(|root| std::iter::once(root).chain(&root.children))
                {
                    writeln!(out, "{}", node.object.resource_name())?;
                }
            }
            format => write_document(&mut out, format, &trees)?,
        }
        out.flush()?;
        let works = |node: &Node<'_>| node.object.state() == State::Works;
        let in_order = trees
            .iter()
            .all(|root| works(root) && root.children.iter().all(works));
        Ok(u8::from(!in_order))
    }
}

/// A provider with what belongs to it, or a class with the models that it names.
fn tree<'a>(root: &'a Declared, all: &'a [Declared]) -> Node<'a> {
    let here = |object: &&Declared| object.namespace == root.namespace;
    let children: Vec<Node<'a>> = match root.kind {
        Kind::ModelClass => {
            let model = |name: &str| {
                let mut models = all.iter().filter(here);
                models.find(|object| object.kind == Kind::Model && object.name == name)
            };
            let named = root.model_refs().into_iter();
            named.filter_map(model).map(node).collect()
        }
        _ => {
            let belongs = |object: &&Declared| {
                ![Kind::Provider, Kind::ModelClass].contains(&object.kind)
                    && object.provider() == root.name
            };
            all.iter().filter(here).filter(belongs).map(node).collect()
        }
    };
    Node {
        children,
        ..node(root)
    }
}

fn node(object: &Declared) -> Node<'_> {
    let is = match object.kind {
        Kind::Provider => object.spec("/type"),
        Kind::Endpoint => {
            status_text(&object.object, "/effectiveUrl").or_else(|| object.spec("/baseUrl"))
        }
        Kind::Credential => status_text(&object.object, "/maskedKey"),
        Kind::Model => object.spec("/modelId"),
        Kind::ModelClass => object.current_model(),
    };
    Node {
        kind: object.kind.kubernetes(),
        namespace: &object.namespace,
        name: &object.name,
        reason: object.deciding().map(|decided| decided.reason.as_str()),
        is,
        children: Vec::new(),
        object,
    }
}

fn lines(node: &Node<'_>, lead: &str, below: &str, with_namespace: bool, paint: Paint) -> String {
    let state = node.object.state();
    let mut name = format!("{}/{}", node.kind, node.name);
    if with_namespace && lead.is_empty() {
        name.push_str(&format!(" in {}", node.namespace));
    }
    let mut text = format!(
        "{lead}{}  {}{}\n",
        paint.strong(printable(&name)),
        paint.state(state, node.reason.unwrap_or("not looked at")),
        node.is.map_or_else(String::new, |is| format!(
            "  {}",
            paint.faint(printable(is))
        ))
    );
    for (place, child) in node.children.iter().enumerate() {
        let (branch, trunk) = match place + 1 == node.children.len() {
            true => ("└─ ", "   "),
            false => ("├─ ", "│  "),
        };
        let (lead, below) = (format!("{below}{branch}"), format!("{below}{trunk}"));
        text.push_str(&lines(child, &lead, &below, with_namespace, paint));
    }
    text
}
