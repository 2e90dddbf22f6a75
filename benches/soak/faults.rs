//! Faults, one after the other, and how long each is felt: from its beginning until every part is ready, and both
//! replicas show a change that was made afterwards and give a key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use llmplane::local::state::Component;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::answers::{self, Reader};
use crate::changes::Changes;
use crate::parts::Parts;

/// How long a fault may be felt: a controller that was killed is followed within 20 s, and its Lease is only taken
/// once the part that failed is back.
pub const BAR: Duration = Duration::from_secs(60);
/// How long the kube-apiserver stays away.
const APISERVER_AWAY: Duration = Duration::from_secs(10);
/// How long a fault is waited for to be over before the run is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(240);

/// What fails.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::VariantArray,
)]
enum Fault {
    #[strum(to_string = "kill -9 of the leading controller")]
    Leader,
    #[strum(to_string = "kill -9 of an API replica")]
    FirstApi,
    #[strum(to_string = "PostgreSQL killed and started again")]
    Postgres,
    #[strum(to_string = "kill -9 of the waiting controller")]
    Standby,
    #[strum(to_string = "kube-apiserver away for 10 s")]
    Apiserver,
    #[strum(to_string = "kill -9 of the other API replica")]
    SecondApi,
    #[strum(to_string = "etcd killed and started again")]
    Etcd,
    #[strum(to_string = "kube-controller-manager killed and started again")]
    ControllerManager,
}

/// What has failed so far.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_felt: bool,
    /// When the last one was over.
    over: Option<Instant>,
    felt: BTreeMap<Fault, Vec<Duration>>,
}

impl Faults {
    /// Since when nothing fails; none while something does.
    pub fn quiet_since(&self) -> Option<Option<Instant>> {
        let state = self.state.lock();
        (!state.is_felt).then_some(state.over)
    }

    /// Each fault, how many times it struck, and how long it was felt at the longest.
    pub fn longest(&self) -> Vec<(String, usize, Duration)> {
        let state = self.state.lock();
        let felt = state.felt.iter().map(|(fault, felt)| {
            let longest = felt.iter().max().copied().unwrap_or_default();
            (fault.to_string(), felt.len(), longest)
        });
        felt.collect()
    }
}

/// Strikes until it is told to stop.
pub async fn strike(
    faults: Arc<Faults>,
    parts: Arc<Parts>,
    changes: Arc<Changes>,
    reader: Arc<Reader>,
    every: Duration,
    stop: CancellationToken,
) -> Result<()> {
    use strum::VariantArray;
    for fault in Fault::VARIANTS.iter().cycle() {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
        eprintln!("{fault}");
        let begun = Instant::now();
        faults.state.lock().is_felt = true;
        fault.strike(&parts).await?;
        let deadline = begun + GIVEN_UP_AFTER;
        parts.ready(deadline).await?;
        answers::show_a_change(&parts, &changes, deadline).await?;
        answers::give_a_key(&reader, &parts, &changes, deadline).await?;
        let felt = begun.elapsed();
        eprintln!("  over after {felt:.1?}");
        let mut state = faults.state.lock();
        (state.is_felt, state.over) = (false, Some(Instant::now()));
        state.felt.entry(*fault).or_default().push(felt);
    }
    Ok(())
}

impl Fault {
    async fn strike(self, parts: &Parts) -> Result<()> {
        match self {
            Self::Leader => {
                let leader = parts.leader().await?;
                parts.kill(leader).await
            }
            Self::Standby => {
                let leader = parts.leader().await?;
                parts.kill(1 - leader).await
            }
            Self::FirstApi => parts.kill(2).await,
            Self::SecondApi => parts.kill(3).await,
            Self::Postgres => {
                parts.kill_component(Component::Postgres)?;
                parts.heal().await
            }
            Self::Apiserver => {
                parts.kill_component(Component::ApiServer)?;
                tokio::time::sleep(APISERVER_AWAY).await;
                parts.heal().await
            }
            Self::Etcd => {
                parts.kill_component(Component::Etcd)?;
                parts.heal().await
            }
            Self::ControllerManager => {
                parts.kill_component(Component::ControllerManager)?;
                parts.heal().await
            }
        }
    }
}
