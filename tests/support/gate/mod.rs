//! A gate in front of the kube-apiserver and PostgreSQL that numbers every write of a process and
//! kills or pauses the process at one of them: before the write is passed on, or when its answer has
//! come and before that is passed back. Neither side knows of it.

mod apiserver;
mod postgres;

use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

pub use apiserver::ApiserverProxy;
pub use postgres::PostgresProxy;

use super::process::{Process, pause};

/// On which side of a write the process is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// Counts writes, and kills or pauses at the chosen one.
pub struct Gate {
    state: Mutex<State>,
    fatal: Option<(usize, Side)>,
    killed: CancellationToken,
    paused: CancellationToken,
    resumed: CancellationToken,
}

#[derive(Default)]
struct State {
    writes: Vec<String>,
    victim: Option<Pid>,
    pause: Pause,
}

/// Where the process is to be paused.
#[derive(Clone, Copy, Default)]
enum Pause {
    #[default]
    Nowhere,
    /// At the next write that has these words.
    AtNext([&'static str; 2], Side),
    /// When this write was answered.
    After(usize),
}

impl Gate {
    /// A gate that kills at this write, counted from 1; at none where there is no number.
    pub fn new(fatal: Option<(usize, Side)>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            fatal,
            killed: CancellationToken::new(),
            paused: CancellationToken::new(),
            resumed: CancellationToken::new(),
        })
    }

    /// Pauses the process at its next write that has these words, until [`Self::resume`]; once.
    pub fn pause_at(&self, words: [&'static str; 2], side: Side) {
        self.state.lock().unwrap().pause = Pause::AtNext(words, side);
    }

    /// Ends when the process has been paused.
    pub async fn paused(&self) {
        self.paused.cancelled().await;
    }

    /// Lets the paused process, and the write that was held, go on.
    pub fn resume(&self) {
        self.signal(&self.state.lock().unwrap(), Signal::SIGCONT);
        self.resumed.cancel();
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

    /// A write arrives: its number, once it may pass. None: the process is dead, and nothing of it
    /// may pass.
    async fn arrive(&self, what: String) -> Option<usize> {
        let (number, held) = self.note(what)?;
        if held {
            self.resumed.cancelled().await;
        }
        Some(number)
    }

    /// The number of a write, and whether it is held.
    fn note(&self, what: String) -> Option<(usize, bool)> {
        let mut state = self.state.lock().unwrap();
        if self.has_killed() {
            return None;
        }
        let number = state.writes.len() + 1;
        let has = |word: &&str| what.split(' ').any(|other| other == *word);
        let chosen = match state.pause {
            Pause::AtNext(words, side) if words.iter().all(has) => Some(side),
            _ => None,
        };
        state.writes.push(what);
        if self.fatal == Some((number, Side::Before)) {
            self.kill(&state);
            return None;
        }
        match chosen {
            Some(Side::Before) => self.pause(&mut state),
            Some(Side::After) => state.pause = Pause::After(number),
            None => {}
        }
        Some((number, chosen == Some(Side::Before)))
    }

    /// A write was answered; whether the answer may be passed back.
    fn answered(&self, number: usize) -> bool {
        let mut state = self.state.lock().unwrap();
        if self.fatal == Some((number, Side::After)) && !self.has_killed() {
            self.kill(&state);
        }
        if matches!(state.pause, Pause::After(paused) if paused == number) {
            self.pause(&mut state);
        }
        !self.has_killed()
    }

    fn kill(&self, state: &State) {
        self.signal(state, Signal::SIGKILL);
        self.killed.cancel();
    }

    /// The answer that is passed back afterwards waits in the process's socket.
    fn pause(&self, state: &mut State) {
        state.pause = Pause::Nowhere;
        pause(state.victim.expect("a process is watched"));
        self.paused.cancel();
    }

    fn signal(&self, state: &State, signal: Signal) {
        let victim = state.victim.expect("a process is watched");
        kill(victim, signal).unwrap();
    }
}
