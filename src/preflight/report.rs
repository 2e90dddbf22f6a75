//! What was found, one line a check.

use serde::Serialize;
use strum::IntoStaticStr;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Ok,
    /// It may work, or it could not be found out.
    Warn,
    /// It will not work.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the check, for example `database/api`.
    pub check: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// All checks, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub checks: Vec<Finding>,
}

impl Report {
    /// Whether nothing keeps the installation from working.
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|it| it.verdict != Verdict::Fail)
    }

    /// How many checks came out so.
    pub fn count(&self, verdict: Verdict) -> usize {
        let of_it = self.checks.iter().filter(|it| it.verdict == verdict);
        of_it.count()
    }

    pub(super) fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.add(check, Verdict::Ok, found, "");
    }

    pub(super) fn warn(
        &mut self,
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, Verdict::Warn, found, remedy);
    }

    pub(super) fn fail(
        &mut self,
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(check, Verdict::Fail, found, remedy);
    }

    pub(super) fn add(
        &mut self,
        check: impl Into<String>,
        verdict: Verdict,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.checks.push(Finding {
            check: check.into(),
            verdict,
            found: found.into(),
            remedy: remedy.into(),
        });
    }
}
