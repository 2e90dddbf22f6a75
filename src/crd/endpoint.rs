//! `LlmEndpoint`: an address at which a provider answers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{LocalRef, default_priority, yes};
use super::rules;

/// An address at which a provider answers.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "llmplane.dev",
    version = "v1alpha1",
    doc = "An address at which a provider answers.",
    kind = "LlmEndpoint",
    plural = "llmendpoints",
    shortname = "llme",
    category = "llm",
    namespaced,
    status = "LlmEndpointStatus",
    derive = "PartialEq",
    selectable = ".spec.providerRef.name",
    printcolumn(
        name = "Provider",
        type_ = "string",
        json_path = ".spec.providerRef.name"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Healthy",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Healthy\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.effectiveUrl",
        priority = 1
    ),
    printcolumn(
        name = "Healthy-Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Healthy\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct LlmEndpointSpec {
    /// The provider that answers here.
    pub provider_ref: LocalRef,
    /// Name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = rules::LINE)]
    pub display_name: Option<String>,
    /// Where it answers, for example `https://api.openai.com/v1`. Optional where the provider's
    /// type has a default for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::BASE_URL)]
    pub base_url: Option<String>,
    /// API version that the vendor wants in its calls, for example Azure's `2024-10-21`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::API_VERSION)]
    pub api_version: Option<String>,
    /// The vendor's name of the region, for example `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::REGION)]
    pub region: Option<String>,
    /// Seconds that a client that calls models should wait for a connection.
    #[serde(default = "LlmEndpointSpec::default_connect_timeout")]
    #[schemars(range(min = 1, max = 300))]
    pub connect_timeout_seconds: i32,
    /// Seconds that a client that calls models should wait for an answer.
    #[serde(default = "LlmEndpointSpec::default_read_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub read_timeout_seconds: i32,
    /// How a client that calls models should retry. Checks have their own policy.
    #[serde(default)]
    pub retry: Retry,
    /// Headers that every call needs. They are not secret: a key belongs in a Secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = rules::HEADERS_DIFFER)]
    pub headers: Vec<Header>,
    /// Failover order among the provider's endpoints: lower is tried first.
    #[serde(default = "default_priority")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub priority: i32,
    /// Off: it is not checked and not given to clients.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Checks of this endpoint.
    #[serde(default)]
    pub health_check: HealthCheck,
    /// PEM certificates that sign this endpoint's own, beside the public ones. It does not apply
    /// to the vendors' own hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32_768))]
    #[x_kube(validation = rules::PEM_CERTIFICATES)]
    #[x_kube(validation = rules::PEM_WITHOUT_KEY)]
    pub ca_bundle: Option<String>,
}

impl LlmEndpointSpec {
    fn default_connect_timeout() -> i32 {
        5
    }
    fn default_read_timeout() -> i32 {
        60
    }
}

/// How a client should retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Further attempts after the first.
    #[serde(default = "Retry::default_count")]
    #[schemars(range(min = 0, max = 10))]
    pub count: i32,
    /// Milliseconds between two attempts.
    #[serde(default = "Retry::default_interval")]
    #[schemars(range(min = 0, max = 60_000))]
    pub interval_milliseconds: i32,
}

impl Retry {
    fn default_count() -> i32 {
        2
    }
    fn default_interval() -> i32 {
        500
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            count: Self::default_count(),
            interval_milliseconds: Self::default_interval(),
        }
    }
}

/// A header that every call needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Header {
    /// Name of the header.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::HEADER_NAME)]
    #[x_kube(validation = rules::HEADER_NOT_A_KEY)]
    #[x_kube(validation = rules::HEADER_NOT_THE_CLIENTS)]
    #[x_kube(validation = rules::HEADER_NOT_METADATA)]
    pub name: String,
    /// Its value. Not secret.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::HEADER_VALUE)]
    pub value: String,
}

/// Checks of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Whether it is checked.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Seconds between two probes.
    #[serde(default = "HealthCheck::default_period")]
    #[schemars(range(min = 5, max = 86_400))]
    pub period_seconds: i32,
    /// Seconds that one probe may take, retries included.
    #[serde(default = "HealthCheck::default_timeout")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: i32,
    /// Failed probes in a row before it counts as unhealthy.
    #[serde(default = "HealthCheck::default_failures")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: i32,
    /// Successful probes in a row before it counts as healthy again.
    #[serde(default = "HealthCheck::default_successes")]
    #[schemars(range(min = 1, max = 100))]
    pub success_threshold: i32,
    /// The credential to probe with. Without it the probe sends no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_ref: Option<LocalRef>,
}

impl HealthCheck {
    fn default_period() -> i32 {
        60
    }
    fn default_timeout() -> i32 {
        10
    }
    fn default_failures() -> i32 {
        3
    }
    fn default_successes() -> i32 {
        1
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            enabled: true,
            period_seconds: Self::default_period(),
            timeout_seconds: Self::default_timeout(),
            failure_threshold: Self::default_failures(),
            success_threshold: Self::default_successes(),
            credential_ref: None,
        }
    }
}

/// What the controller found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LlmEndpointStatus {
    /// The generation this status speaks of; -1 before the first verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last generation whose check passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_generation: Option<i64>,
    /// The last value of `llmplane.dev/reconcile-requested-at` that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Synced`, `Healthy`, `Ready`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The URL in force: `baseUrl`, or the type's default for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_url: Option<String>,
}
