//! `llmplane catalog`: prints what is known of models, and makes it anew of public lists.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use jiff::civil::Date;

use crate::crd::ProviderType;
use crate::output::{printable, printable_json};
use crate::vendors::catalog::refresh::{self, List, ListKind, Refreshed};
use crate::vendors::catalog::{Catalog, CatalogEntry, CatalogError};

/// What to print.
#[derive(Debug, Args)]
pub struct CatalogCommand {
    /// A file of the same form, laid over the built-in one
    #[arg(long, value_name = "FILE", global = true)]
    catalog: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line a model, and what an overlay wanted and did not get
    List {
        /// Only this provider type's
        #[arg(long, value_name = "TYPE")]
        provider: Option<String>,
    },
    /// Everything that is known of one model, as JSON
    Show {
        /// The provider's type, for example OpenAI
        provider: String,
        /// The vendor's id of the model
        model_id: String,
    },
    /// Makes a catalog anew of what is known and of lists that others publish
    Refresh(RefreshArgs),
}

/// The lists, of which one at least is given, and where the catalog goes.
#[derive(Debug, Args)]
struct RefreshArgs {
    /// LiteLLM's model_prices_and_context_window.json: prices, and the end of models' lives
    #[arg(long, value_name = "FILE", required_unless_present = "models_dev")]
    litellm: Option<PathBuf>,
    /// What entries from there are said to be from, with its version
    #[arg(long, value_name = "TEXT", default_value = "LiteLLM")]
    litellm_source: String,
    /// The api.json of models.dev: windows, and what models take and give
    #[arg(long, value_name = "FILE")]
    models_dev: Option<PathBuf>,
    /// What entries from there are said to be from, with its version
    #[arg(long, value_name = "TEXT", default_value = "models.dev")]
    models_dev_source: String,
    /// The day of which the lists are: YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    as_of: Date,
    /// The file that the catalog is written to; standard output without it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Why nothing was printed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogCommandError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("{word} is no provider type; one of {}", ProviderType::ALL.map(ProviderType::as_str).join(", "))]
    UnknownType { word: String },
    #[error(
        "the catalog knows no model {model_id} of {provider}; `llmplane catalog list --provider {provider}` shows what it knows"
    )]
    UnknownModel {
        provider: ProviderType,
        model_id: String,
    },
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write {}: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
}

impl CatalogCommand {
    /// Prints it.
    ///
    /// # Errors
    /// When the catalog cannot be read or knows nothing of what was asked for.
    pub fn run(self) -> Result<(), CatalogCommandError> {
        let mut catalog = Catalog::builtin()?;
        if let Some(path) = &self.catalog {
            catalog = catalog.overlay(path)?;
        }
        let mut out = crate::output::stdout();
        match self.what {
            What::List { provider } => list(
                &catalog,
                provider.as_deref().map(parse).transpose()?,
                &mut out,
            ),
            What::Show { provider, model_id } => {
                let provider = parse(&provider)?;
                let entry = catalog
                    .lookup(provider, &model_id)
                    .ok_or(CatalogCommandError::UnknownModel { provider, model_id })?;
                let json = serde_json::to_string_pretty(entry).map_err(io::Error::from)?;
                Ok(writeln!(out, "{}", printable_json(&json))?)
            }
            What::Refresh(args) => args.run(&catalog, &mut out),
        }
    }
}

impl RefreshArgs {
    fn run(self, before: &Catalog, out: &mut impl Write) -> Result<(), CatalogCommandError> {
        let list =
            |kind, path: Option<PathBuf>, source| path.map(|path| List { kind, path, source });
        let lists: Vec<List> = [
            list(ListKind::LiteLlm, self.litellm, self.litellm_source),
            list(ListKind::ModelsDev, self.models_dev, self.models_dev_source),
        ]
        .into_iter()
        .flatten()
        .collect();
        let refreshed = refresh::refresh(before, &lists, self.as_of)?;
        let json = written(&refreshed.entries).map_err(io::Error::from)?;
        match self.output {
            Some(path) => std::fs::write(&path, json)
                .map_err(|source| CatalogCommandError::Unwritable { path, source })?,
            None => out.write_all(json.as_bytes())?,
        }
        tell(&refreshed);
        Ok(())
    }
}

/// Entries as the file in the source tree has them: indented by one space, a line break at the end.
fn written(entries: &[CatalogEntry]) -> Result<String, serde_json::Error> {
    let mut json = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, indent);
    serde::Serialize::serialize(entries, &mut serializer)?;
    json.push(b'\n');
    Ok(String::from_utf8_lossy(&json).into_owned())
}

/// What became of the lists, for people, beside the catalog itself.
fn tell(refreshed: &Refreshed) {
    for (provider, model_id, why) in &refreshed.held {
        eprintln!(
            "{}",
            printable(&format!("held back: {provider} {model_id}: {why}"))
        );
    }
    eprintln!(
        "{} models: {} added, {} changed; {} rows of other vendors, regions and services are passed over",
        refreshed.entries.len(),
        refreshed.added,
        refreshed.changed,
        refreshed.passed_over,
    );
}

fn parse(word: &str) -> Result<ProviderType, CatalogCommandError> {
    ProviderType::parse(word).ok_or_else(|| CatalogCommandError::UnknownType {
        word: word.to_owned(),
    })
}

fn list(
    catalog: &Catalog,
    only: Option<ProviderType>,
    out: &mut impl Write,
) -> Result<(), CatalogCommandError> {
    writeln!(
        out,
        "{:<17}{:<50}{:>9}{:>9}{:>12}{:>12}  CAPABILITIES",
        "TYPE", "MODEL", "WINDOW", "OUTPUT", "IN/1K", "OUT/1K"
    )?;
    for entry in catalog
        .entries()
        .filter(|e| only.is_none_or(|t| t == e.provider))
    {
        writeln!(out, "{}", printable(&line(entry)))?;
    }
    for held in catalog
        .held()
        .iter()
        .filter(|h| only.is_none_or(|t| t == h.provider))
    {
        let line = format!(
            "held back: {} {}: {}",
            held.provider, held.model_id, held.why
        );
        writeln!(out, "{}", printable(&line))?;
    }
    Ok(())
}

fn line(entry: &CatalogEntry) -> String {
    let count = |n: Option<i64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let [input, output] = crate::vendors::catalog::prices(entry).map(|p| p.unwrap_or("?"));
    let mut abilities: Vec<&str> = entry.capabilities.iter().map(|c| c.as_str()).collect();
    let unmapped = format!("(unmapped: {})", entry.unmapped.join(", "));
    if !entry.unmapped.is_empty() {
        abilities.push(&unmapped);
    }
    format!(
        "{:<17}{:<50}{:>9}{:>9}{input:>12}{output:>12}  {}",
        entry.provider.as_str(),
        entry.model_id,
        count(entry.context_window),
        count(entry.max_output_tokens),
        abilities.join(" "),
    )
}
