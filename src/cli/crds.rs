//! `llmplane crds`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::crd::crds;
use crate::crd::generate::{file_name, to_yaml};
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
}

impl CrdsCommand {
    /// Prints or writes the definitions.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn run(&self) -> Result<(), GenerateError> {
        let crds = crds();
        let Some(folder) = &self.output_dir else {
            let mut out = stdout();
            for crd in &crds {
                write!(out, "---\n{}", to_yaml(crd)?).map_err(GenerateError::Print)?;
            }
            return Ok(());
        };
        fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
        for crd in &crds {
            let path = folder.join(file_name(crd));
            fs::write(&path, to_yaml(crd)?).map_err(|source| write_error(&path, source))?;
        }
        Ok(())
    }
}

fn write_error(path: &Path, source: std::io::Error) -> GenerateError {
    GenerateError::Write {
        path: path.to_owned(),
        source,
    }
}
