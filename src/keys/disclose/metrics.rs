//! What giving out keys counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::Refusal;
use crate::db::Verdict;

/// How a request for a key ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabels {
    /// `Disclosed`, or the word of the refusal.
    pub result: &'static str,
}

/// Why a stored key did not open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// `not-authentic`, `unknown-layout`, `fingerprint`: the row is at fault; `kek-missing`,
    /// `kek-refused`, `kek-unavailable`, `fingerprint-key`: the keyring is.
    pub reason: &'static str,
}

/// The metrics of disclosures; a clone counts into the same.
#[derive(Clone, Debug)]
pub struct DisclosureMetrics {
    /// Requests for keys, by how they ended.
    pub requests: Family<ResultLabels, Counter>,
    /// Stored keys that did not open, by why.
    pub unopened: Family<ReasonLabels, Counter>,
    /// Keys that shared a commit.
    pub batch: Histogram,
    /// Time that recording took.
    pub recording: Histogram,
    /// Refusals that the audit does not tell of, for too many waited.
    pub untold: Counter,
}

impl Default for DisclosureMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            unopened: Family::default(),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            recording: Histogram::new(exponential_buckets(0.001, 2.0, 12)),
            untold: Counter::default(),
        }
    }
}

impl DisclosureMetrics {
    /// Metrics that this registry encodes.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "llmplane_disclosures",
            "Keys that were asked for, by result",
            metrics.requests.clone(),
        );
        registry.register(
            "llmplane_decryption_refusals",
            "Stored keys that did not open, by reason",
            metrics.unopened.clone(),
        );
        registry.register(
            "llmplane_disclosure_batch_size",
            "Keys that shared a commit of the audit",
            metrics.batch.clone(),
        );
        registry.register_with_unit(
            "llmplane_disclosure_recording",
            "Time that a commit of the audit took",
            Unit::Seconds,
            metrics.recording.clone(),
        );
        registry.register(
            "llmplane_audit_refusals_dropped",
            "Refusals that the audit does not tell of, for too many waited to be written",
            metrics.untold.clone(),
        );
        metrics.start_at_zero();
        metrics
    }

    /// Has counters there before they count: Prometheus sees no increase in a counter's first value.
    fn start_at_zero(&self) {
        for result in [
            Verdict::Disclosed.as_str(),
            Refusal::AuditUnavailable.word(),
        ] {
            drop(self.requests.get_or_create(&ResultLabels { result }));
        }
        for reason in ["not-authentic", "unknown-layout", "fingerprint"] {
            drop(self.unopened.get_or_create(&ReasonLabels { reason }));
        }
    }

    /// Counts how a request ended.
    pub(super) fn ended(&self, result: &'static str) {
        self.requests.get_or_create(&ResultLabels { result }).inc();
    }

    /// Counts a stored key that did not open.
    pub(super) fn unopened(&self, reason: &'static str) {
        self.unopened.get_or_create(&ReasonLabels { reason }).inc();
    }
}
