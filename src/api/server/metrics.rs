//! What the read API counts.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::http_server::AnswerMemory;
use crate::snapshot::Store;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 11] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];

/// Requests that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    /// The route's pattern; empty where none matched.
    route: String,
    /// HTTP status.
    status: u16,
}

/// A cache of the kube-apiserver's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheName {
    /// Who a token belongs to.
    Callers,
    /// What a caller may do.
    Rights,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    cache: &'static str,
    hit: bool,
}

/// The read API's metrics; a clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    latency: Family<AnswerLabels, Histogram, fn() -> Histogram>,
    callers: CacheCounters,
    rights: CacheCounters,
    /// TokenReviews that were sent.
    pub token_reviews: Counter,
    /// SubjectAccessReviews that were sent.
    pub access_reviews: Counter,
    /// Reviews of either kind that the kube-apiserver did not answer.
    pub review_failures: Counter,
}

/// Looks into one cache.
#[derive(Clone, Debug)]
struct CacheCounters {
    hits: Counter,
    misses: Counter,
}

impl CacheCounters {
    fn of(family: &Family<CacheLabels, Counter>, cache: &'static str) -> Self {
        let counter = |hit| family.get_or_create(&CacheLabels { cache, hit }).clone();
        Self {
            hits: counter(true),
            misses: counter(false),
        }
    }
}

impl Metrics {
    /// Registers everything that the read API counts, and the snapshot's revision and age.
    pub fn register(registry: &mut Registry, store: Arc<Store>) -> Self {
        let look_ups = Family::default();
        let metrics = Self {
            latency: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            callers: CacheCounters::of(&look_ups, "callers"),
            rights: CacheCounters::of(&look_ups, "rights"),
            token_reviews: Counter::default(),
            access_reviews: Counter::default(),
            review_failures: Counter::default(),
        };
        registry.register_with_unit(
            "llmplane_api_request_duration",
            "Time to answer, by route and status",
            Unit::Seconds,
            metrics.latency.clone(),
        );
        registry.register(
            "llmplane_api_auth_cache_lookups",
            "Looks into the caches of callers and rights",
            look_ups,
        );
        registry.register(
            "llmplane_api_token_reviews",
            "TokenReviews sent to the kube-apiserver",
            metrics.token_reviews.clone(),
        );
        registry.register(
            "llmplane_api_access_reviews",
            "SubjectAccessReviews sent to the kube-apiserver",
            metrics.access_reviews.clone(),
        );
        registry.register(
            "llmplane_api_review_failures",
            "Reviews that the kube-apiserver did not answer",
            metrics.review_failures.clone(),
        );
        registry.register_collector(Box::new(SnapshotGauges(store)));
        metrics
    }

    /// Where the requests of a route with this status are counted; empty where no route matched.
    pub fn latency(&self, route: &str, status: u16) -> Histogram {
        let which = AnswerLabels {
            route: route.to_owned(),
            status,
        };
        self.latency.get_or_create(&which).clone()
    }

    /// Counts a look into a cache.
    pub fn looked_up(&self, cache: CacheName, hit: bool) {
        let look_ups = match cache {
            CacheName::Callers => &self.callers,
            CacheName::Rights => &self.rights,
        };
        let counter = match hit {
            true => &look_ups.hits,
            false => &look_ups.misses,
        };
        counter.inc();
    }
}

/// Registers how much memory answers under way hold.
pub fn register_memory(registry: &mut Registry, memory: AnswerMemory) {
    registry.register_collector(Box::new(AnswerMemoryGauge(memory)));
}

/// The memory of answers under way, at the moment of the scrape.
#[derive(Debug)]
struct AnswerMemoryGauge(AnswerMemory);

impl Collector for AnswerMemoryGauge {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let place = encoder.encode_descriptor(
            "llmplane_api_answer_memory",
            "Bytes of answers that are kept or wait for their readers",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.0.held() as f64).encode(place)
    }
}

/// The snapshot's revision and age, at the moment of the scrape.
#[derive(Debug)]
struct SnapshotGauges(Arc<Store>);

impl Collector for SnapshotGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            let place = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(place)
        };
        let snapshot = self.0.snapshot().unwrap_or_default();
        gauge(
            "llmplane_api_snapshot_age",
            "Age of the snapshot while PostgreSQL is out of reach, else 0",
            Some(&Unit::Seconds),
            self.0.age().unwrap_or_default().as_secs_f64(),
        )?;
        gauge(
            "llmplane_api_snapshot_revision",
            "Revision of the snapshot; 0 before the first",
            None,
            snapshot.revision.0 as f64,
        )?;
        gauge(
            "llmplane_api_snapshot_models",
            "Models in the snapshot",
            None,
            snapshot.models.len() as f64,
        )?;
        gauge(
            "llmplane_api_snapshot_unreadable",
            "Objects left out of the snapshot, for their rows hold what this release does not know",
            None,
            snapshot.unreadable.len() as f64,
        )
    }
}
