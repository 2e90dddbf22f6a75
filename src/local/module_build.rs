//! Builds programs, once, from Go modules that are embedded here: the control plane's and the node's.

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

/// A Go module whose programs are built into the user's cache folder.
pub(super) struct GoModule {
    /// The cache's folder.
    pub name: &'static str,
    /// Paths and contents; `go.mod` first.
    pub files: &'static [(&'static str, &'static str)],
    /// Programs, and the package that each is built from.
    pub programs: &'static [(&'static str, &'static str)],
    /// What the first program is called to act as one or the other: a link each.
    pub names: &'static [&'static str],
    /// What is being built, for people.
    pub says: &'static str,
}

pub(super) const CONTROL_PLANE: GoModule = GoModule {
    name: "control-plane",
    files: &[
        ("go.mod", include_str!("control-plane/go.mod")),
        ("go.sum", include_str!("control-plane/go.sum")),
        ("main.go", include_str!("control-plane/main.go")),
    ],
    programs: &[("control-plane", ".")],
    names: &Binaries::NAMES,
    says: "etcd, kube-apiserver, kube-controller-manager and kubectl (once; about 6 minutes on 2 cores)",
};

/// Strips the programs, and tells them the version that `go.mod` pins.
const LINKER_FLAGS: &str = "-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=36";

/// The first Go that fetches a newer one where a module asks for it.
const FIRST_THAT_SWITCHES: (u32, u32) = (1, 21);

const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The folder with a module's programs, built where no earlier build serves.
pub(super) async fn cached_or_built(
    module: &GoModule,
    report: &(dyn Fn(&str) + Sync),
) -> Result<PathBuf> {
    let cache = cache_dir(module).ok_or_else(|| LocalError::NoControlPlane {
        reason: "neither XDG_CACHE_HOME nor HOME says where to build one".to_owned(),
    })?;
    let go_version = match usable_go(module).await {
        Ok(version) => version,
        Err(reason) => {
            return any_build(module, &cache).ok_or_else(|| LocalError::NoControlPlane {
                reason: format!("KUBEBUILDER_ASSETS is not set, none has been built, and {reason}"),
            });
        }
    };
    let target = cache.join(format!("{}-{go_version}", module.hash()));
    if module.is_complete(&target) {
        return Ok(target);
    }
    create_private_dir(&cache).map_err(|error| LocalError::NoControlPlane {
        reason: error.to_string(),
    })?;
    let lock_path = cache.join("lock");
    let _lock = lock_file(&lock_path, report).await?;
    // Another process may have built it while this one waited.
    if !module.is_complete(&target) {
        build_into(module, &cache, &target, report).await?;
    }
    Ok(target)
}

fn cache_dir(module: &GoModule) -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let root = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(root.join("llmplane").join(module.name))
}

impl GoModule {
    fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for (name, content) in self.files {
            digest.update(name);
            digest.update([0]);
            digest.update(content);
            digest.update([0]);
        }
        digest.update(LINKER_FLAGS);
        hex::encode(&digest.finalize()[..8])
    }

    fn is_complete(&self, dir: &Path) -> bool {
        let programs = self.programs.iter().map(|(name, _)| name);
        programs
            .chain(self.names)
            .all(|name| dir.join(name).is_file())
    }

    /// The `go` line of the module.
    fn needed_go(&self) -> &'static str {
        let go_mod = self.files.first().map_or("", |(_, content)| content);
        let line = go_mod.lines().find_map(|line| line.strip_prefix("go "));
        line.unwrap_or_default()
    }
}

/// The version of Go that builds it.
///
/// # Errors
/// Why there is none that can, in a few words.
async fn usable_go(module: &GoModule) -> Result<String, String> {
    let output = Command::new("go")
        .args(["env", "GOVERSION", "GOTOOLCHAIN"])
        // Within some other module Go may take that module's version.
        .current_dir("/")
        .output()
        .await
        .map_err(|_| "there is no `go` on the PATH".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().map(str::trim);
    let version = lines.next().unwrap_or_default().to_owned();
    let toolchain = lines.next().unwrap_or_default();
    if !output.status.success() || version.is_empty() || version.contains('/') {
        return Err("`go env` on the PATH fails".to_owned());
    }
    let needed = module.needed_go();
    match can_build(needed, &version, toolchain) {
        true => Ok(version),
        false => Err(format!(
            "`go` on the PATH is {version}, older than {needed}"
        )),
    }
}

/// Whether this Go is new enough, or fetches one that is.
fn can_build(needed: &str, version: &str, toolchain: &str) -> bool {
    // A version that says nothing, such as a development build's, is left to Go itself.
    let (Some(has), Some(needs)) = (release(version), release(needed)) else {
        return true;
    };
    let switches = has >= FIRST_THAT_SWITCHES
        && (toolchain == "auto" || toolchain == "path" || toolchain.ends_with("+auto"));
    has >= needs || switches
}

/// Major and minor number of `go1.26.8` or `1.26.0`.
fn release(version: &str) -> Option<(u32, u32)> {
    let digits = version.strip_prefix("go").unwrap_or(version);
    let mut numbers = digits.split(|char: char| !char.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Without Go, a build of this module by any version of it serves.
fn any_build(module: &GoModule, cache: &Path) -> Option<PathBuf> {
    let prefix = format!("{}-", module.hash());
    fs::read_dir(cache)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .find(|path| module.is_complete(path))
}

/// Builds in a folder of its own and moves that into place as a whole.
async fn build_into(
    module: &GoModule,
    cache: &Path,
    target: &Path,
    report: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let draft = cache.join("draft");
    // Left by a build that was killed; the lock is held, so nobody uses it.
    let _ = fs::remove_dir_all(&draft);
    let _ = fs::remove_dir_all(target);
    let source = draft.join("module");
    for (name, content) in module.files {
        let path = source.join(name);
        create_private_dir(path.parent().unwrap_or(&source))?;
        fs::write(&path, content).map_err(LocalError::io("write", &path))?;
    }
    report(&format!("building {}", module.says));
    for (name, package) in module.programs {
        go_build(&source, package, &draft.join(name), report).await?;
    }
    for name in module.names {
        let link = draft.join(name);
        let program = module.programs.first().map_or("", |(program, _)| program);
        symlink(program, &link).map_err(LocalError::io("link", &link))?;
    }
    fs::remove_dir_all(&source).map_err(LocalError::io("remove", &source))?;
    fs::rename(&draft, target).map_err(LocalError::io("move", target))
}

/// Ends the compiler's whole process group when the build is given up.
struct GroupGuard(Pid);

impl Drop for GroupGuard {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGTERM);
    }
}

/// Nobody waits for a build whose caller was killed.
fn end_with_caller(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec one async-signal-safe system call is made, prctl.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

async fn go_build(
    module: &Path,
    package: &str,
    output: &Path,
    report: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let failed = |reason: String, output: String| LocalError::Build { reason, output };
    let mut command = Command::new("go");
    end_with_caller(&mut command);
    let mut child = command
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
        .arg(package)
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
        let go_mod = CONTROL_PLANE.files[0].1;
        assert!(go_mod.contains("k8s.io/kubernetes v1.36.3"));
        assert!(LINKER_FLAGS.contains("gitVersion=v1.36.3"));
    }

    #[test]
    fn a_go_that_is_too_old_and_fetches_none_is_told_from_one_that_can() {
        for (version, toolchain, can) in [
            ("go1.26.8", "local", true),
            ("go1.27rc1", "local", true),
            ("go1.22.1", "auto", true),
            ("go1.22.1", "go1.22.1+auto", true),
            ("go1.22.1", "local", false),
            ("go1.19.8", "", false),
            ("devel", "", true),
        ] {
            let needed = CONTROL_PLANE.needed_go();
            assert_eq!(
                can_build(needed, version, toolchain),
                can,
                "{version} {toolchain}"
            );
        }
    }

    #[tokio::test]
    async fn what_the_compiler_says_is_told_from_its_progress() {
        let output = b"go: downloading k8s.io/api v0.36.3\nk8s.io/api/core/v1\nmain.go:3:8: no such package\n";
        let messages = follow(&output[..], &|_| {}).await;
        assert_eq!(messages, ["main.go:3:8: no such package"]);
    }
}
