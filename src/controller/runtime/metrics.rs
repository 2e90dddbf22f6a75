//! What the controller counts.

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use strum::VariantArray as _;

use super::object_key::ObjectKey;
use crate::crd::Kind;

/// Labels of [`Metrics::reconciles`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// Which of the five.
    pub kind: &'static str,
    /// `done`, `retry`, `waiting` or `refused`.
    pub result: &'static str,
}

/// A label that holds the kind alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Which of the five.
    pub kind: &'static str,
}

impl KindLabel {
    /// The label of this kind.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind: kind.as_str(),
        }
    }
}

/// Labels of [`Metrics::model_sync`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SyncLabel {
    /// `applied`, `withdrawn`, `nothing` or `failed`.
    pub result: &'static str,
}

/// Labels of [`Metrics::rewrapped`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RewrapLabel {
    /// `rewrapped`, `refused` (it does not authenticate) or `overtaken` (another write came first).
    pub result: &'static str,
}

/// Labels of [`Metrics::credential_expiry`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ObjectLabels {
    /// The object's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Whether somebody answers, 1 or 0. Without a sample before they were asked: who has yet to ask does not know.
#[derive(Clone, Debug, Default)]
pub struct Up(Family<[(&'static str, &'static str); 0], Gauge>);

impl Up {
    /// They were asked, and answer or do not.
    pub fn set(&self, answers: bool) {
        self.gauge().set(answers.into());
    }

    /// What is set from now on.
    pub fn gauge(&self) -> Gauge {
        self.0.get_or_create_owned(&[])
    }

    /// They are asked no more.
    pub fn forget(&self) {
        self.0.clear();
    }
}

/// The controller's metrics; a clone counts into the same.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Reconciles, by kind and result.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// Statuses that were written.
    pub status_writes: Counter,
    /// Objects that exist and do not decode, by kind.
    pub undecodable: Family<KindLabel, Counter>,
    /// Rows that the sweep removed, by kind.
    pub swept: Family<KindLabel, Counter>,
    /// What model sync did with generated objects, by result.
    pub model_sync: Family<SyncLabel, Counter>,
    /// Stored keys that differed from what the resource's status says.
    pub rolled_back: Counter,
    /// Stored keys that did not authenticate.
    pub unreadable: Counter,
    /// How often the audit could not be anchored, for it was changed or there is no key.
    pub audit_anchor_failures: Counter,
    /// Position of the audit's newest anchored row.
    pub audit_anchored: Gauge,
    /// Stored versions under another key-encryption key than the active one.
    pub rewrap_remaining: Gauge,
    /// Versions that the re-wrap came to, by result.
    pub rewrapped: Family<RewrapLabel, Counter>,
    /// Stored versions under a key-encryption key that the keyring lacks.
    pub versions_without_kek: Gauge,
    /// When each credential that expires does so, in seconds since 1970.
    pub credential_expiry: Family<ObjectLabels, Gauge>,
    /// When each model that retires does so, in seconds since 1970.
    pub model_retirement: Family<ObjectLabels, Gauge>,
    /// Whether PostgreSQL answers: of who leads, or is about to.
    pub database_up: Up,
    /// Whether the kube-apiserver answers.
    pub apiserver_up: Up,
    /// 1 while this process leads.
    pub leading: Gauge,
}

impl Metrics {
    /// Metrics that this registry encodes.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "llmplane_reconciles",
            "Reconciles by kind and result",
            metrics.reconciles.clone(),
        );
        registry.register(
            "llmplane_status_writes",
            "Statuses written to the kube-apiserver",
            metrics.status_writes.clone(),
        );
        registry.register(
            "llmplane_undecodable_objects",
            "Objects seen that exist and do not decode",
            metrics.undecodable.clone(),
        );
        registry.register(
            "llmplane_swept_rows",
            "Rows removed because their object is gone",
            metrics.swept.clone(),
        );
        registry.register(
            "llmplane_model_sync_writes",
            "Generated models that model sync wrote, or failed to, by result",
            metrics.model_sync.clone(),
        );
        registry.register(
            "llmplane_rolled_back_keys",
            "Stored keys that were older than the resource's status says",
            metrics.rolled_back.clone(),
        );
        registry.register(
            "llmplane_audit_anchor_failures",
            "Times that the audit could not be anchored: it was changed, or the keyring has no audit.key",
            metrics.audit_anchor_failures.clone(),
        );
        registry.register(
            "llmplane_audit_anchored_row",
            "Position of the newest row of the audit that is anchored",
            metrics.audit_anchored.clone(),
        );
        registry.register(
            "llmplane_unreadable_keys",
            "Stored keys that did not authenticate, for their rows were changed or moved",
            metrics.unreadable.clone(),
        );
        registry.register(
            "llmplane_rewrap_remaining",
            "Stored versions of keys under another key-encryption key than the active one",
            metrics.rewrap_remaining.clone(),
        );
        registry.register(
            "llmplane_rewrapped_versions",
            "Stored versions of keys that the re-wrap came to, by result",
            metrics.rewrapped.clone(),
        );
        registry.register(
            "llmplane_versions_without_kek",
            "Stored versions of keys under a key-encryption key that the keyring lacks",
            metrics.versions_without_kek.clone(),
        );
        registry.register(
            "llmplane_credential_expiry_timestamp_seconds",
            "When a credential expires, in seconds since 1970; absent where it does not",
            metrics.credential_expiry.clone(),
        );
        registry.register(
            "llmplane_model_retirement_timestamp_seconds",
            "When a model retires, in seconds since 1970; absent where that is not known",
            metrics.model_retirement.clone(),
        );
        registry.register(
            "llmplane_database_up",
            "Whether PostgreSQL answers; absent where it has not been asked",
            metrics.database_up.0.clone(),
        );
        registry.register(
            "llmplane_apiserver_up",
            "Whether the kube-apiserver answers; absent where it has not been asked",
            metrics.apiserver_up.0.clone(),
        );
        registry.register(
            "llmplane_leading",
            "Whether this process leads",
            metrics.leading.clone(),
        );
        metrics.start_at_zero();
        metrics
    }

    /// Has counters there before they count: Prometheus sees no increase in a counter's first value.
    fn start_at_zero(&self) {
        for kind in Kind::VARIANTS {
            drop(self.undecodable.get_or_create(&KindLabel::of(*kind)));
            drop(self.swept.get_or_create(&KindLabel::of(*kind)));
        }
        for result in ["applied", "withdrawn", "nothing", "failed"] {
            drop(self.model_sync.get_or_create(&SyncLabel { result }));
        }
        for result in ["rewrapped", "refused", "overtaken"] {
            drop(self.rewrapped.get_or_create(&RewrapLabel { result }));
        }
    }

    /// Notes when a credential expires, if it does.
    pub fn credential_expires(&self, key: &ObjectKey, at: Option<Timestamp>) {
        note(&self.credential_expiry, key, at);
    }

    /// Notes when a model retires, if that is known.
    pub fn model_retires(&self, key: &ObjectKey, at: Option<Timestamp>) {
        note(&self.model_retirement, key, at);
    }
}

/// Notes a time of an object, if there is one.
fn note(times: &Family<ObjectLabels, Gauge>, key: &ObjectKey, at: Option<Timestamp>) {
    let labels = ObjectLabels {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    };
    match at {
        Some(at) => {
            times.get_or_create(&labels).set(at.as_second());
        }
        None => {
            times.remove(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_somebody_answers_is_said_once_they_were_asked() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let said = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            let samples = samples.filter(|line| line.contains("_up"));
            samples.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(said(), [""; 0]);
        metrics.apiserver_up.set(false);
        assert_eq!(said(), ["llmplane_apiserver_up{} 0"]);
        metrics.apiserver_up.gauge().set(1);
        assert_eq!(said(), ["llmplane_apiserver_up{} 1"]);
        metrics.database_up.set(true);
        metrics.apiserver_up.forget();
        assert_eq!(said(), ["llmplane_database_up{} 1"]);
    }
}
