//! `packaging/krew`: the manifest as Krew's index takes it, and the archive that it names.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn manifest(path: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Makes archive and manifest of a binary in a folder.
fn make(binary: &Path, output: &Path) {
    let made = Command::new(format!("{ROOT}/packaging/krew/make"))
        .args([binary, output])
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
}

/// What Krew's validation and the index's linter ask of a manifest
/// (krew: `internal/index/validation`, krew-index: `CONTRIBUTING.md`).
fn violations(plugin: &Value, file_stem: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    let matches = |pattern: &str, value: &Value| {
        let pattern = regex::Regex::new(pattern).unwrap();
        value.as_str().is_some_and(|text| pattern.is_match(text))
    };
    let spec = &plugin["spec"];
    must(
        plugin["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2",
        "apiVersion",
    );
    must(plugin["kind"] == "Plugin", "kind");
    must(
        plugin["metadata"]["name"] == file_stem,
        "metadata.name is the file's",
    );
    must(
        matches("^[a-z][a-z0-9-]*$", &plugin["metadata"]["name"]),
        "metadata.name",
    );
    must(
        matches(
            r"^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$",
            &spec["version"],
        ),
        "spec.version",
    );
    must(matches("^https://", &spec["homepage"]), "spec.homepage");
    must(
        matches(r"^[^\n\r]{1,60}[^\n\r.]$", &spec["shortDescription"]),
        "spec.shortDescription",
    );
    must(matches("(?s).", &spec["description"]), "spec.description");
    for line in ["description", "caveats"]
        .iter()
        .flat_map(|it| spec[*it].as_str().unwrap_or_default().lines())
    {
        must(line.len() <= 80, "lines are at most 80 characters long");
    }
    let platforms = spec["platforms"].as_array().cloned().unwrap_or_default();
    must(!platforms.is_empty(), "spec.platforms");
    for platform in &platforms {
        must(
            matches("^https://.+[.](tar[.]gz|zip)$", &platform["uri"]),
            "uri",
        );
        must(matches("^[a-f0-9]{64}$", &platform["sha256"]), "sha256");
        must(matches("^[^/.][^/]*$", &platform["bin"]), "bin");
        let files = platform["files"].as_array().cloned().unwrap_or_default();
        let has = |name: &str| {
            files
                .iter()
                .any(|file| file["from"] == name && file["to"] == ".")
        };
        must(
            has(platform["bin"].as_str().unwrap_or_default()),
            "files have the binary",
        );
        must(has("LICENSE"), "files have a LICENSE");
        let labels = &platform["selector"]["matchLabels"];
        must(
            ["linux", "darwin", "windows"]
                .iter()
                .any(|os| labels["os"] == *os),
            "os",
        );
        must(
            ["amd64", "arm64"]
                .iter()
                .any(|arch| labels["arch"] == *arch),
            "arch",
        );
    }
    let mut selectors: Vec<String> = platforms
        .iter()
        .map(|it| it["selector"].to_string())
        .collect();
    let all = selectors.len();
    selectors.sort();
    selectors.dedup();
    must(selectors.len() == all, "one platform a selector");
    found
}

#[test]
fn the_archive_is_what_the_manifest_says_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let binary = Path::new(env!("CARGO_BIN_EXE_llmplane"));
    make(binary, &out);
    let made = manifest(&out.join("llm.yaml"));
    assert_eq!(violations(&made, "llm"), [""; 0], "{made}");
    assert_eq!(
        made["spec"]["version"],
        format!("v{}", env!("CARGO_PKG_VERSION"))
    );
    let platforms = made["spec"]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 1, "of this machine alone: {platforms:?}");
    let uri = platforms[0]["uri"].as_str().unwrap();
    let archive = out.join(uri.rsplit('/').next().unwrap());
    let sum = hex::encode(Sha256::digest(std::fs::read(&archive).unwrap()));
    assert_eq!(platforms[0]["sha256"], sum);

    let unpacked = folder.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let tar = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(&unpacked)
        .status();
    assert!(tar.unwrap().success());
    for file in platforms[0]["files"].as_array().unwrap() {
        assert!(
            unpacked.join(file["from"].as_str().unwrap()).is_file(),
            "{file}"
        );
    }
    let program = unpacked.join(platforms[0]["bin"].as_str().unwrap());
    assert_eq!(
        std::fs::metadata(&program).unwrap().permissions().mode() & 0o777,
        0o755
    );
    let ran = Command::new(&program).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(
        said.trim(),
        format!("kubectl-llm {}", env!("CARGO_PKG_VERSION"))
    );
    completes(&program, &made, &folder.path().join("krew"));
}

/// Whether the line of the caveats makes kubectl's completer of what Krew links in its folder.
fn completes(program: &Path, manifest: &Value, krew: &Path) {
    std::fs::create_dir_all(krew.join("bin")).unwrap();
    std::os::unix::fs::symlink(program, krew.join("bin/kubectl-llm")).unwrap();
    let caveats = manifest["spec"]["caveats"].as_str().unwrap();
    let line = caveats
        .lines()
        .find(|line| line.contains("ln -s "))
        .unwrap();
    let linked = Command::new("sh")
        .args(["-c", line])
        .env("KREW_ROOT", krew)
        .status();
    assert!(linked.unwrap().success(), "{line}");
    let completer = krew.join("bin/kubectl_complete-llm");
    let ran = Command::new(completer).args(["status", "-o", "y"]).output();
    assert_eq!(String::from_utf8_lossy(&ran.unwrap().stdout), "yaml\n:4\n");
}

#[test]
fn the_same_binary_makes_the_same_archive_and_archives_of_others_are_named_too() {
    let folder = tempfile::tempdir().unwrap();
    // A small program: what it does is no matter.
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    make(Path::new("/bin/true"), &first);
    make(Path::new("/bin/true"), &second);
    let archives = [
        "kubectl-llm-linux-amd64.tar.gz",
        "kubectl-llm-linux-arm64.tar.gz",
    ];
    let (own, other) = match first.join(archives[0]).exists() {
        true => (archives[0], archives[1]),
        false => (archives[1], archives[0]),
    };
    let bytes = std::fs::read(first.join(own)).unwrap();
    assert_eq!(bytes, std::fs::read(second.join(own)).unwrap());
    std::fs::write(second.join(other), "another machine's").unwrap();
    make(Path::new("/bin/true"), &second);
    let made = manifest(&second.join("llm.yaml"));
    assert_eq!(violations(&made, "llm"), [""; 0], "{made}");
    let sums: Vec<&str> = made["spec"]["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["sha256"].as_str().unwrap())
        .collect();
    assert_eq!(sums.len(), 2);
    assert!(sums.contains(&hex::encode(Sha256::digest("another machine's")).as_str()));
}

#[test]
fn what_krew_would_refuse_is_seen() {
    let path = Path::new(ROOT).join("packaging/krew/llm.yaml");
    let unfilled = manifest(&path);
    assert_eq!(
        violations(&unfilled, "llm"),
        ["spec.version", "sha256", "sha256"]
    );
    let mut wrong = unfilled.clone();
    wrong["metadata"]["name"] = json!("kubectl_llm");
    wrong["spec"]["shortDescription"] = json!("two\nlines");
    wrong["spec"]["platforms"][0]["selector"]["matchLabels"]["arch"] = json!("m68k");
    let found = violations(&wrong, "llm");
    for what in ["metadata.name", "spec.shortDescription", "arch"] {
        assert!(
            found.iter().any(|it| it.contains(what)),
            "{what}: {found:?}"
        );
    }
}
