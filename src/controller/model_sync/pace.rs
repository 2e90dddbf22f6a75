//! How fast model sync writes.

use std::{num::NonZeroU32, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Interval, MissedTickBehavior},
};

/// Turns that come at an even pace, without bursts: time that nobody used is not saved up.
#[derive(Debug)]
pub struct Pace(Mutex<Interval>);

impl Pace {
    /// So many turns a second.
    pub fn per_second(turns: NonZeroU32) -> Self {
        let mut interval = tokio::time::interval(Duration::from_secs(1) / turns.get());
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Mutex::new(interval))
    }

    /// Waits for a turn.
    pub async fn turn(&self) {
        self.0.lock().await.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn turns_keep_their_pace_and_a_rest_saves_none_up() {
        let pace = Pace::per_second(NonZeroU32::new(20).unwrap());
        pace.turn().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        // The first comes at once, each of the others a twentieth of a second later.
        assert!(begun.elapsed() >= Duration::from_millis(190));
    }
}
