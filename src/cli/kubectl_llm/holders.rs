//! `kubectl llm holders`.

use std::collections::BTreeSet;
use std::io::Write;

use clap::Args;
use serde_json::Value;

use super::paint::Paint;
use super::{Format, write_document};
use crate::api_client::{ApiArgs, Cluster, problem};
use crate::output::printable;

#[derive(Debug, Args)]
pub struct HoldersArgs {
    /// The LlmCredential
    name: String,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    api: ApiArgs,
}

impl HoldersArgs {
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<u8> {
        let api = self.api.open(cluster).await?;
        let query = [("namespace", cluster.namespace.as_str())];
        let request = api.get(&format!("/credentials/{}/holders", self.name), &query)?;
        let (status, answer) = api.send(request).await?;
        let (200, Some(holders)) = (status, answer["items"].as_array()) else {
            return Err(problem(&answer));
        };
        let mut out = crate::output::stdout();
        match self.output {
            Format::Text => {
                write!(out, "{}", text(&self.name, holders, Paint::of_stdout()))?;
                if answer["is_partial"] == true {
                    writeln!(
                        out,
                        "there are more, who were given it longer ago: `llmplane rotation status` counts all"
                    )?;
                }
            }
            Format::Name => {
                let (names, others) = names(holders, &cluster.namespace);
                for name in names {
                    writeln!(out, "{}", printable(&name))?;
                }
                if others > 0 {
                    eprintln!(
                        "left out: {others} who are no ServiceAccounts of namespace {}; -o json has them",
                        printable(&cluster.namespace)
                    );
                }
            }
            format => write_document(&mut out, format, &answer)?,
        }
        out.flush()?;
        Ok(0)
    }
}

fn who(holder: &Value) -> &str {
    holder["actor"].as_str().unwrap_or("-")
}

/// The ServiceAccounts of a namespace among the holders, as kubectl names them, each once; and how many
/// others there are.
fn names(holders: &[Value], namespace: &str) -> (BTreeSet<String>, usize) {
    let prefix = format!("system:serviceaccount:{namespace}:");
    let everybody: BTreeSet<&str> = holders.iter().map(who).collect();
    let own = everybody
        .iter()
        .filter_map(|user| user.strip_prefix(&prefix));
    let names: BTreeSet<String> = own.map(|name| format!("serviceaccount/{name}")).collect();
    let others = everybody.len() - names.len();
    (names, others)
}

fn text(name: &str, holders: &[Value], paint: Paint) -> String {
    if holders.is_empty() {
        return format!(
            "nobody was given a key of LlmCredential/{}\n",
            printable(name)
        );
    }
    let mut text = String::new();
    let mut version = None;
    let mut holders: Vec<&Value> = holders.iter().collect();
    // Stable: within a version the latest stays first.
    holders.sort_by_key(|holder| std::cmp::Reverse(holder["version"].as_i64()));
    for holder in holders {
        if version != Some(&holder["version"]) {
            version = Some(&holder["version"]);
            text.push_str(&format!(
                "{}\n",
                paint.strong(format!("version {}", holder["version"]))
            ));
        }
        let pod = holder["pod"].as_str().map(|pod| format!("pod {pod} of "));
        text.push_str(&format!(
            "  {}  {}\n",
            printable(&format!("{}{}", pod.unwrap_or_default(), who(holder))),
            paint.faint(format!(
                "last at {}",
                holder["last_at"].as_str().unwrap_or("-")
            ))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_accounts_of_the_namespace_are_named_once_and_others_are_counted() {
        let holders = [
            json!({ "actor": "system:serviceaccount:team-a:agent", "pod": "agent-1" }),
            json!({ "actor": "system:serviceaccount:team-a:agent", "pod": "agent-2" }),
            json!({ "actor": "system:serviceaccount:team-b:agent" }),
            json!({ "actor": "ann@example.com" }),
        ];
        let (found, others) = names(&holders, "team-a");
        assert_eq!(Vec::from_iter(found), ["serviceaccount/agent"]);
        assert_eq!(others, 2);
    }
}
