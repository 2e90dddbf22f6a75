//! What the checks count.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::crd::reasons::Reason;
use crate::db::CheckKind;

/// Labels of a check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CheckLabels {
    /// What was checked.
    pub kind: &'static str,
    /// What was found.
    pub reason: &'static str,
}

/// The checks' metrics; a clone counts into the same.
#[derive(Clone, Debug)]
pub struct CheckMetrics {
    /// Checks that were made, by kind and what they found.
    pub made: Family<CheckLabels, Counter>,
    /// Checks that could not be made, or whose result could not be stored.
    pub unmade: Counter,
    /// How long they took, in seconds.
    pub seconds: Histogram,
}

impl Default for CheckMetrics {
    fn default() -> Self {
        Self {
            made: Family::default(),
            unmade: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
        }
    }
}

impl CheckMetrics {
    /// Metrics that this registry encodes.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "llmplane_checks",
            "Checks made, by kind and what they found",
            metrics.made.clone(),
        );
        registry.register(
            "llmplane_checks_unmade",
            "Checks that could not be made or stored",
            metrics.unmade.clone(),
        );
        registry.register(
            "llmplane_check_seconds",
            "How long checks took",
            metrics.seconds.clone(),
        );
        // Prometheus sees no increase in a counter's first value, and the first refusal counts.
        for (kind, reason) in [
            (CheckKind::Validation, Reason::KeyRejected),
            (CheckKind::Exchange, Reason::ExchangeRefused),
        ] {
            let (kind, reason) = (word(kind), reason.as_str());
            drop(metrics.made.get_or_create(&CheckLabels { kind, reason }));
        }
        metrics
    }
}

/// The word for a kind of check.
pub(super) fn word(kind: CheckKind) -> &'static str {
    match kind {
        CheckKind::Probe => "probe",
        CheckKind::Validation => "validation",
        CheckKind::ModelList => "model_list",
        CheckKind::ModelTest => "model_test",
        CheckKind::Exchange => "exchange",
    }
}
