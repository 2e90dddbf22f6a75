//! `LlmCredential`: a key of a provider, kept in a Secret, or an identity that the vendor takes in place of one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use super::common::{LocalRef, default_priority, yes};
use super::federation::{ExchangeStatus, Federation};
use super::rules;
use super::words::words;

/// A key of a provider, kept in a Secret, or an identity that the vendor takes in place of one.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "llmplane.dev",
    version = "v1alpha1",
    doc = "A key of a provider, kept in a Secret, or an identity that the vendor takes in place of one.",
    kind = "LlmCredential",
    plural = "llmcredentials",
    shortname = "llmc",
    category = "llm",
    namespaced,
    status = "LlmCredentialStatus",
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
        name = "Valid",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Valid\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Key",
        type_ = "string",
        json_path = ".status.maskedKey",
        priority = 1
    ),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".spec.expiresAt",
        priority = 1
    ),
    printcolumn(
        name = "Valid-Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Valid\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(rules::KEY_OR_FEDERATION).message(rules::KEY_OR_FEDERATION_MESSAGE).field_path(".secretRef"))]
pub struct LlmCredentialSpec {
    /// The provider whose key it is.
    pub provider_ref: LocalRef,
    /// The endpoints it is for; empty: all of the provider's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub endpoint_refs: Vec<LocalRef>,
    /// The Secret that holds the key. Either this or `federation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// No key at all: the vendor exchanges tokens of a ServiceAccount for short-lived ones of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::ONE_EXCHANGER)]
    #[x_kube(validation = Rule::new(rules::ENTRA_AUDIENCE).message(rules::ENTRA_AUDIENCE_MESSAGE).field_path(".audience"))]
    pub federation: Option<Federation>,
    /// A short name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    #[x_kube(validation = rules::LINE)]
    pub alias: Option<String>,
    /// What it is for, in a sentence or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    #[x_kube(validation = rules::TEXT)]
    pub description: Option<String>,
    /// Off: it is not checked and not given to anyone.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When it stops being given out (RFC 3339).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "exact_time"
    )]
    #[schemars(extend("pattern" = rules::DATE_TIME_PATTERN))]
    #[x_kube(validation = rules::EXPIRY)]
    pub expires_at: Option<Time>,
    /// How much it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Preference among the provider's credentials: lower is given first.
    #[serde(default = "default_priority")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub priority: i32,
    /// What happens to the old key when the Secret changes.
    #[serde(default)]
    pub rotation: Rotation,
    /// Checks of this key.
    #[serde(default)]
    pub validation: Validation,
}

impl LlmCredentialSpec {
    /// Name of the Secret that holds the key; empty where there is none.
    pub fn secret_name(&self) -> &str {
        self.secret_ref.as_ref().map_or("", |secret| &secret.name)
    }

    /// Where its key comes from, in words.
    pub fn source(&self) -> String {
        match &self.federation {
            Some(federation) => {
                format!("ServiceAccount {}", federation.service_account_ref.name)
            }
            None => format!("Secret {}", self.secret_name()),
        }
    }
}

/// With the fraction of a second, which [`Time`] itself leaves out.
pub(super) fn exact_time<S: serde::Serializer>(
    time: &Option<Time>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.as_ref().map(|time| time.0).serialize(serializer)
}

/// A Secret, and which of its entries holds what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretRef {
    /// Name of the Secret, in this namespace. It needs the label `llmplane.dev/credential`.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,
    /// Which entry of the Secret holds what.
    #[serde(default)]
    #[x_kube(validation = rules::SECRET_KEYS_SOME)]
    #[x_kube(validation = rules::SECRET_KEY_PAIR)]
    pub keys: SecretKeys,
}

/// Names of a Secret's entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeys {
    /// Entry that holds the API key, or the access key id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_ENTRY)]
    pub api_key: Option<String>,
    /// Entry that holds the secret key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_ENTRY)]
    pub secret_key: Option<String>,
    /// Entry that holds a session token or an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::SECRET_ENTRY)]
    pub access_token: Option<String>,
}

impl Default for SecretKeys {
    fn default() -> Self {
        Self {
            api_key: Some("api-key".to_owned()),
            secret_key: None,
            access_token: None,
        }
    }
}

/// What a quota counts.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum QuotaUnit {
    /// How often the key is given out. Enforced.
    Disclosures,
    /// Calls. Published for the client.
    Requests,
    /// Tokens. Published for the client.
    Tokens,
    /// Money. Published for the client.
    Cost,
}

/// The period a quota is for.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum QuotaPeriod {
    Minute,
    Hour,
    Day,
    Month,
}

/// How much a credential may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Quota {
    /// How many units in a period.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub limit: i64,
    /// What is counted: `Disclosures` is enforced; the others are published for the client.
    pub unit: QuotaUnit,
    /// The period.
    pub period: QuotaPeriod,
}

/// What happens to the old key when the Secret changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Seconds that the old key stays usable after the new one is in force.
    #[serde(default = "Rotation::default_grace")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub grace_seconds: i32,
}

impl Rotation {
    fn default_grace() -> i32 {
        3600
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            grace_seconds: Self::default_grace(),
        }
    }
}

/// Checks of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Whether it is checked.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Seconds between two checks.
    #[serde(default = "Validation::default_period")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub period_seconds: i32,
    /// Seconds that one check may take, retries included.
    #[serde(default = "Validation::default_timeout")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: i32,
}

impl Validation {
    fn default_period() -> i32 {
        3600
    }
    fn default_timeout() -> i32 {
        10
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            enabled: true,
            period_seconds: Self::default_period(),
            timeout_seconds: Self::default_timeout(),
        }
    }
}

/// What the controller found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LlmCredentialStatus {
    /// The generation this status speaks of; -1 before the first verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last generation whose check passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_generation: Option<i64>,
    /// The last value of `llmplane.dev/reconcile-requested-at` that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// `Synced`, `Valid`, `Ready`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The API key in force, all but a few characters masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked_key: Option<String>,
    /// Changes when the key does, and reveals nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The newest ten versions of the key, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub versions: Vec<KeyVersion>,
    /// With `federation`: what the last exchange that worked was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeStatus>,
}

/// State of a key's version.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
pub enum VersionState {
    /// New; being checked.
    Pending,
    /// The one that is given out.
    Current,
    /// The one before, usable until its grace ends.
    Previous,
    /// Its key material is gone.
    Destroyed,
}

words!(QuotaUnit, QuotaPeriod, VersionState);

/// A version of a credential's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct KeyVersion {
    /// Its number: 1 for the first.
    pub version: i32,
    /// Changes when the key does, and reveals nothing of it.
    pub fingerprint: String,
    /// Its state.
    pub state: VersionState,
    /// Since when it is in this state.
    pub since: Time,
}
