//! `llmplane needs`.

use std::io::Write;

use clap::Args;

use super::audit::DatabaseArgs;
use crate::db::Db;
use crate::output::printable_json;
use crate::plan::needs::{AskedFor, Needs};

/// Needs that are read at once.
const PAGE: i64 = 1000;

/// Print what agents asked for, and how often, as JSON: for `llmplane plan --needs`
#[derive(Debug, Args)]
pub struct NeedsCommand {
    /// Only what was asked for in this namespace first
    #[arg(long, short)]
    namespace: Option<String>,
    /// Days that are counted, today among them
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i32).range(1..=400))]
    days: i32,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl NeedsCommand {
    /// Reads and prints.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn run(&self) -> anyhow::Result<()> {
        let db = self.database.open().await?;
        let needs = read_needs(&db, self.namespace.as_deref(), self.days).await?;
        let json = serde_json::to_string_pretty(&needs)?;
        writeln!(crate::output::stdout(), "{}", printable_json(&json))?;
        Ok(())
    }
}

/// What was asked for in so many days, in one namespace or in all.
pub(super) async fn read_needs(
    db: &Db,
    namespace: Option<&str>,
    days: i32,
) -> anyhow::Result<Needs> {
    let mut needs = Needs {
        days,
        ..Needs::default()
    };
    let mut after = Vec::new();
    loop {
        let page = db.needs(namespace, days, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.digest.clone();
        needs.items.extend(page.into_iter().map(AskedFor::from));
    }
    if namespace.is_none() {
        needs.counted_together = Some(db.needs_counted_together(days).await?);
    }
    Ok(needs)
}
