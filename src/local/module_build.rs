//! Builds the control plane's programs, once, from the Go module that is embedded here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::binaries::Binaries;
use super::error::{LocalError, Result};
use super::state::{create_private_dir, lock_file};

const MODULE: [(&str, &str); 3] = [
    ("go.mod", include_str!("control-plane/go.mod")),
    ("go.sum", include_str!("control-plane/go.sum")),
    ("main.go", include_str!("control-plane/main.go")),
];

/// Strips the programs, and tells them the version that `go.mod` pins.
const LINKER_FLAGS: &str = "-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=36";

const PROGRAM: &str = "control-plane";
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The folder with the programs, built where no earlier build serves.
pub(super) async fn cached_or_built(report: &(dyn Fn(&str) + Sync)) -> Result<PathBuf> {
    let cache = cache_dir().ok_or_else(|| LocalError::NoControlPlane {
        reason: "neither XDG_CACHE_HOME nor HOME says where to build one".to_owned(),
    })?;
    let Some(go_version) = go_version().await else {
        return any_build(&cache).ok_or_else(|| LocalError::NoControlPlane {
            reason: "KUBEBUILDER_ASSETS is not set, none has been built, and there is no `go` on the PATH"
                .to_owned(),
        });
    };
    let target = cache.join(format!("{}-{go_version}", module_hash()));
    if is_complete(&target) {
        return Ok(target);
    }
    create_private_dir(&cache)?;
    let lock_path = cache.join("lock");
    let _lock = lock_file(&lock_path).await?;
    // Another process may have built it while this one waited.
    if !is_complete(&target) {
        build_into(&cache, &target, report).await?;
    }
    Ok(target)
}

fn cache_dir() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let root = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(root.join("llmplane").join("control-plane"))
}

fn module_hash() -> String {
    let mut digest = Sha256::new();
    for (name, content) in MODULE {
        digest.update(name);
        digest.update([0]);
        digest.update(content);
        digest.update([0]);
    }
    digest.update(LINKER_FLAGS);
    hex::encode(&digest.finalize()[..8])
}

/// The version of Go that would build it; none where there is no Go that can.
async fn go_version() -> Option<String> {
    let output = Command::new("go")
        .args(["env", "GOVERSION"])
        .output()
        .await
        .ok()?;
    let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !version.is_empty() && !version.contains('/')).then_some(version)
}

/// Without Go, a build of this module by any version of it serves.
fn any_build(cache: &Path) -> Option<PathBuf> {
    let prefix = format!("{}-", module_hash());
    fs::read_dir(cache)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .find(|path| is_complete(path))
}

fn is_complete(dir: &Path) -> bool {
    Binaries::NAMES.iter().all(|name| dir.join(name).is_file())
}

/// Builds in a folder of its own and moves that into place as a whole.
async fn build_into(cache: &Path, target: &Path, report: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let draft = cache.join("draft");
    // Left by a build that was killed; the lock is held, so nobody uses it.
    let _ = fs::remove_dir_all(&draft);
    let _ = fs::remove_dir_all(target);
    let module = draft.join("module");
    create_private_dir(&module)?;
    for (name, content) in MODULE {
        let path = module.join(name);
        fs::write(&path, content).map_err(LocalError::io("write", &path))?;
    }
    report(
        "building etcd, kube-apiserver, kube-controller-manager and kubectl (once; about 6 minutes on 2 cores)",
    );
    go_build(&module, &draft.join(PROGRAM), report).await?;
    for name in Binaries::NAMES {
        let link = draft.join(name);
        symlink(PROGRAM, &link).map_err(LocalError::io("link", &link))?;
    }
    fs::remove_dir_all(&module).map_err(LocalError::io("remove", &module))?;
    fs::rename(&draft, target).map_err(LocalError::io("move", target))
}

/// Ends the compiler's whole process group when the build is given up.
struct GroupGuard(Pid);

impl Drop for GroupGuard {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGTERM);
    }
}

async fn go_build(module: &Path, output: &Path, report: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let failed = |reason: String, output: String| LocalError::Build { reason, output };
    let mut child = Command::new("go")
        .args([
            "build",
            "-v",
            "-trimpath",
            "-buildvcs=false",
            "-mod=readonly",
            "-ldflags",
            LINKER_FLAGS,
            "-o",
        ])
        .arg(output)
        .arg(".")
        .current_dir(module)
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(error.to_string(), String::new()))?;
    let guard = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(|id| GroupGuard(Pid::from_raw(id)));

    let mut messages = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        messages = follow(stderr, report).await;
    }
    let status = child
        .wait()
        .await
        .map_err(|error| failed(error.to_string(), String::new()))?;
    std::mem::forget(guard);
    if status.success() {
        return Ok(());
    }
    Err(failed(format!("`go build`: {status}"), messages.join("\n")))
}

/// Reports progress from what `go build -v` prints; returns the lines that are messages.
async fn follow(
    stderr: impl tokio::io::AsyncRead + Unpin,
    report: &(dyn Fn(&str) + Sync),
) -> Vec<String> {
    let start = Instant::now();
    let mut last_report = start;
    let (mut compiled, mut downloaded) = (0_u32, 0_u32);
    let mut messages = Vec::new();
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("go: downloading ") {
            downloaded += 1;
        } else if line.contains(' ') {
            messages.push(line);
        } else {
            compiled += 1;
        }
        if last_report.elapsed() >= REPORT_EVERY {
            last_report = Instant::now();
            let seconds = start.elapsed().as_secs();
            report(&format!(
                "  {seconds} s: {downloaded} modules fetched, {compiled} packages compiled"
            ));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_version_is_the_one_that_go_mod_pins() {
        let go_mod = MODULE[0].1;
        assert!(go_mod.contains("k8s.io/kubernetes v1.36.3"));
        assert!(LINKER_FLAGS.contains("gitVersion=v1.36.3"));
    }

    #[tokio::test]
    async fn what_the_compiler_says_is_told_from_its_progress() {
        let output = b"go: downloading k8s.io/api v0.36.3\nk8s.io/api/core/v1\nmain.go:3:8: no such package\n";
        let messages = follow(&output[..], &|_| {}).await;
        assert_eq!(messages, ["main.go:3:8: no such package"]);
    }
}
