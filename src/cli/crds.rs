//! `llmplane crds`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::crd::crds;
use crate::crd::generate::{file_name, to_yaml};
use crate::crd::{json_schema, reference};
use crate::output::stdout;

/// Why the definitions could not be written.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// A definition does not become YAML; a mistake in `src/crd/`.
    #[error("cannot write the definition as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}; check that the folder is writable")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot print: {0}")]
    Print(std::io::Error),
}

/// Prints the custom resource definitions as YAML
#[derive(Debug, clap::Args)]
pub struct CrdsCommand {
    /// Write one file a kind into this folder instead of printing them
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Write JSON schemas for kubeconform into this folder: {group}/{kind}_{version}.json
    #[arg(long, value_name = "DIR")]
    json_schemas: Option<PathBuf>,
    /// Write the OpenAPI document from which kustomize learns which lists are maps
    #[arg(long, value_name = "FILE")]
    kustomize_openapi: Option<PathBuf>,
    /// Write the reference of each kind into this folder, as Markdown
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
}

impl CrdsCommand {
    /// Prints or writes the definitions.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn run(&self) -> Result<(), GenerateError> {
        let crds = crds();
        let mut files = Vec::new();
        for crd in &crds {
            if let Some(folder) = &self.output_dir {
                files.push((folder.join(file_name(crd)), to_yaml(crd)?));
            }
            if let Some(folder) = &self.json_schemas {
                let path = folder.join(json_schema::file_path(crd));
                files.push((path, to_json(&json_schema::json_schema(crd))));
            }
            if let Some(folder) = &self.reference {
                files.push((folder.join(reference::file_name(crd)), reference::page(crd)));
            }
        }
        if let Some(path) = &self.kustomize_openapi {
            let text = to_json(&json_schema::kustomize_openapi(&crds));
            files.push((path.clone(), text));
        }
        if !files.is_empty() {
            return files.iter().try_for_each(|(path, text)| write(path, text));
        }
        let mut out = stdout();
        for crd in &crds {
            write!(out, "---\n{}", to_yaml(crd)?).map_err(GenerateError::Print)?;
        }
        Ok(())
    }
}

/// Writes a file, and makes its folder where there is none.
fn write(path: &Path, text: &str) -> Result<(), GenerateError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
    }
    fs::write(path, text).map_err(|source| write_error(path, source))
}

/// A document as it stands in a committed file.
fn to_json(document: &serde_json::Value) -> String {
    format!("{document:#}\n")
}

fn write_error(path: &Path, source: std::io::Error) -> GenerateError {
    GenerateError::Write {
        path: path.to_owned(),
        source,
    }
}
