//! `llmplane lint`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use thiserror::Error;

use crate::lint::documents::read_all;
use crate::lint::report::{Report, Severity};
use crate::output::printable_json;

/// Why lint ends with a failure.
#[derive(Debug, Error)]
pub enum LintError {
    /// Something is wrong; each problem was printed.
    #[error("{0}")]
    Refused(String),
    /// The report cannot be printed.
    #[error("cannot print the report: {0}")]
    Print(#[from] io::Error),
    /// The report does not become JSON.
    #[error("cannot print the report: {0}")]
    Json(#[from] serde_json::Error),
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line a problem
    Text,
    /// One JSON object
    Json,
}

/// Judges manifests as the apiserver would, without one
#[derive(Debug, clap::Args)]
pub struct LintCommand {
    /// Files, folders (all .yaml, .yml and .json in them but for hidden ones), or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Let warnings fail too: a reference to what no file declares, what `kubectl apply` takes and
    /// `kubectl apply --server-side` refuses
    #[arg(long)]
    strict: bool,
}

impl LintCommand {
    /// Reads, judges and prints.
    ///
    /// # Errors
    /// Where an object would be refused; with `--strict` also where there is a warning.
    pub fn run(&self) -> Result<(), LintError> {
        let report = crate::lint::lint(&read_all(&self.files, &mut io::stdin().lock()));
        self.print(&report, &mut crate::output::stdout())?;
        let bad = report.count(Severity::Error) > 0
            || (self.strict && report.count(Severity::Warning) > 0);
        if bad {
            return Err(LintError::Refused(report.summary()));
        }
        Ok(())
    }

    fn print(&self, report: &Report, out: &mut dyn Write) -> Result<(), LintError> {
        match self.output {
            Output::Text if report.count(Severity::Error) == 0 => {
                writeln!(out, "{}ok: {}", report.text(), report.summary())?;
            }
            Output::Text => write!(out, "{}", report.text())?,
            Output::Json => {
                let json = serde_json::to_string_pretty(report)?;
                writeln!(out, "{}", printable_json(&json))?;
            }
        }
        Ok(())
    }
}
