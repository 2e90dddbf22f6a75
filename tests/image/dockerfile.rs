//! The Dockerfile: who builds by it gets the same, and sends nothing of a working copy that Git leaves out.

use std::collections::BTreeSet;
use std::process::Command;

use super::{ROOT, succeeded};

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{name}")).unwrap()
}

#[test]
fn the_dockerfile_builds_the_same_way() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    let image = format!("FROM rust:{}-", channel.unwrap().trim_matches('"'));
    let dockerfile = read("Dockerfile");
    for line in [
        image.as_str(),
        "USER 65532:65532",
        r#"ENTRYPOINT ["/usr/bin/llmplane"]"#,
    ] {
        assert!(dockerfile.contains(line), "{line} is not in the Dockerfile");
    }
    // Certificates and libraries are the base's.
    let (_, last) = dockerfile.rsplit_once("\nFROM ").unwrap();
    let copied: Vec<&str> = last.lines().filter(|it| it.starts_with("COPY")).collect();
    assert_eq!(
        copied,
        ["COPY --from=build /llmplane/target/release/llmplane /usr/bin/llmplane"]
    );
}

/// A pattern of a `.gitignore` in this folder, as `.dockerignore` writes it.
fn for_docker(folder: &str, pattern: &str) -> String {
    let pattern = pattern.trim_end_matches('/');
    match (pattern.contains('/'), folder) {
        (true, _) => format!("{folder}{}", pattern.trim_start_matches('/')),
        (false, folder) => format!("{folder}**/{pattern}"),
    }
}

/// A local plane's folder holds its keyring, its audit key and a kubeconfig.
#[test]
fn what_git_leaves_out_is_not_sent_to_docker_either() {
    let files = Command::new("git")
        .args(["ls-files", ".gitignore", "**/.gitignore"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    succeeded(&files);
    let files = String::from_utf8(files.stdout).unwrap();
    let ignored = read(".dockerignore");
    let ignored: BTreeSet<&str> = ignored.lines().collect();
    let mut seen = 0;
    for file in files.lines() {
        let folder = file.strip_suffix(".gitignore").unwrap();
        let text = read(file);
        for pattern in text
            .lines()
            .filter(|it| !it.is_empty() && !it.starts_with('#'))
        {
            assert!(!pattern.starts_with('!'), "{file}: {pattern}");
            let pattern = for_docker(folder, pattern);
            let there = ignored.contains(pattern.as_str());
            assert!(there, "{file}: {pattern} is not in .dockerignore");
            seen += 1;
        }
    }
    assert!(seen > 5);
    assert!(!ignored.iter().any(|pattern| pattern.starts_with('!')));
}
