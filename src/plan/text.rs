//! A plan for people at a terminal.

use std::fmt::Write;

use super::answers::{Effect, Outcome};
use super::keys::KeysReport;
use super::report::{NeedsReport, ObjectChange, Plan};
use crate::output::printable;

impl Plan {
    /// Line by line; what others wrote is without control characters.
    pub fn text(&self) -> String {
        let mut out = String::new();
        out.push_str(&self.lint.text());
        if self.is_refused() {
            line(
                &mut out,
                &format!("{}; nothing else was looked at", self.lint.summary()),
            );
            return out;
        }
        self.objects_text(&mut out);
        for sentence in self.synced.iter().flat_map(|it| it.sentences()) {
            line(&mut out, &sentence);
        }
        for refused in &self.refused {
            line(&mut out, &format!("warning: {}", refused.text()));
        }
        for ending in &self.endings {
            line(&mut out, &format!("warning: {}", ending.text()));
        }
        match &self.needs {
            Some(needs) => needs.text(&mut out),
            None => line(
                &mut out,
                "What agents ask for is not known: give --needs FILE, or set DATABASE_URL.",
            ),
        }
        match &self.keys {
            Some(keys) => keys.text(&mut out),
            None => line(
                &mut out,
                "To whom keys were given was not looked at: set DATABASE_URL.",
            ),
        }
        for change in &self.classes {
            let title = format!("class {}/{}", change.namespace, change.class);
            line(&mut out, &format!("{title}: {}", change.effect.as_str()));
            both(&mut out, &change.before, &change.after);
        }
        for note in &self.notes {
            line(&mut out, &format!("note: {note}"));
        }
        out
    }

    fn objects_text(&self, out: &mut String) {
        let objects = &self.objects;
        line(
            out,
            &format!(
                "Objects: {} new, {} changed, {} gone, {} as they are",
                objects.new.len(),
                objects.changed.len(),
                objects.gone.len(),
                objects.unchanged
            ),
        );
        let marked = [
            ("+", &objects.new),
            ("~", &objects.changed),
            ("-", &objects.gone),
        ];
        for (mark, changes) in marked {
            for change in changes {
                object(out, mark, change);
            }
        }
    }
}

fn object(out: &mut String, mark: &str, change: &ObjectChange) {
    line(out, &format!("  {mark} {}", change.title()));
    for field in &change.fields {
        line(out, &format!("      {}", field.text()));
    }
}

impl NeedsReport {
    fn text(&self, out: &mut String) {
        line(out, &self.summary());
        for change in &self.changes {
            let asked = &change.asked;
            let title = format!(
                "  {} in {}, {}: {}",
                requests(asked.count),
                asked.places(),
                asked.title(),
                change.effect.map_or("as now", Effect::as_str)
            );
            line(out, &title);
            both(out, &change.before, &change.after);
        }
    }

    /// One sentence.
    pub(super) fn summary(&self) -> String {
        let count = |is_meant: fn(Effect) -> bool| -> i64 {
            let meant = self
                .changes
                .iter()
                .filter(|it| it.effect.is_some_and(is_meant));
            meant.map(|change| change.asked.count).sum()
        };
        let (moved, lost) = (count(|_| true), count(Effect::is_loss));
        let mut said = format!(
            "Of {} in {} days ({} different), {moved} would be answered otherwise, {lost} of them without what they had",
            requests(self.requests),
            self.days,
            self.different,
        );
        if self.unanswered > 0 {
            let _ = write!(
                said,
                "; {} have no answer before and after",
                self.unanswered
            );
        }
        if let Some(together) = self.counted_together.filter(|count| *count > 0) {
            let _ = write!(said, "; of {together} more only the number is known");
        }
        if self.not_understood > 0 {
            let _ = write!(
                said,
                "; {} are in a form that this release does not know",
                self.not_understood
            );
        }
        said
    }
}

impl KeysReport {
    fn text(&self, out: &mut String) {
        line(out, &self.summary());
        for key in &self.lost {
            line(out, &format!("  {}: {}", key.title(), key.text));
            let (times, last) = (key.times(), key.last_given_at);
            let whom = key.to_whom();
            line(
                out,
                &format!("      given {times}, last at {last}, to {whom}"),
            );
        }
    }

    /// One sentence.
    pub(super) fn summary(&self) -> String {
        let days = self.days;
        let mut said = match self.lost.len() {
            0 => format!("No key that was given out in {days} days would be withheld"),
            1 => format!("1 key that was given out in {days} days would be withheld"),
            many => format!("{many} keys that were given out in {days} days would be withheld"),
        };
        if self.left_out > 0 {
            let _ = write!(said, "; {} more callers were not looked at", self.left_out);
        }
        said
    }
}

fn both(out: &mut String, before: &Outcome, after: &Outcome) {
    line(out, &format!("      {}", before.text()));
    line(out, &format!("   -> {}", after.text()));
}

/// `1 request`, `2 requests`.
pub(super) fn requests(count: i64) -> String {
    match count {
        1 => "1 request".to_owned(),
        count => format!("{count} requests"),
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(&printable(text));
    out.push('\n');
}
