//! Running a command within a node, where its addresses, mounts and images are.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::local::error::{LocalError, Result};
use crate::local::process;
use crate::local::state::{Component, StateDir};

use super::settings::BIN;
use super::{PATH, requirements};

/// Replaces this process by a command within the node of a plane, so that signals, terminal and exit code are
/// the command's own. `ctr` finds the pods' images without being told where they are.
///
/// # Errors
/// [`LocalError::NodeStopped`] where none runs.
pub(crate) fn become_command(dir: &StateDir, args: &[OsString]) -> Result<()> {
    let supervisor = process::running(dir, Component::Node)?.ok_or(LocalError::NodeStopped)?;
    // Its only child is the one that made the namespaces.
    let holder = process::children(supervisor.pid).first().copied();
    let holder = holder.ok_or(LocalError::NodeStopped)?;
    let folder = std::env::current_dir().map_err(LocalError::io("find", "the working folder"))?;
    let mut chdir = OsString::from("--chdir=");
    // What the node hides, or has not got, is left for its root.
    let is_visible = !requirements::is_hidden(&folder) && fs::metadata(&folder).is_ok();
    chdir.push(if is_visible {
        folder.as_os_str()
    } else {
        "/".as_ref()
    });
    let error = Command::new("nsenter")
        .args(["--target", &holder.to_string(), "--mount", "--net"])
        .arg(format!("--pid=/proc/{holder}/ns/pid_for_children"))
        .args(["--", "env"])
        .arg(chdir)
        .args(args)
        .env("PATH", format!("{BIN}:{PATH}"))
        .env("CONTAINERD_NAMESPACE", "k8s.io")
        .env(
            "CONTAINERD_SNAPSHOTTER",
            requirements::snapshotter(dir.path()),
        )
        .exec();
    Err(LocalError::io("run", "nsenter")(error))
}
