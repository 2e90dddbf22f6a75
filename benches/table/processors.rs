//! Processors of their own, for servers and for who asks them.
//!
//! Where a server shares one with the generator, or one thread of it with another, the scheduler
//! lets each run for milliseconds while the other waits, and that is what a latency of well under a
//! millisecond would show.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, gettid};

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Starts a server on the first processor alone: its threads are as many as it sees processors.
pub fn on_first<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    let _held = Held::on(|usable| usable.first().copied())?;
    start()
}

/// Everything that this program started, kept to the first processor until this is dropped.
pub struct StartedOnFirst {
    before: CpuSet,
    processes: Vec<Pid>,
}

impl StartedOnFirst {
    /// Those processes with all their threads, and what they start from now on.
    pub fn keep() -> Result<Self> {
        let before = sched_getaffinity(SELF)?;
        let kept = Self {
            before,
            processes: descendants()?,
        };
        if let Some(cpu) = usable(&before).first() {
            let mut one = CpuSet::new();
            one.set(*cpu)?;
            place(&kept.processes, &one);
        }
        Ok(kept)
    }
}

impl Drop for StartedOnFirst {
    fn drop(&mut self) {
        place(&self.processes, &self.before);
    }
}

/// The processes that this one started, and those that they did.
fn descendants() -> Result<Vec<Pid>> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        // One that ends meanwhile cannot be read, and needs no place.
        let stat = std::fs::read(entry.path().join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        // PID (NAME) STATE PARENT ...; the name may hold anything.
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1));
        let id = entry.file_name();
        if let (Some(Ok(id)), Some(Ok(parent))) =
            (id.to_str().map(str::parse), parent.map(str::parse))
        {
            parents.push((Pid::from_raw(id), Pid::from_raw(parent)));
        }
    }
    let mut found = vec![Pid::this()];
    let mut looked_at = 0;
    while let Some(parent) = found.get(looked_at).copied() {
        looked_at += 1;
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(id, _)| id),
        );
    }
    Ok(found.split_off(1))
}

/// Moves all threads of these processes.
fn place(processes: &[Pid], set: &CpuSet) {
    for process in processes {
        let threads = std::fs::read_dir(format!("/proc/{process}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            if let Some(Ok(id)) = thread.file_name().to_str().map(str::parse) {
                let _ = sched_setaffinity(Pid::from_raw(id), set);
            }
        }
    }
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

/// Lets the threads of a process run before all else on its processor, whenever they can. Says
/// whether that was permitted: it is root's to allow.
pub fn precede(process: i32) -> Result<bool> {
    let process = process.to_string();
    permitted("chrt", &["--all-tasks", "--rr", "--pid", "1", &process])
}

/// As [`precede`], for the calling thread.
pub fn precede_others() -> Result<bool> {
    permitted("chrt", &["--rr", "--pid", "1", &gettid().to_string()])
}

/// Lets the calling thread run before whatever precedes all else.
pub fn precede_all() -> Result<bool> {
    permitted("chrt", &["--fifo", "--pid", "2", &gettid().to_string()])
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
