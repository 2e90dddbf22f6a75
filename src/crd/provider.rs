//! `LlmProvider`: a vendor account, or a server, that offers models.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{LocalRef, yes};
use super::provider_type::ProviderType;
use super::rules;

/// A vendor account, or a server of one's own, that offers models.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "llmplane.dev",
    version = "v1alpha1",
    doc = "A vendor account, or a server of one's own, that offers models.",
    kind = "LlmProvider",
    plural = "llmproviders",
    shortname = "llmp",
    category = "llm",
    namespaced,
    status = "LlmProviderStatus",
    derive = "PartialEq",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "ModelsSynced",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ModelsSynced\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Endpoints",
        type_ = "integer",
        json_path = ".status.endpoints.healthy",
        priority = 1
    ),
    printcolumn(
        name = "Credentials",
        type_ = "integer",
        json_path = ".status.credentials.valid",
        priority = 1
    ),
    printcolumn(
        name = "Models",
        type_ = "integer",
        json_path = ".status.models.available",
        priority = 1
    ),
    printcolumn(
        name = "ModelsSynced-Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"ModelsSynced\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct LlmProviderSpec {
    /// The vendor or protocol. It cannot be changed: delete the provider and create another.
    #[serde(rename = "type")]
    #[x_kube(validation = ("self == oldSelf", "type cannot be changed; delete this LlmProvider and create one of the other type"))]
    pub type_: ProviderType,
    /// Name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = rules::LINE)]
    pub display_name: Option<String>,
    /// What it is for, in a sentence or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    #[x_kube(validation = rules::TEXT)]
    pub description: Option<String>,
    /// Off: its endpoints, credentials and models are off too.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The endpoint that is tried first. Without it the one of the lowest priority number is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_endpoint_ref: Option<LocalRef>,
    /// Makes LlmModel objects for what the vendor lists and nobody declared.
    #[serde(default)]
    pub model_sync: ModelSync,
}

/// Reading the vendor's model list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelSync {
    /// Whether models are made from the vendor's list.
    #[serde(default)]
    pub enabled: bool,
    /// Seconds between two readings of the list.
    #[serde(default = "ModelSync::default_period")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub period_seconds: i32,
    /// Seconds that one reading may take.
    #[serde(default = "ModelSync::default_timeout")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: i32,
    /// Globs of model ids to take; empty takes all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 256)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::MODEL_GLOBS)]
    pub include: Vec<String>,
    /// Globs of model ids to leave out, also where `include` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 256)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::MODEL_GLOBS)]
    pub exclude: Vec<String>,
}

impl ModelSync {
    fn default_period() -> i32 {
        21_600
    }
    fn default_timeout() -> i32 {
        30
    }
}

impl Default for ModelSync {
    fn default() -> Self {
        Self {
            enabled: false,
            period_seconds: Self::default_period(),
            timeout_seconds: Self::default_timeout(),
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

/// What the controller found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LlmProviderStatus {
    /// The generation this status speaks of; -1 before the first verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last generation whose check passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_generation: Option<i64>,
    /// The last value of `llmplane.dev/reconcile-requested-at` that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Synced`, `ModelsSynced`, `Ready`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Its endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<EndpointCount>,
    /// Its credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialCount>,
    /// Its models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelCount>,
    /// When the vendor's model list was last taken over and something changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_synced_at: Option<Time>,
}

/// Endpoints of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct EndpointCount {
    /// How many there are.
    pub total: i32,
    /// How many of them are healthy.
    pub healthy: i32,
}

/// Credentials of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct CredentialCount {
    /// How many there are.
    pub total: i32,
    /// How many of them are valid.
    pub valid: i32,
}

/// Models of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct ModelCount {
    /// How many there are.
    pub total: i32,
    /// How many of them are available.
    pub available: i32,
}
