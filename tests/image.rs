//! `packaging/image`: an image of this binary that holds what the binary needs and nothing else, the same
//! each time.

mod dockerfile;
mod folders;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::unistd::geteuid;
use serde_json::Value;
use sha2::{Digest, Sha256};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const SBOM: &str = "application/vnd.cyclonedx+json";

/// A made image.
struct Image(PathBuf);

impl Image {
    /// Made of this binary, in another time and place than others.
    fn make(binary: &Path, output: PathBuf, zone: &str) -> Self {
        let made = Command::new(format!("{ROOT}/packaging/image"))
            .args([binary, &output])
            .current_dir("/")
            .env("TZ", zone)
            .output()
            .unwrap();
        succeeded(&made);
        Self(output)
    }

    fn blob(&self, digest: &str) -> Vec<u8> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let bytes = std::fs::read(self.0.join("layout/blobs/sha256").join(hex)).unwrap();
        assert_eq!(hex::encode(Sha256::digest(&bytes)), hex);
        bytes
    }

    fn json(&self, descriptor: &Value) -> Value {
        let bytes = self.blob(descriptor["digest"].as_str().unwrap());
        assert_eq!(descriptor["size"], bytes.len());
        serde_json::from_slice(&bytes).unwrap()
    }

    fn file(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.join(name)).unwrap()).unwrap()
    }

    /// Descriptors of the image and of its SBOM.
    fn manifests(&self) -> [Value; 2] {
        let index = self.file("layout/index.json");
        let manifests = index["manifests"].as_array().unwrap().clone();
        manifests.try_into().unwrap()
    }

    /// Its file system, unpacked.
    fn unpack(&self, folder: &Path) {
        let [image, _] = self.manifests();
        let layer = &self.json(&image)["layers"][0];
        let digest = layer["digest"].as_str().unwrap().replace(':', "/");
        untar(&self.0.join("layout/blobs").join(digest), folder);
    }
}

fn untar(archive: &Path, folder: &Path) {
    let tar = Command::new("tar")
        .args(["--extract", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(folder)
        .output();
    succeeded(&tar.unwrap());
}

fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_llmplane"))
}

#[test]
fn the_same_binary_makes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    // Another name, time and mode.
    let copy = folder.path().join("copy");
    std::fs::write(&copy, std::fs::read(binary()).unwrap()).unwrap();
    let mode = Command::new("chmod")
        .arg("700")
        .arg(&copy)
        .status()
        .unwrap();
    assert!(mode.success());
    let first = Image::make(binary(), folder.path().join("a"), "UTC");
    let second = Image::make(&copy, folder.path().join("b/c"), "Asia/Tokyo");
    for file in ["llmplane.tar", "sbom.cdx.json", "provenance.json", "digest"] {
        let bytes = |image: &Image| std::fs::read(image.0.join(file)).unwrap();
        assert!(bytes(&first) == bytes(&second), "{file} differs");
    }
    it_is_an_image_with_its_sbom(&first);
    the_archive_holds_the_image_alone(&first);
    the_binary_runs_in_it(&first);
    the_provenance_is_of_this_image(&first);
    it_trusts_the_authorities_of_the_package_alone(&first);
}

fn it_is_an_image_with_its_sbom(image: &Image) {
    let [descriptor, referrer] = image.manifests();
    assert_eq!(descriptor["mediaType"], IMAGE);
    let manifest = image.json(&descriptor);
    let config = image.json(&manifest["config"]);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][0], "/usr/bin/llmplane");
    let labels = &config["config"]["Labels"];
    for (label, value) in [
        ("version", env!("CARGO_PKG_VERSION")),
        ("source", env!("CARGO_PKG_REPOSITORY")),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
    ] {
        assert_eq!(labels[format!("org.opencontainers.image.{label}")], value);
    }
    let sbom = image.json(&referrer);
    assert_eq!(sbom["artifactType"], SBOM);
    assert_eq!(sbom["subject"]["digest"], descriptor["digest"]);
    assert_eq!(image.json(&sbom["layers"][0]), image.file("sbom.cdx.json"));
}

/// Some clients load no archive with two manifests.
fn the_archive_holds_the_image_alone(image: &Image) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("layout");
    std::fs::create_dir(&archive).unwrap();
    untar(&image.0.join("llmplane.tar"), &archive);
    let archive = Image(folder.path().to_owned());
    let index = archive.file("layout/index.json");
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1);
    assert_eq!(manifests[0]["digest"], image.manifests()[0]["digest"]);
    let manifest = archive.json(&manifests[0]);
    let config = archive.json(&manifest["config"]);
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
    assert!(!archive.blob(layer).is_empty());
}

/// Without a shell, as a user who may write nowhere.
fn the_binary_runs_in_it(image: &Image) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    image.unpack(root);
    let mut files = BTreeSet::new();
    list(root, root, &mut files);
    let libraries: Vec<String> = files
        .iter()
        .filter(|file| file.contains(".so"))
        .cloned()
        .collect();
    assert!(!libraries.is_empty());
    for file in libraries {
        files.remove(&file);
    }
    let rest: Vec<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(
        rest,
        [
            "etc/group",
            "etc/nsswitch.conf",
            "etc/passwd",
            "etc/ssl/certs/ca-certificates.crt",
            "usr/bin/llmplane"
        ]
    );

    // The kubelet mounts it.
    std::fs::write(root.join("etc/hosts"), "127.0.0.1 vendor.example\n").unwrap();
    let run = |args: &[&str]| {
        let mut command = match geteuid().is_root() {
            true => Command::new("chroot"),
            false => Command::new("unshare"),
        };
        match geteuid().is_root() {
            true => command.arg("--userspec=65532:65532"),
            false => command.args(["--map-root-user", "chroot"]),
        };
        command
            .arg(root)
            .arg("/usr/bin/llmplane")
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap()
    };
    let traversable = Command::new("chmod").arg("755").arg(root).status();
    assert!(traversable.unwrap().success());
    let version = run(&["--version"]);
    succeeded(&version);
    let said = String::from_utf8(version.stdout).unwrap();
    assert_eq!(said.trim(), concat!("llmplane ", env!("CARGO_PKG_VERSION")));
    // Names are resolved and the system's certificates are read.
    let asked = run(&["healthcheck", "https://vendor.example:1/x"]);
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("Connection refused"), "{said}");
}

/// Not those that somebody added on the machine that builds, such as a proxy's.
fn it_trusts_the_authorities_of_the_package_alone(image: &Image) {
    let folder = tempfile::tempdir().unwrap();
    image.unpack(folder.path());
    let bundle = folder.path().join("etc/ssl/certs/ca-certificates.crt");
    let bundle = std::fs::read_to_string(bundle).unwrap();
    let listed = Command::new("dpkg")
        .args(["-L", "ca-certificates"])
        .output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    // Beside an example of its documentation.
    let of_an_authority =
        |it: &&str| it.starts_with("/usr/share/ca-certificates/") && it.ends_with(".crt");
    let mut files: Vec<&str> = listed.lines().filter(of_an_authority).collect();
    files.sort_unstable();
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let of_the_package = certificates(&texts.collect::<String>());
    assert!(of_the_package.len() > 100);
    assert!(
        certificates(&bundle) == of_the_package,
        "the image trusts others than the package ca-certificates"
    );
}

/// Those of a PEM text, each as its lines are.
fn certificates(text: &str) -> Vec<String> {
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = blocks.map(|it| it.split("-----END CERTIFICATE-----").next().unwrap());
    bodies.map(|it| it.split_whitespace().collect()).collect()
}

fn list(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => list(root, &path, files),
            false => {
                let path = path.strip_prefix(root).unwrap();
                files.insert(path.to_str().unwrap().to_owned());
            }
        }
    }
}

fn the_provenance_is_of_this_image(image: &Image) {
    let statement = image.file("provenance.json");
    let digest = std::fs::read_to_string(image.0.join("digest")).unwrap();
    let [descriptor, _] = image.manifests();
    assert_eq!(descriptor["digest"], digest.trim());
    let subject = statement["subject"][0]["digest"]["sha256"]
        .as_str()
        .unwrap();
    assert_eq!(digest.trim(), format!("sha256:{subject}"));
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
}

/// Checksums of `Cargo.lock`, by package URL.
fn locked() -> BTreeMap<String, String> {
    let lock = std::fs::read_to_string(format!("{ROOT}/Cargo.lock")).unwrap();
    let value = |package: &str, key: &str| {
        let line = package
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]\n").skip(1).filter_map(|package| {
        let (name, version) = (value(package, "name")?, value(package, "version")?);
        Some((
            format!("pkg:cargo/{name}@{version}"),
            value(package, "checksum")?,
        ))
    });
    packages.collect()
}

#[test]
fn the_sbom_lists_what_is_linked_with_the_checksums_of_the_lock_file() {
    let made = Command::new(format!("{ROOT}/packaging/sbom"))
        .output()
        .unwrap();
    succeeded(&made);
    let sbom: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(
        (&sbom["bomFormat"], &sbom["specVersion"]),
        (&"CycloneDX".into(), &"1.6".into())
    );
    let locked = locked();
    let (mut listed, mut references) = (BTreeSet::new(), BTreeSet::new());
    for component in sbom["components"].as_array().unwrap() {
        let url = component["purl"].as_str().unwrap();
        let checksum = component["hashes"][0]["content"].as_str();
        assert_eq!(locked.get(url).map(String::as_str), checksum, "{url}");
        assert!(references.insert(url.to_owned()), "{url} is there twice");
        listed.insert(component["name"].as_str().unwrap());
    }
    for linked in [
        "aes-gcm",
        "axum",
        "kube",
        "ring",
        "rustls",
        "sqlx-postgres",
        "tokio",
    ] {
        assert!(listed.contains(linked), "{linked} is missing");
    }
    // A test's, a build script's, a macro's.
    for other in ["insta", "proptest", "cc", "serde_derive"] {
        assert!(!listed.contains(other), "{other} is not in the binary");
    }
    references.insert(
        sbom["metadata"]["component"]["bom-ref"]
            .as_str()
            .unwrap()
            .to_owned(),
    );
    for dependency in sbom["dependencies"].as_array().unwrap() {
        let on = dependency["dependsOn"].as_array().unwrap();
        for reference in on.iter().chain([&dependency["ref"]]) {
            let reference = reference.as_str().unwrap();
            assert!(
                references.contains(reference),
                "{reference} is no component"
            );
        }
    }
}
