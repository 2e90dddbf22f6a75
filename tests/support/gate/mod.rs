//! A gate in front of the kube-apiserver and PostgreSQL that numbers every write of a process and
//! kills the process at one of them: before the write is passed on, or when its answer has come and
//! before that is passed back. Neither side knows of it.

mod apiserver;
mod postgres;

use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

pub use apiserver::ApiserverProxy;
pub use postgres::PostgresProxy;

use super::process::Process;

/// On which side of a write the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// Counts writes, and kills at the chosen one.
pub struct Gate {
    state: Mutex<State>,
    fatal: Option<(usize, Side)>,
    killed: CancellationToken,
}

#[derive(Default)]
struct State {
    writes: Vec<String>,
    victim: Option<Pid>,
}

impl Gate {
    /// A gate that kills at this write, counted from 1; at none where there is no number.
    pub fn new(fatal: Option<(usize, Side)>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            fatal,
            killed: CancellationToken::new(),
        })
    }

    /// Starts the process that is watched. No write passes before it is known whom to kill.
    pub fn watch(&self, start: impl FnOnce() -> Process) -> Process {
        let mut state = self.state.lock().unwrap();
        let process = start();
        state.victim = Some(process.pid());
        process
    }

    /// Ends when the process has been killed.
    pub async fn killed(&self) {
        self.killed.cancelled().await;
    }

    pub fn has_killed(&self) -> bool {
        self.killed.is_cancelled()
    }

    /// What was written, in the order of arrival.
    pub fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }

    /// A write arrives: its number. None: the process is dead, and nothing of it may pass.
    fn arrive(&self, what: String) -> Option<usize> {
        let mut state = self.state.lock().unwrap();
        if self.has_killed() {
            return None;
        }
        state.writes.push(what);
        let number = state.writes.len();
        if self.fatal == Some((number, Side::Before)) {
            self.kill(&state);
            return None;
        }
        Some(number)
    }

    /// A write was answered; whether the answer may be passed back.
    fn answered(&self, number: usize) -> bool {
        let state = self.state.lock().unwrap();
        if self.fatal == Some((number, Side::After)) && !self.has_killed() {
            self.kill(&state);
        }
        !self.has_killed()
    }

    fn kill(&self, state: &State) {
        let victim = state.victim.expect("a process is watched");
        kill(victim, Signal::SIGKILL).unwrap();
        self.killed.cancel();
    }
}
