//! Processors of their own, for a server and for who asks it.
//!
//! Where both share one, the scheduler lets each run for milliseconds while the other waits, and
//! that is what a latency of well under a millisecond would show.

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// While it lives, the calling thread has the last processor, and a server's threads the others.
/// With one processor, nothing is moved.
pub struct Apart {
    server: i32,
    all: CpuSet,
}

impl Apart {
    /// Moves them.
    pub fn new(server: i32) -> Result<Self> {
        let all = sched_getaffinity(SELF)?;
        let mut rest = all;
        let usable: Vec<usize> = (0..CpuSet::count())
            .filter(|cpu| all.is_set(*cpu).unwrap_or(false))
            .collect();
        if let [_, .., last] = usable[..] {
            let mut mine = CpuSet::new();
            mine.set(last)?;
            rest.unset(last)?;
            sched_setaffinity(SELF, &mine)?;
        }
        let apart = Self { server, all };
        apart.keep_server_to(&rest)?;
        Ok(apart)
    }

    fn keep_server_to(&self, processors: &CpuSet) -> Result<()> {
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.server))? {
            if let Some(id) = thread?.file_name().to_str().and_then(|id| id.parse().ok()) {
                sched_setaffinity(Pid::from_raw(id), processors)?;
            }
        }
        Ok(())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // A server that has ended needs none.
        let _ = self.keep_server_to(&self.all);
        let _ = sched_setaffinity(SELF, &self.all);
    }
}
