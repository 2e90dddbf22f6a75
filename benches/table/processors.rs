//! Processors of their own, for servers and for who asks them.
//!
//! Where a server shares one with the generator, or one thread of it with another, the scheduler
//! lets each run for milliseconds while the other waits, and that is what a latency of well under a
//! millisecond would show.

use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, gettid};

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Starts a server on the first processor alone: its threads are as many as it sees processors.
pub fn on_first<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    let _held = Held::on(|usable| usable.first().copied())?;
    start()
}

/// Generates load on the last processor, which is not the first where there are two.
pub fn on_last<T>(generate: impl FnOnce() -> Result<T>) -> Result<T> {
    let _held = Held::on(|usable| usable.last().copied())?;
    generate()
}

/// Runs this on a processor alone.
pub fn on<T>(cpu: usize, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let _held = Held::on(|_| Some(cpu))?;
    run()
}

/// The processors of [`on_first`] and [`on_last`].
pub fn first_and_last() -> Result<Vec<usize>> {
    let usable = usable(&sched_getaffinity(SELF)?);
    let mut both: Vec<_> = usable.first().into_iter().chain(usable.last()).collect();
    both.dedup();
    Ok(both.into_iter().copied().collect())
}

/// Keeps everything that this program runs off the generator's processor, but for the generator,
/// which is the calling thread.
pub fn leave_last() -> Result<()> {
    let usable = usable(&sched_getaffinity(SELF)?);
    let Some((last, others @ [_, ..])) = usable.split_last() else {
        return Ok(());
    };
    let mut on = CpuSet::new();
    for cpu in others {
        on.set(*cpu)?;
    }
    // A thread hands its processors on to what it starts: until none is found that has the last.
    while leave(*last, &on)? > 0 {}
    Ok(())
}

/// How many threads had this processor among theirs.
fn leave(last: usize, on: &CpuSet) -> Result<usize> {
    let mut found = 0;
    for process in descendants(i32::try_from(std::process::id())?)? {
        for thread in threads(process) {
            match sched_getaffinity(thread) {
                Ok(set) if thread != gettid() && set.is_set(last)? => {
                    found += 1;
                    ended_or(sched_setaffinity(thread, on))?;
                }
                other => ended_or(other.map(|_| ()))?,
            }
        }
    }
    Ok(found)
}

/// A thread that has ended is on no processor.
fn ended_or(result: nix::Result<()>) -> Result<()> {
    match result {
        Err(Errno::ESRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Lets the threads of a process run before all else on its processor, whenever they can. Says
/// whether that was permitted: it is root's to allow.
pub fn precede(process: i32) -> Result<bool> {
    let process = process.to_string();
    permitted("chrt", &["--all-tasks", "--rr", "--pid", "1", &process])
}

/// As [`precede`], for the calling thread, and before any server.
pub fn precede_all() -> Result<bool> {
    permitted("chrt", &["--fifo", "--pid", "2", &gettid().to_string()])
}

/// Lets the calling thread wait for nothing else on its processor, as far as that is permitted. It
/// is not let run before all else as a server is: whoever is nearly always at work must leave a
/// twentieth of its time to others then, in one piece.
pub fn hurry() -> Result<bool> {
    permitted("renice", &["-n", "-20", "-p", &gettid().to_string()])
}

fn permitted(program: &str, arguments: &[&str]) -> Result<bool> {
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {program}; it is in every Linux distribution"))?;
    Ok(status.success())
}

/// A process, and all that it started and they started.
fn descendants(root: i32) -> Result<Vec<i32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(process) = name.to_str().and_then(|name| name.parse().ok())
            && let Some(parent) = parent(process)
        {
            parents.push((process, parent));
        }
    }
    let mut found = HashSet::from([root]);
    loop {
        let before = found.len();
        for (process, parent) in &parents {
            if found.contains(parent) {
                found.insert(*process);
            }
        }
        if found.len() == before {
            return Ok(found.into_iter().collect());
        }
    }
}

fn parent(process: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}

/// None of a process that has ended.
fn threads(process: i32) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let names = tasks.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// Keeps the calling thread, and what it starts, to a processor.
struct Held {
    before: CpuSet,
}

impl Held {
    fn on(which: impl FnOnce(&[usize]) -> Option<usize>) -> Result<Self> {
        let before = sched_getaffinity(SELF)?;
        if let Some(cpu) = which(&usable(&before)) {
            let mut one = CpuSet::new();
            one.set(cpu)?;
            sched_setaffinity(SELF, &one)?;
        }
        Ok(Self { before })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = sched_setaffinity(SELF, &self.before);
    }
}

fn usable(set: &CpuSet) -> Vec<usize> {
    let is_usable = |cpu: &usize| set.is_set(*cpu).unwrap_or(false);
    (0..CpuSet::count()).filter(is_usable).collect()
}
