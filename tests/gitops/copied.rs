//! A repository that was made of the example as its README says holds all that is read from it.

use std::path::Path;
use std::process::Command;

use super::{MODELS, ROOT, declarations, objects};
use crate::support::plane::Plane;

/// The README's lines that copy.
fn commands() -> String {
    let page = std::fs::read_to_string(format!("{ROOT}/examples/gitops/README.md")).unwrap();
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with("    FLEET="));
    let lines = lines.map_while(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Runs them in a checkout, for a repository at `fleet`.
fn copy(fleet: &Path) {
    let (named, rest) = commands().split_once('\n').map_or_else(
        || panic!("the README copies nothing"),
        |(first, rest)| (first.to_owned(), rest.to_owned()),
    );
    assert!(named.starts_with("FLEET=../fleet "), "{named}");
    let copied = Command::new("bash")
        .args(["-euc", &rest])
        .env("FLEET", fleet)
        .current_dir(ROOT)
        .status();
    assert!(copied.unwrap().success());
}

#[tokio::test]
async fn the_example_is_whole_where_it_is_copied_to() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = folder.path().join("fleet");
    copy(&fleet);
    let plane = Plane::shared().await;
    let mut read = Vec::new();
    for (name, text) in declarations() {
        for object in objects(&name, &text) {
            let source = &object["spec"]["source"];
            if source["directory"].is_null() {
                let path = object["spec"]["path"].as_str().or(source["path"].as_str());
                read.extend(path.map(str::to_owned));
            }
        }
    }
    read.extend(MODELS.map(|models| format!("examples/gitops/{models}")));
    assert!(read.len() > MODELS.len());
    for path in read {
        let path = fleet.join(path.trim_start_matches("./"));
        let rendered = plane.kubectl(&["kustomize", path.to_str().unwrap()]).await;
        let said = String::from_utf8_lossy(&rendered.stderr);
        assert!(rendered.status.success(), "{}: {said}", path.display());
    }
}
