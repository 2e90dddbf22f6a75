//! `packaging/site`, but for mdBook itself, which takes minutes to build: a program in its place copies what it is given.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::markdown::{Page, ROOT, pages_below};

const REPOSITORY: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// Runs it with this for mdBook, which is called as `build SOURCE --dest-dir SITE`.
fn make(folder: &Path, mdbook: &str) -> (PathBuf, Output) {
    let script = std::fs::read_to_string(format!("{ROOT}/packaging/site")).unwrap();
    let version = script.lines().find_map(|it| it.strip_prefix("MDBOOK="));
    let programs = format!("llmplane/tools/mdbook-{}/bin", version.unwrap());
    let programs = folder.join("cache").join(programs);
    std::fs::create_dir_all(&programs).unwrap();
    let program = programs.join("mdbook");
    std::fs::write(&program, format!("#!/bin/sh\nset -e\n{mdbook}\n")).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let site = folder.join("out/site");
    let made = Command::new(format!("{ROOT}/packaging/site"))
        .arg(&site)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .output()
        .unwrap();
    (site, made)
}

#[test]
fn every_link_of_the_site_leads_into_it_or_into_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    let (site, made) = make(folder.path(), "cp -r \"$2\" \"$4\"");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    let (mut broken, mut outside) = (Vec::new(), 0);
    let pages = pages_below(&site);
    assert!(pages.len() > 20);
    for path in &pages {
        for (line, target) in Page::read(path).links() {
            let file = target.split('#').next().unwrap();
            let is_there = match target.strip_prefix(REPOSITORY) {
                Some(_) => {
                    outside += 1;
                    let file = file.strip_prefix(REPOSITORY).unwrap();
                    Path::new(ROOT).join(file).exists()
                }
                None if target.starts_with("https://") || file.is_empty() => true,
                None => {
                    let to = path.parent().unwrap().join(file).canonicalize();
                    to.is_ok_and(|to| to.starts_with(site.canonicalize().unwrap()))
                }
            };
            if !is_there {
                broken.push(format!("{}:{line}: {target}", path.display()));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
    assert!(outside > 0, "no page leads into the repository");
    assert!(!site.join("book.toml").exists());
}

/// Who reads it offline, or where nobody is to know, asks nobody else.
#[test]
fn a_site_that_fetches_from_elsewhere_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let page =
        r#"mkdir "$4" && echo '<img src="https://elsewhere.example/a.png">' >"$4/index.html""#;
    let (site, made) = make(folder.path(), page);
    assert!(!made.status.success());
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(said.contains("from elsewhere"), "{said}");
    assert!(!site.exists());
}
