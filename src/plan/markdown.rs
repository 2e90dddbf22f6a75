//! A plan as a comment on a pull request.

use super::answers::{Effect, Outcome};
use super::report::{Finding, Plan};
use crate::output::printable;

/// Rows of a table at most; a comment has its bounds.
const MAX_ROWS: usize = 50;

impl Plan {
    /// GitHub's Markdown. The first line is a comment by which the comment is found again.
    pub fn markdown(&self) -> String {
        let mut out = "<!-- llmplane plan -->\n".to_owned();
        out.push_str(&format!("### llmplane plan: {}\n", self.headline()));
        if self.is_refused() {
            out.push_str("\n```\n");
            // A fence cannot be ended from within.
            out.push_str(&self.lint.text().replace("```", "'''"));
            out.push_str("```\n");
            return out;
        }
        self.needs_table(&mut out);
        self.keys_table(&mut out);
        self.classes_table(&mut out);
        let warnings: Vec<String> = (self.refused.iter().map(|it| it.text()))
            .chain(self.endings.iter().map(|it| it.text()))
            .chain(
                self.lint
                    .problems
                    .iter()
                    .map(|it| format!("{}: {}", it.file, it.message)),
            )
            .collect();
        list(&mut out, "Warnings", &warnings);
        let synced: Vec<String> = self.synced.iter().flat_map(|it| it.sentences()).collect();
        list(&mut out, "Model sync", &synced);
        self.objects_list(&mut out);
        list(&mut out, "Notes", &self.notes);
        out
    }

    fn headline(&self) -> &'static str {
        match self.finding() {
            Finding::Nothing => "nobody is answered otherwise",
            Finding::Warnings => "nobody is answered otherwise; there are warnings",
            Finding::OtherAnswers => "some are answered otherwise",
            Finding::Nowhere => "some are left without an answer, or without a key",
            Finding::LintErrors => "the manifests would be refused",
        }
    }

    fn needs_table(&self, out: &mut String) {
        let Some(needs) = &self.needs else {
            out.push_str("\nWhat agents ask for is not known.\n");
            return;
        };
        out.push_str(&format!("\n{}.\n", cell(&needs.summary())));
        let rows = needs.changes.iter().map(|change| {
            vec![
                change.asked.count.to_string(),
                cell(&change.asked.places()),
                code(&change.asked.title()),
                change.effect.map_or("as now", Effect::as_str).to_owned(),
                outcome(&change.before),
                outcome(&change.after),
            ]
        });
        table(
            out,
            &["Requests", "In", "Asked for", "Change", "Now", "Then"],
            rows.collect(),
        );
    }

    fn keys_table(&self, out: &mut String) {
        let Some(keys) = &self.keys else {
            out.push_str("\nTo whom keys were given was not looked at.\n");
            return;
        };
        out.push_str(&format!("\n{}.\n", cell(&keys.summary())));
        let rows = keys.lost.iter().map(|key| {
            vec![
                code(&key.title()),
                key.text.to_owned(),
                cell(&key.times()),
                key.callers.to_string(),
                code(&key.to_whom()),
                code(&key.last_given_at.to_string()),
            ]
        });
        table(
            out,
            &["Key", "Why not", "Given", "Callers", "To whom", "Last"],
            rows.collect(),
        );
    }

    fn classes_table(&self, out: &mut String) {
        let rows = self.classes.iter().map(|change| {
            vec![
                code(&format!("{}/{}", change.namespace, change.class)),
                change.effect.as_str().to_owned(),
                outcome(&change.before),
                outcome(&change.after),
            ]
        });
        table(out, &["Class", "Change", "Now", "Then"], rows.collect());
    }

    fn objects_list(&self, out: &mut String) {
        let objects = &self.objects;
        out.push_str(&format!(
            "\n<details><summary>{} objects are new, {} change, {} go, {} stay as they are</summary>\n\n",
            objects.new.len(),
            objects.changed.len(),
            objects.gone.len(),
            objects.unchanged
        ));
        let marked = [
            ("new", &objects.new),
            ("changed", &objects.changed),
            ("gone", &objects.gone),
        ];
        let all = marked
            .into_iter()
            .flat_map(|(mark, changes)| changes.iter().map(move |change| (mark, change)));
        for (mark, change) in all.take(MAX_ROWS) {
            out.push_str(&format!("- {mark}: {}\n", code(&change.title())));
            for field in &change.fields {
                out.push_str(&format!("  - {}\n", code(&field.text())));
            }
        }
        let count = objects.new.len() + objects.changed.len() + objects.gone.len();
        if count > MAX_ROWS {
            out.push_str(&format!("- and {} more\n", count - MAX_ROWS));
        }
        out.push_str("\n</details>\n");
    }
}

fn outcome(outcome: &Outcome) -> String {
    code(&outcome.text())
}

fn table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    out.push_str(&format!(
        "\n| {} |\n|{}\n",
        head.join(" | "),
        "---|".repeat(head.len())
    ));
    let more = rows.len().saturating_sub(MAX_ROWS);
    for row in rows.into_iter().take(MAX_ROWS) {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    if more > 0 {
        out.push_str(&format!("\nand {more} more\n"));
    }
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    out.push_str(&format!("\n**{title}**\n\n"));
    for item in items.iter().take(MAX_ROWS) {
        out.push_str(&format!("- {}\n", cell(item)));
    }
    if items.len() > MAX_ROWS {
        out.push_str(&format!("- and {} more\n", items.len() - MAX_ROWS));
    }
}

/// A text that means nothing to Markdown, on one line: names and needs are what somebody wrote, and a comment
/// mentions nobody and links nowhere.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '@' => safe.push_str("&#64;"),
            '#' => safe.push_str("&#35;"),
            ':' => safe.push_str("&#58;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            '\n' | '\r' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// The same in a fixed font.
fn code(text: &str) -> String {
    format!("<code>{}</code>", cell(text))
}
