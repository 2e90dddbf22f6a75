//! `llmplane catalog`: prints what is known of models.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};

use crate::crd::ProviderType;
use crate::output::{printable, printable_json};
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
        }
    }
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
