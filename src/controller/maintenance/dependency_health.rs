//! Whether somebody whom the controller cannot do without answers: said in readiness and in a
//! metric for as long as it lasts, and in the log once when it changes.

use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, Ordering},
};

use prometheus_client::metrics::gauge::Gauge;

use crate::admin::Readiness;

/// One of those whom the controller cannot do without.
pub struct DependencyHealth {
    what: &'static str,
    lost: AtomicBool,
    up: Gauge,
    readiness: Readiness,
}

impl DependencyHealth {
    /// Somebody who answers. `what` is the name in readiness and log, `up` is 1 until it is lost.
    pub fn new(what: &'static str, up: Gauge, readiness: Readiness) -> Self {
        up.set(1);
        readiness.ready(what);
        Self {
            what,
            lost: AtomicBool::new(false),
            up,
            readiness,
        }
    }

    /// It does not answer, for this reason.
    pub fn lost(&self, why: &dyn Display) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            tracing::warn!(what = self.what, %why, "does not answer; waits for it");
        }
        self.up.set(0);
        self.readiness.waiting(self.what, why.to_string());
    }

    /// It answers.
    pub fn found(&self) {
        if self.lost.swap(false, Ordering::AcqRel) {
            tracing::info!(what = self.what, "answers again");
        }
        self.up.set(1);
        self.readiness.ready(self.what);
    }

    /// Whether it was lost and has not been found since.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_waited_for_until_it_is_found() {
        let (up, readiness) = (Gauge::default(), Readiness::default());
        let reach = DependencyHealth::new("database", up.clone(), readiness.clone());
        assert_eq!((up.get(), readiness.missing().len()), (1, 0));
        reach.lost(&"no connection");
        reach.lost(&"no connection in time");
        assert!(reach.is_lost());
        assert_eq!(up.get(), 0);
        assert_eq!(readiness.missing(), ["database: no connection in time"]);
        reach.found();
        assert!(!reach.is_lost());
        assert_eq!((up.get(), readiness.missing().len()), (1, 0));
    }
}
