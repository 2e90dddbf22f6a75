//! The book's table of contents, and links.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::markdown::{Page, ROOT, pages_below};

fn docs() -> PathBuf {
    Path::new(ROOT).join("docs")
}

#[test]
fn every_page_is_in_the_book_once_and_every_entry_is_a_page() {
    let summary = Page::read(&docs().join("SUMMARY.md"));
    let entries: Vec<PathBuf> = summary
        .links()
        .into_iter()
        .map(|(_, target)| docs().join(target))
        .collect();
    let listed: BTreeSet<&PathBuf> = entries.iter().collect();
    assert_eq!(listed.len(), entries.len(), "a page is listed twice");
    let mut pages = pages_below(&docs());
    pages.retain(|page| *page != summary.path);
    let pages: BTreeSet<&PathBuf> = pages.iter().collect();
    let names = |set: BTreeSet<&&PathBuf>| {
        set.iter()
            .map(|it| it.display().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(pages.difference(&listed).collect()),
        [""; 0],
        "add them to docs/SUMMARY.md"
    );
    assert_eq!(
        names(listed.difference(&pages).collect()),
        [""; 0],
        "they are no pages"
    );
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut pages = pages_below(&docs());
    for other in [
        "README.md",
        "CONTRIBUTING.md",
        "charts/llmplane/README.md",
        "examples/gitops/README.md",
    ] {
        pages.push(Path::new(ROOT).join(other));
    }
    let mut broken = Vec::new();
    for path in &pages {
        let page = Page::read(path);
        for (line, target) in page.links() {
            if target.starts_with("https://") || target.starts_with("http://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let to = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let is_there = to.exists();
            let has_heading = heading.is_empty()
                || (is_there
                    && Page::read(&to)
                        .anchors()
                        .iter()
                        .any(|anchor| anchor == heading));
            if !is_there || !has_heading {
                broken.push(format!("{}:{line}: {target}", path.display()));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}
