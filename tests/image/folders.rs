//! `packaging/cargo`: a release build is the same in whatever folders it is made.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{ROOT, succeeded};

const MANIFEST: &str = r#"[package]
name = "program"
version = "0.1.0"
edition = "2024"
build = "build.rs"

[dependencies]
dependency = "1"

[profile.release]
lto = "thin"
"#;

/// Generated code, as the pages of the API's description are.
const BUILD: &str = r#"fn main() {
    let code = "pub fn tenth(n: &[usize]) -> usize { n[9] }";
    std::fs::write(format!("{}/generated.rs", std::env::var("OUT_DIR").unwrap()), code).unwrap();
}
"#;

/// Panics name the file of each of the three.
const MAIN: &str = r#"mod generated { include!(concat!(env!("OUT_DIR"), "/generated.rs")); }
fn main() {
    let n: Vec<usize> = std::env::args().map(|it| it.len()).collect();
    println!("{} {} {}", n[3], generated::tenth(&n), dependency::twentieth(&n));
}
"#;

const LOCK: &str = r#"version = 4

[[package]]
name = "dependency"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"

[[package]]
name = "program"
version = "0.1.0"
dependencies = [
 "dependency",
]
"#;

/// A program with generated code and a crate of the registry, which lies in a folder of its own.
fn program(folder: &Path, crates: &Path, main: &str) -> PathBuf {
    let write = |path: PathBuf, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(folder.join("Cargo.toml"), MANIFEST);
    write(folder.join("Cargo.lock"), LOCK);
    write(folder.join("build.rs"), BUILD);
    write(folder.join("src/main.rs"), main);
    let source = format!(
        "[source.crates-io]\nreplace-with = \"here\"\n[source.here]\ndirectory = {crates:?}\n"
    );
    write(folder.join(".cargo/config.toml"), &source);
    let dependency = crates.join("dependency-1.0.0");
    let manifest = "[package]\nname = \"dependency\"\nversion = \"1.0.0\"\nedition = \"2024\"\n";
    write(dependency.join("Cargo.toml"), manifest);
    let code = "pub fn twentieth<T: Copy>(n: &[T]) -> T { n[19] }\n";
    write(dependency.join("src/lib.rs"), code);
    let checksums = format!(r#"{{"files":{{}},"package":"{}"}}"#, "0".repeat(64));
    write(dependency.join(".cargo-checksum.json"), &checksums);
    folder.join("target/release/program")
}

fn build(folder: &Path) -> Output {
    let mut command = Command::new(format!("{ROOT}/packaging/cargo"));
    command
        .args(["build", "--release", "--locked", "--offline", "--quiet"])
        .current_dir(folder);
    // What `make test` and cargo itself set for llmplane.
    for (name, _) in std::env::vars_os() {
        let name = name.into_string().unwrap_or_default();
        if name.starts_with("CARGO_") && name != "CARGO_HOME" {
            command.env_remove(name);
        }
    }
    command.output().unwrap()
}

#[test]
fn a_release_build_tells_nothing_of_the_folders_that_it_was_made_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let built = |program: PathBuf, folder: &Path| {
        succeeded(&build(folder));
        std::fs::read(program).unwrap()
    };
    let first = built(program(&path("a"), &path("crates"), MAIN), &path("a"));
    let other = path("another folder/checkout");
    let second = built(program(&other, &path("home/crates"), MAIN), &other);
    assert!(first == second, "another folder gave other bytes");
    let holds = |text: &str| first.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(holds("/crates/dependency-1.0.0/src/lib.rs"));
    assert!(holds("/generated.rs"));
    // What the linker makes up of the folders differs in large programs alone.
    assert!(!holds(".note.gnu.build-id"));
}

/// What no mapping reaches is a literal, such as `env!("CARGO_MANIFEST_DIR")`.
#[test]
fn a_program_that_holds_a_folder_of_the_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let main = MAIN.replace(
        "println!(",
        "println!(env!(\"CARGO_MANIFEST_DIR\")); println!(",
    );
    program(folder.path(), &folder.path().join("crates"), &main);
    let refused = build(folder.path());
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("holds the path of a folder"), "{said}");
}
