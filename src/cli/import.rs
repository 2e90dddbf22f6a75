//! `llmplane import`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ValueEnum;
use kube::Client;
use serde::Serialize;

use crate::config::cluster::KubectlArgs;
use crate::import::apply::{Applied, ApplyError, apply_all};
use crate::import::{self, Conversion, Finding, Format, Level, Manifest, Refused};
use crate::lint::documents::{Document, Source, read_all};
use crate::output::{printable, printable_json, stdout};

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line a finding and an object
    Text,
    /// The manifests; findings go to standard error
    Yaml,
    /// One JSON object with manifests, findings and what was done
    Json,
}

/// Converts others' configuration to manifests, and applies them.
///
/// Ends with 0 where everything came over as it is, with 10 where something means nearly the same, 11
/// where something is left for you to do, 12 where llmplane has no such thing; with 1 where nothing, or
/// not everything, was applied.
#[derive(Debug, clap::Args)]
pub struct ImportCommand {
    /// Files, folders (all .yaml, .yml and .json in them but for hidden ones), or - for standard input;
    /// all of one format
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose configuration it is: llmplane, litellm, envoy-ai-gateway, kagent, models-dev, or auto, by
    /// its shape
    #[arg(long, value_parser = format, default_value = "auto")]
    format: Choice,
    /// The namespace of all objects; without it what the source says, else the kubeconfig's
    #[arg(long, short, value_parser = namespace)]
    namespace: Option<String>,
    /// Convert and judge; ask no cluster, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// How the outcome is printed; with --dry-run yaml is the default
    #[arg(long, short, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    cluster: KubectlArgs,
}

#[derive(Clone, Copy, Debug)]
struct Choice(Option<Format>);

fn format(word: &str) -> Result<Choice, String> {
    match (word, Format::parse(word)) {
        ("auto", _) => Ok(Choice(None)),
        (_, Some(format)) => Ok(Choice(Some(format))),
        _ => Err(format!(
            "expected auto, {}",
            Format::ALL.map(Format::as_str).join(", ")
        )),
    }
}

fn namespace(name: &str) -> Result<String, String> {
    match crate::crd::names::is_namespace(name) {
        true => Ok(name.to_owned()),
        false => Err("expected the name of a namespace".to_owned()),
    }
}

/// All that is printed as JSON.
#[derive(Serialize)]
struct Outcome<'a> {
    format: &'static str,
    worst: Level,
    manifests: &'a [Manifest],
    findings: &'a [Finding],
    applied: &'a [Applied],
}

impl ImportCommand {
    /// Converts, judges, applies and prints; answers the code to end with.
    ///
    /// # Errors
    /// Where the source cannot be read, where an object would be refused, and where not all of them
    /// were applied.
    pub async fn run(&self) -> anyhow::Result<i32> {
        let sources = read_all(&self.files, &mut io::stdin().lock());
        readable(&sources)?;
        let documents: Vec<&Document> = (sources.iter())
            .flat_map(|source| &source.content.documents)
            .collect();
        let wanted = self.namespace.as_deref();
        let conversion = import::convert(&documents, self.format.0, wanted)?;
        acceptable(&import::judge(&conversion.manifests, &conversion.findings))?;
        let applied = match self.dry_run {
            true => Vec::new(),
            false => self.apply(&conversion).await?,
        };
        self.print(&conversion, &applied)?;
        Ok(conversion.worst().exit_code())
    }

    async fn apply(&self, conversion: &Conversion) -> anyhow::Result<Vec<Applied>> {
        let config = self.cluster.config().await?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).context("the cluster cannot be reached")?;
        match apply_all(&client, &namespace, &conversion.manifests).await {
            Ok(applied) => Ok(applied),
            Err(error) => {
                if let ApplyError::BrokenOff { applied, .. } = &error {
                    eprint!("{}", listed(applied));
                }
                bail!("{}", printable(&error.to_string()))
            }
        }
    }

    fn print(&self, conversion: &Conversion, applied: &[Applied]) -> anyhow::Result<()> {
        let default = match self.dry_run {
            true => Output::Yaml,
            false => Output::Text,
        };
        let findings = || conversion.findings.iter();
        let told = findings().filter(|finding| finding.level > Level::Exact);
        let told: String = told.map(Finding::text).collect();
        let mut out = stdout();
        match self.output.unwrap_or(default) {
            Output::Text => write!(out, "{told}{}", listed(applied))?,
            Output::Yaml => {
                eprint!("{told}");
                let yaml = import::to_yaml(&conversion.manifests)?;
                out.write_all(yaml.as_bytes())?;
            }
            Output::Json => {
                let outcome = Outcome {
                    format: conversion.format.as_str(),
                    worst: conversion.worst(),
                    manifests: &conversion.manifests,
                    findings: &conversion.findings,
                    applied,
                };
                let json = serde_json::to_string_pretty(&outcome)?;
                writeln!(out, "{}", printable_json(&json))?;
            }
        }
        Ok(())
    }
}

fn listed(applied: &[Applied]) -> String {
    let line = |one: &Applied| {
        let outcome = format!("{:?}", one.outcome).to_lowercase();
        format!("{}/{} {outcome}\n", one.kind, one.name)
    };
    applied.iter().map(line).collect()
}

/// What cannot be read is never imported in part.
fn readable(sources: &[Source]) -> anyhow::Result<()> {
    for source in sources {
        if let Some(error) = source.content.errors.first() {
            let line = error
                .line()
                .map_or_else(String::new, |line| format!(":{line}"));
            let said = format!("{}{line}: {error}", source.file);
            bail!("nothing was imported: {}", printable(&said));
        }
    }
    Ok(())
}

fn acceptable(refused: &[Refused]) -> anyhow::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    for one in refused {
        let sources = match one.sources.as_slice() {
            [] => String::new(),
            sources => format!(" (from {})", sources.join(", ")),
        };
        let said = format!("{}{sources}: {}", one.target, one.message);
        eprintln!("{}", printable(&said));
    }
    bail!(
        "nothing was imported: the kube-apiserver would refuse {} of it",
        refused.len()
    )
}
