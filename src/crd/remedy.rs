//! What to do about a reason: the last cell of its row in `docs/conditions.md`, so that both say the same.

use std::collections::HashMap;
use std::sync::LazyLock;

static REMEDIES: LazyLock<HashMap<&'static str, String>> =
    LazyLock::new(|| rows(include_str!("../../docs/conditions.md")));

/// What a reason means and what to do about it; none for a reason of a later release.
pub fn of(reason: &str) -> Option<&'static str> {
    REMEDIES.get(reason).map(String::as_str)
}

/// Every reason, and what to do about it.
pub fn all() -> &'static HashMap<&'static str, String> {
    &REMEDIES
}

fn rows(text: &'static str) -> HashMap<&'static str, String> {
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let reason = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        let means = cells.get(5).filter(|_| cells.len() == 7)?;
        Some((reason, plain(means)))
    };
    text.lines().filter_map(row).collect()
}

/// Markdown without its marks: a link is its words.
fn plain(markdown: &str) -> String {
    let mut plain = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once("](") {
        let (text, words) = before.rsplit_once('[').unwrap_or(("", before));
        plain.push_str(text);
        plain.push_str(words);
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::reasons::Reason;

    #[test]
    fn every_reason_has_a_remedy_in_plain_words() {
        for reason in Reason::ALL {
            let remedy = of(reason.as_str()).expect("docs/conditions.md has its row");
            assert!(
                remedy.ends_with('.') && !remedy.contains(['`', '[', ']']),
                "{reason}: {remedy}"
            );
        }
        assert_eq!(of("MadeUp"), None);
    }

    #[test]
    fn marks_are_left_out() {
        assert_eq!(
            plain("see `a` and [b c](d.md#e), [f](g)."),
            "see a and b c, f."
        );
    }
}
