//! Processes that nobody has recorded: what a command had started when it was killed itself.

use std::fs;
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::Signal;

use super::{
    KILL_GRACE, PLANE, POLL, ProcessRecord, TERM_GRACE, boot_id, real_path, running, start_time,
};
use crate::local::error::{LocalError, Result};
use crate::local::state::{Component, StateDir};

/// Stops what belongs to this plane and is no recorded component, nor a process that one started:
/// what a command had started when it was killed itself. Only Linux tells of such processes.
pub(in crate::local) async fn stop_leftovers(dir: &StateDir) -> Result<()> {
    let recorded: Vec<i32> = Component::ALL
        .into_iter()
        .filter_map(|component| running(dir, component).ok().flatten())
        .map(|record| record.pid)
        .collect();
    let found = leftovers(&marked(dir), &recorded);
    // SIGINT is the orderly end of each program that this module starts.
    for (signal, grace) in [(Signal::SIGINT, TERM_GRACE), (Signal::SIGKILL, KILL_GRACE)] {
        for process in &found {
            let _ = process.signal(signal);
            let _ = process.signal(Signal::SIGCONT);
        }
        let deadline = Instant::now() + grace;
        while found.iter().any(ProcessRecord::is_alive) && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }
    match found.iter().find(|process| process.is_alive()) {
        Some(process) => Err(LocalError::LeftOver(process.pid)),
        None => Ok(()),
    }
}

/// A process that carries a plane's mark, and its parent's id.
struct Marked {
    process: ProcessRecord,
    parent: i32,
}

/// Those that are neither recorded nor descend from one that is.
fn leftovers(marked: &[Marked], recorded: &[i32]) -> Vec<ProcessRecord> {
    let parent_of = |pid| {
        let found = marked.iter().find(|it| it.process.pid == pid);
        found.map(|it| it.parent)
    };
    let is_known = |pid| {
        std::iter::successors(Some(pid), |&pid| parent_of(pid))
            .take(marked.len() + 1)
            .any(|pid| recorded.contains(&pid))
    };
    marked
        .iter()
        .map(|it| &it.process)
        .filter(|process| !is_known(process.pid))
        .cloned()
        .collect()
}

/// Every process but this one that carries the plane's mark.
fn marked(dir: &StateDir) -> Vec<Marked> {
    let mut mark = std::ffi::OsString::from(format!("{PLANE}="));
    mark.push(real_path(dir));
    let mark = mark.as_encoded_bytes();
    let own = std::process::id().cast_signed();
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid != own)
        .filter_map(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            if !environment.split(|&byte| byte == 0).any(|it| it == mark) {
                return None;
            }
            let process = ProcessRecord {
                pid,
                start_time: start_time(pid)?,
                boot_id: boot_id(),
                fingerprint: String::new(),
            };
            let parent = parent(pid)?;
            Some(Marked { process, parent })
        })
        .collect()
}

/// Processes that this one started; only Linux tells.
pub(in crate::local) fn children(of: i32) -> Vec<i32> {
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| parent(pid) == Some(of))
        .collect()
}

/// A process's parent, by `/proc`.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether any process has this folder as its working folder; only Linux can tell.
pub(in crate::local) fn any_works_in(folder: &Path) -> bool {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recorded_process_started_is_not_left_over() {
        let marked = |pid, parent| Marked {
            process: ProcessRecord {
                pid,
                start_time: 1,
                boot_id: String::new(),
                fingerprint: String::new(),
            },
            parent,
        };
        let all = [marked(10, 1), marked(11, 10), marked(20, 1), marked(21, 20)];
        let left: Vec<i32> = leftovers(&all, &[10]).iter().map(|it| it.pid).collect();
        assert_eq!(left, [20, 21]);
    }
}
