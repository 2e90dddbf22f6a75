//! The rows as the read API shows them: these fields, under these names, and no others.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::state::{Availability, Health, Validity};
use super::{Decimal, schema};
use crate::crd::credential::{QuotaPeriod, QuotaUnit, VersionState};
use crate::crd::endpoint::Header;
use crate::crd::model::{Capability, Lifecycle, ModelType, Origin};
use crate::crd::reasons::ConditionStatus;
use crate::crd::{Kind, ProviderType};
use crate::db::{
    CredentialRow, CredentialVersionRow, DeclaredRow, EndpointRow, ModelRow, ObjectRow, ProviderRow,
};

/// Versions of a key that are shown, newest first; as many as the resource's status holds.
const SHOWN_VERSIONS: usize = 10;

/// A row of one of the four kinds.
pub trait View: Serialize + Send + Sync + 'static {
    /// Which kind.
    const KIND: Kind;
    /// What all rows carry.
    fn common(&self) -> &Common;
    /// The provider that it belongs to; none for a provider.
    fn provider_id(&self) -> Option<Uuid> {
        None
    }
}

/// What all rows carry.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Common {
    /// UID of the object.
    pub id: Uuid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is in force: its own switch and its provider's are on.
    pub is_active: bool,
    /// When the object was created.
    pub created_at: Timestamp,
    /// When this row last changed.
    pub updated_at: Timestamp,
    /// When it was found deleted; only on rows that `include_deleted` adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// The conditions of the object's status.
    pub conditions: Vec<ConditionView>,
    /// Whether its check is switched on. Not shown: its condition says so.
    #[serde(skip)]
    pub is_checked: bool,
}

/// A condition, with Kubernetes' field names.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Condition)]
pub struct ConditionView {
    /// What it is about, for example `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence or two.
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Timestamp,
    /// The generation of the object that it speaks of.
    pub observed_generation: Option<i64>,
}

/// A vendor account, or a server, that offers models.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct ProviderView {
    #[serde(flatten)]
    pub common: Common,
    /// The vendor or protocol.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::provider_type)]
    pub type_: ProviderType,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// A base URL of a provider, and how to call it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub struct EndpointView {
    #[serde(flatten)]
    pub common: Common,
    /// Its provider.
    pub provider_id: Uuid,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// The URL in force.
    pub base_url: String,
    /// The API version that the vendor wants in calls.
    pub api_version: Option<String>,
    /// The vendor's name of the region.
    pub region: Option<String>,
    /// Seconds that a client should wait for a connection.
    pub timeout_connect: i32,
    /// Seconds that a client should wait for an answer.
    pub timeout_read: i32,
    /// Further attempts that a client should make.
    pub retry_count: i32,
    /// Milliseconds between two attempts.
    pub retry_interval_ms: i32,
    /// Whether it is the one of its provider that is tried first.
    pub is_default: bool,
    /// Failover order: lower is tried first.
    pub priority: i32,
    /// Whether it answers.
    pub health: Health,
    /// Headers that every call needs. Not shown: they are in a client's configuration.
    #[serde(skip)]
    pub headers: Vec<Header>,
    /// A hash of what calls to it are made with. Not shown.
    #[serde(skip)]
    pub check_inputs: String,
}

/// A key of a provider; never the key itself.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Credential)]
pub struct CredentialView {
    #[serde(flatten)]
    pub common: Common,
    /// Its provider.
    pub provider_id: Uuid,
    /// The endpoints it is for; empty: all of its provider's.
    pub endpoint_ids: Vec<Uuid>,
    /// Name shown to people.
    pub alias: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The key in force, masked.
    pub masked_key: Option<String>,
    /// Changes when the key does, and reveals nothing of it.
    pub fingerprint: Option<String>,
    /// Version of the key in force.
    pub version: Option<i32>,
    /// Its versions, newest first; at most 10.
    pub versions: Vec<CredentialVersionView>,
    /// When it stops being given out.
    pub expires_at: Option<Timestamp>,
    /// How much may be used in a period.
    pub quota_limit: Option<i64>,
    /// Of what: `Disclosures`, `Requests`, `Tokens` or `Cost`.
    #[schema(schema_with = schema::quota_unit)]
    pub quota_unit: Option<QuotaUnit>,
    /// In which period: `Minute`, `Hour`, `Day` or `Month`.
    #[schema(schema_with = schema::quota_period)]
    pub quota_period: Option<QuotaPeriod>,
    /// Preference among the provider's credentials: lower is given first.
    pub priority: i32,
    /// Whether the vendor takes the key.
    pub validity: Validity,
    /// The key in force, as far as no secret is in it; none where there is none. Not shown.
    #[serde(skip)]
    pub key: Option<KeyInForce>,
}

/// What is known of a key in force beside the key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyInForce {
    /// Whose key it is, as its Secret says. A hint: what was sealed with the key decides.
    pub provider_type: ProviderType,
    /// Hosts that its owner allows. A hint, as above.
    pub allowed_hosts: Vec<String>,
    /// Endpoints whose vendor refuses it, each with the hash of what it was called with.
    pub refused_at: Vec<(Uuid, String)>,
}

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CredentialVersion)]
pub struct CredentialVersionView {
    /// Its number: 1 for the first.
    pub version: i32,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// `Pending`, `Current`, `Previous` or `Destroyed`.
    #[schema(schema_with = schema::version_state)]
    pub state: VersionState,
    /// Since when it is in this state.
    pub since: Timestamp,
}

/// A model that can be called.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ModelView {
    #[serde(flatten)]
    pub common: Common,
    /// Its provider.
    pub provider_id: Uuid,
    /// The endpoints that serve it; empty: all of its provider's.
    pub endpoint_ids: Vec<Uuid>,
    /// The vendor's id of the model.
    pub model_id: String,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// The model's version, in the vendor's words.
    pub version: Option<String>,
    /// What kind of model it is.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::model_type)]
    pub type_: Option<ModelType>,
    /// Tokens of prompt and answer together.
    pub context_window: Option<i64>,
    /// Tokens of prompt.
    pub max_input_tokens: Option<i64>,
    /// Tokens of answer.
    pub max_output_tokens: Option<i64>,
    /// ISO 4217 code of the prices' currency.
    pub currency: Option<String>,
    /// Price of 1,000 tokens of prompt: a decimal number.
    pub input_price: Option<String>,
    /// Price of 1,000 tokens of answer: a decimal number.
    pub output_price: Option<String>,
    /// What it can do, and how well.
    pub capabilities: Vec<CapabilityView>,
    /// Tasks it is recommended for.
    pub recommended_for: Vec<String>,
    /// Parameters that clients send unless they know better.
    #[schema(value_type = Option<Object>)]
    pub default_parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// Where it is in its life.
    pub status: ModelStatus,
    /// Whether it can be called.
    pub availability: Availability,
    /// By field of this row: `declared`, `vendor` or `catalog`.
    #[schema(schema_with = schema::origins)]
    pub origin: BTreeMap<String, Origin>,
    /// Labels of the object. Not shown: they are what `selector` is matched with.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

/// One thing a model can do, and how well.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Capability)]
pub struct CapabilityView {
    /// What it can do.
    #[schema(schema_with = schema::capability)]
    pub name: Capability,
    /// How well, from 1 (poor) to 5 (excellent); null: nobody said.
    pub score: Option<i32>,
}

/// Where a model is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelStatus {
    Available,
    Maintenance,
    Deprecated,
}

impl ModelStatus {
    /// The status of this word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "available" => Some(Self::Available),
            "maintenance" => Some(Self::Maintenance),
            "deprecated" => Some(Self::Deprecated),
            _ => None,
        }
    }
}

impl From<Lifecycle> for ModelStatus {
    fn from(lifecycle: Lifecycle) -> Self {
        match lifecycle {
            Lifecycle::Available => Self::Available,
            Lifecycle::Maintenance => Self::Maintenance,
            Lifecycle::Deprecated => Self::Deprecated,
        }
    }
}

impl ModelView {
    /// What it is called: its name, display name and `modelId`.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        let names = [self.common.name.as_str(), self.model_id.as_str()];
        names.into_iter().chain(self.display_name.as_deref())
    }

    /// How well it can do this: `None` where it cannot, `Some(None)` where nobody said how well.
    pub fn capability(&self, wanted: Capability) -> Option<Option<i32>> {
        self.capabilities
            .iter()
            .find(|capability| capability.name == wanted)
            .map(|capability| capability.score)
    }

    /// The price of 1,000 tokens of prompt, where it is known.
    pub fn input_price(&self) -> Option<Decimal> {
        self.input_price.as_deref().and_then(Decimal::parse)
    }

    /// The price of 1,000 tokens of answer, where it is known.
    pub fn output_price(&self) -> Option<Decimal> {
        self.output_price.as_deref().and_then(Decimal::parse)
    }
}

macro_rules! view {
    ($view:ident, $kind:ident $(, $provider:ident)?) => {
        impl View for $view {
            const KIND: Kind = Kind::$kind;
            fn common(&self) -> &Common {
                &self.common
            }
            $(fn provider_id(&self) -> Option<Uuid> {
                Some(self.$provider)
            })?
        }
    };
}

view!(ProviderView, Provider);
view!(EndpointView, Endpoint, provider_id);
view!(CredentialView, Credential, provider_id);
view!(ModelView, Model, provider_id);

impl Common {
    fn of<D: DeclaredRow>(row: &ObjectRow<D>, is_checked: bool) -> Self {
        Self {
            id: row.uid,
            namespace: row.namespace.clone(),
            name: row.name.clone(),
            is_active: row.is_active,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deleted_at: row.deleted_at,
            conditions: row.conditions.iter().map(ConditionView::from).collect(),
            is_checked,
        }
    }
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        Self {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            last_transition_time: condition.last_transition_time.0,
            observed_generation: condition.observed_generation,
        }
    }
}

impl From<&ProviderRow> for ProviderView {
    fn from(row: &ProviderRow) -> Self {
        Self {
            common: Common::of(row, row.model_sync.enabled),
            type_: row.type_,
            display_name: row.display_name.clone(),
            description: row.description.clone(),
        }
    }
}

impl From<&EndpointRow> for EndpointView {
    fn from(row: &EndpointRow) -> Self {
        Self {
            common: Common::of(row, row.health_check.enabled),
            provider_id: row.provider_uid,
            display_name: row.display_name.clone(),
            base_url: row.base_url.clone(),
            api_version: row.api_version.clone(),
            region: row.region.clone(),
            timeout_connect: row.timeout_connect,
            timeout_read: row.timeout_read,
            retry_count: row.retry_count,
            retry_interval_ms: row.retry_interval_ms,
            is_default: row.is_default,
            priority: row.priority,
            health: Health::of(&row.conditions),
            headers: row.headers.clone(),
            check_inputs: row.check_inputs.clone(),
        }
    }
}

impl CredentialView {
    /// Credentials; the versions of each are found among these.
    pub fn all_of(rows: &[CredentialRow], versions: &[CredentialVersionRow]) -> Vec<Self> {
        let mut grouped: HashMap<Uuid, Vec<&CredentialVersionRow>> = HashMap::new();
        for version in versions {
            grouped
                .entry(version.credential_uid)
                .or_default()
                .push(version);
        }
        rows.iter()
            .map(|row| Self::of(row, grouped.remove(&row.uid).unwrap_or_default()))
            .collect()
    }

    /// A credential; its versions are found among these.
    pub fn of<'v>(
        row: &CredentialRow,
        versions: impl IntoIterator<Item = &'v CredentialVersionRow>,
    ) -> Self {
        let mut newest_first: Vec<_> = versions
            .into_iter()
            .filter(|version| version.credential_uid == row.uid)
            .collect();
        newest_first.sort_by_key(|version| std::cmp::Reverse(version.version));
        let in_force = newest_first
            .iter()
            .find(|version| Some(version.version) == row.version);
        let key = in_force.map(|version| KeyInForce::of(version));
        Self {
            common: Common::of(row, row.validation.enabled),
            provider_id: row.provider_uid,
            endpoint_ids: row.endpoint_uids.clone(),
            alias: row.alias.clone(),
            description: row.description.clone(),
            masked_key: row.masked_key.clone(),
            fingerprint: row.fingerprint.clone(),
            version: row.version,
            versions: newest_first
                .into_iter()
                .take(SHOWN_VERSIONS)
                .map(|version| CredentialVersionView {
                    version: version.version,
                    fingerprint: version.fingerprint.clone(),
                    state: version.state,
                    since: version.since,
                })
                .collect(),
            expires_at: row.expires_at,
            quota_limit: row.quota_limit,
            quota_unit: row.quota_unit,
            quota_period: row.quota_period,
            priority: row.priority,
            validity: Validity::of(&row.conditions),
            key,
        }
    }
}

impl KeyInForce {
    fn of(version: &CredentialVersionRow) -> Self {
        let refused = version
            .verdicts
            .iter()
            .filter(|(_, verdict)| verdict.reason.status() == ConditionStatus::False);
        Self {
            provider_type: version.provider_type,
            allowed_hosts: version.allowed_hosts.clone(),
            refused_at: refused
                .map(|(endpoint, verdict)| (*endpoint, verdict.inputs.clone()))
                .collect(),
        }
    }

    /// Whether the vendor refuses it at an endpoint, as that is called now.
    pub fn is_refused_at(&self, endpoint: &EndpointView) -> bool {
        self.refused_at.iter().any(|(uid, inputs)| {
            *uid == endpoint.common.id && !inputs.is_empty() && *inputs == endpoint.check_inputs
        })
    }
}

impl From<&ModelRow> for ModelView {
    fn from(row: &ModelRow) -> Self {
        Self {
            common: Common::of(row, row.availability_test.enabled),
            provider_id: row.provider_uid,
            endpoint_ids: row.endpoint_uids.clone(),
            model_id: row.model_id.clone(),
            display_name: row.display_name.clone(),
            version: row.version.clone(),
            type_: row.type_,
            context_window: row.context_window,
            max_input_tokens: row.max_input_tokens,
            max_output_tokens: row.max_output_tokens,
            currency: row.currency.clone(),
            input_price: row.input_price.clone(),
            output_price: row.output_price.clone(),
            capabilities: row
                .capabilities
                .iter()
                .map(|capability| CapabilityView {
                    name: capability.name,
                    score: capability.score,
                })
                .collect(),
            recommended_for: row.recommended_for.clone(),
            default_parameters: row.default_parameters.clone(),
            status: row.lifecycle.into(),
            availability: Availability::of(&row.conditions),
            origin: origin_by_field(&row.origin),
            labels: row.labels.clone(),
        }
    }
}

/// The row's field names for those of the resource's `status.effective`.
fn origin_by_field(origin: &BTreeMap<String, Origin>) -> BTreeMap<String, Origin> {
    let mut by_field = BTreeMap::new();
    for (field, from) in origin {
        let fields: &[&str] = match field.as_str() {
            "contextWindow" => &["context_window"],
            "maxInputTokens" => &["max_input_tokens"],
            "maxOutputTokens" => &["max_output_tokens"],
            "pricing" => &["currency", "input_price", "output_price"],
            same => &[same],
        };
        for name in fields {
            by_field.insert((*name).to_owned(), *from);
        }
    }
    by_field
}
