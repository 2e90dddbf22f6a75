//! Every page's commands, as they stand: each page in a shell of its own, after what `make up` leaves, in the
//! order in which a reader meets them. What is run elsewhere stands in [`super::elsewhere`].

use std::path::Path;

use super::elsewhere::elsewhere;
use super::markdown::{Page, ROOT};
use super::plane::Samples;
use super::steps::{Cluster, Step, steps};

/// Pages whose path holds this word are run alone.
const ONLY: &str = "LLMPLANE_DOCS";

/// The pages of the site, and those that stand beside what they are about.
pub fn pages() -> Vec<Page> {
    let docs = Path::new(ROOT).join("docs");
    let summary = Page::read(&docs.join("SUMMARY.md"));
    let of_site = summary.links().into_iter().map(|(_, to)| docs.join(to));
    let beside = [
        "README.md",
        "charts/llmplane/README.md",
        "clients/python/README.md",
    ];
    let beside = beside.map(|path| Path::new(ROOT).join(path));
    let all = beside.into_iter().chain(of_site);
    all.map(|path| Page::read(&path)).collect()
}

/// How a page is called where something is said of it.
pub fn name(page: &Page) -> String {
    let path = page.path.strip_prefix(ROOT).unwrap();
    path.display().to_string()
}

/// Which of a page's commands do not do what the page says.
async fn wrong_of(page: &Page, samples: &Samples) -> Vec<String> {
    let (name, mut wrong) = (name(page), Vec::new());
    let all = steps(page);
    let is_here = |step: &&Step| elsewhere(&name, step).is_none();
    let here: Vec<&Step> = all.iter().filter(is_here).collect();
    // What runs on an empty cluster stands behind all else of its page.
    for steps in here.chunk_by(|a, b| a.cluster == b.cluster) {
        let mut session = match steps[0].cluster {
            Cluster::Samples => samples.renewed_session(&name).await,
            Cluster::Empty => samples.empty_session(&format!("{name}-empty")).await,
        };
        for step in steps {
            if let Err(why) = session.takes(step).await {
                wrong.push(format!("{name}:{}: {}\n{why}", step.line, step.command));
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documentation_does_what_the_page_says() {
    let samples = Samples::new().await;
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for page in pages() {
        if name(&page).contains(&only) {
            looked_at += 1;
            wrong.extend(wrong_of(&page, &samples).await);
        }
    }
    assert!(looked_at > 0, "no page is called {only}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
