//! The rows as the read API shows them: these fields, under these names, and no others.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::schema;
use super::state::{Availability, Health, Validity};
use crate::crd::base_url::BaseUrl;
use crate::crd::credential::{QuotaPeriod, QuotaUnit, VersionState};
use crate::crd::endpoint::Header;
use crate::crd::federation::Federation;
use crate::crd::fields;
use crate::crd::model::{
    Capability, Lifecycle, LimitUnit, Modality, ModelLimit, ModelType, Origin, PriceTier,
};
use crate::crd::model_class::{ClassNeed, Preferred};
use crate::crd::reasons::{ConditionStatus, Reason};
use crate::crd::{Kind, ProviderType};
use crate::db::{
    CredentialRow, CredentialVersionRow, DeclaredRow, EndpointRow, ModelClassRow, ModelRow,
    ObjectRow, ProviderRow,
};

/// Versions of a key that are shown, newest first; as many as the resource's status holds.
const SHOWN_VERSIONS: usize = 10;

/// A row of one of the five kinds.
pub trait View: Serialize + Send + Sync + 'static {
    /// Which kind.
    const KIND: Kind;
    /// What all rows carry.
    fn common(&self) -> &Common;
    /// The provider that it belongs to; none for a provider and for a class.
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
    #[schema(nullable = false)]
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
    #[schema(value_type = String)]
    pub base_url: BaseUrl,
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
    /// By what agreement the vendor exchanges tokens of a ServiceAccount, in the place of a key; null where
    /// there is a key.
    #[serde(serialize_with = "in_snake_case")]
    #[schema(schema_with = schema::federation)]
    pub federation: Option<Federation>,
}

fn in_snake_case<S: Serializer>(
    federation: &Option<Federation>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let declared = serde_json::to_value(federation).map_err(S::Error::custom)?;
    fields::part_shown(&declared).serialize(serializer)
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
    /// When it ends, where it is a vendor's token.
    pub ends: Option<Timestamp>,
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
    /// The vendor's model behind a deployment, a fine-tune or a local name.
    pub base_model: Option<String>,
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
    /// Numbers in a vector that it answers.
    pub embedding_dimensions: Option<i64>,
    /// What it takes; empty: unknown.
    #[schema(schema_with = schema::modalities)]
    pub input_modalities: Vec<Modality>,
    /// What it gives; empty: unknown.
    #[schema(schema_with = schema::modalities)]
    pub output_modalities: Vec<Modality>,
    /// ISO 4217 code of the prices' currency.
    pub currency: Option<String>,
    /// Price of 1,000 tokens of prompt: a decimal number.
    pub input_price: Option<String>,
    /// Price of 1,000 tokens of answer: a decimal number.
    pub output_price: Option<String>,
    /// Price of 1,000 tokens of prompt that the vendor's cache holds.
    pub cache_read_price: Option<String>,
    /// Price of 1,000 tokens of prompt that are written into the vendor's cache.
    pub cache_write_price: Option<String>,
    /// Price of 1,000 tokens of reasoning, where it is not that of the answer.
    pub reasoning_price: Option<String>,
    /// Price of 1,000 tokens of audio in the prompt.
    pub audio_input_price: Option<String>,
    /// Price of 1,000 tokens of audio in the answer.
    pub audio_output_price: Option<String>,
    /// Price of 1,000 tokens of prompt in a batch.
    pub batch_input_price: Option<String>,
    /// Price of 1,000 tokens of answer in a batch.
    pub batch_output_price: Option<String>,
    /// Price of one image that is made.
    pub image_price: Option<String>,
    /// Price of each call, beside its tokens.
    pub request_price: Option<String>,
    /// Prices of calls with longer prompts, by where they begin, the least first.
    pub price_tiers: Vec<PriceTierView>,
    /// How much of it may be used, published for clients.
    pub limits: Vec<LimitView>,
    /// What it can do, and how well.
    pub capabilities: Vec<CapabilityView>,
    /// Tasks it is recommended for.
    pub recommended_for: Vec<String>,
    /// Parameters that clients send unless they know better.
    #[schema(value_type = Option<Object>)]
    pub default_parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// Where it is in its life.
    pub status: ModelStatus,
    /// Since when the vendor advises against it.
    pub deprecated_at: Option<Timestamp>,
    /// When it ends.
    pub retires_at: Option<Timestamp>,
    /// `model_id` of the model to use in its place.
    pub replacement_model_id: Option<String>,
    /// Whether it can be called.
    pub availability: Availability,
    /// By field of this row: `declared`, `vendor` or `catalog`.
    #[schema(schema_with = schema::origins)]
    pub origin: BTreeMap<String, Origin>,
    /// Labels of the object: those of `app.kubernetes.io/`, and of the prefixes that the controller is told.
    pub labels: BTreeMap<String, String>,
    /// All labels that `selector` is matched with. Not shown.
    #[serde(skip)]
    pub selectable_labels: BTreeMap<String, String>,
}

/// Prices of calls with at least so many tokens of prompt, in the place of all prices of tokens beside it. What
/// is null is unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = PriceTier)]
pub struct PriceTierView {
    /// Tokens of prompt from which these prices hold.
    pub from_input_tokens: i64,
    /// Price of 1,000 tokens of prompt.
    pub input_price: Option<String>,
    /// Price of 1,000 tokens of answer.
    pub output_price: Option<String>,
    /// Price of 1,000 tokens of prompt that the vendor's cache holds.
    pub cache_read_price: Option<String>,
    /// Price of 1,000 tokens of prompt that are written into the vendor's cache.
    pub cache_write_price: Option<String>,
    /// Price of 1,000 tokens of reasoning.
    pub reasoning_price: Option<String>,
    /// Price of 1,000 tokens of audio in the prompt.
    pub audio_input_price: Option<String>,
    /// Price of 1,000 tokens of audio in the answer.
    pub audio_output_price: Option<String>,
    /// Price of 1,000 tokens of prompt in a batch.
    pub batch_input_price: Option<String>,
    /// Price of 1,000 tokens of answer in a batch.
    pub batch_output_price: Option<String>,
}

/// How much of a model may be used.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Limit)]
pub struct LimitView {
    /// What is counted: `Requests`, `Tokens`, `InputTokens`, `OutputTokens` or `ConcurrentRequests`.
    #[schema(schema_with = schema::limit_unit)]
    pub unit: LimitUnit,
    /// How many in a period, or at once.
    pub limit: i64,
    /// In which period: `Minute`, `Hour`, `Day` or `Month`; null for `ConcurrentRequests`.
    #[schema(schema_with = schema::quota_period)]
    pub period: Option<QuotaPeriod>,
}

/// The prices that a call is counted by: what is unknown is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallPrices<'a> {
    /// Of 1,000 tokens of prompt.
    pub input: Option<&'a str>,
    /// Of 1,000 tokens of answer.
    pub output: Option<&'a str>,
    /// Of 1,000 tokens of prompt that the vendor's cache holds.
    pub cache_read: Option<&'a str>,
    /// Of the call itself.
    pub request: Option<&'a str>,
}

/// A name that agents ask for, and the model that it means now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ModelClass)]
pub struct ModelClassView {
    #[serde(flatten)]
    pub common: Common,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Names of the models, in order of preference; empty where `need` says what a model must be.
    pub models: Vec<String>,
    /// What a model must be; null where `models` names them.
    pub need: Option<ClassNeedView>,
    /// Which of several comes first: `order`, `price`, `score` or `context`.
    pub prefer: PreferView,
    /// Whether a deprecated model may be meant.
    pub allow_deprecated: bool,
    /// What it means now, for who asks with a key and may use every credential; null where no model
    /// can be called.
    pub current: Option<CurrentModelView>,
    /// How many models are what it asks for, whether they can be called at this moment or not.
    pub candidates: i32,
    /// Whether there is a model that can be called.
    pub availability: Availability,
}

/// What a model must be: every part that is null or empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = ClassNeed)]
pub struct ClassNeedView {
    /// It can do all of these.
    #[schema(schema_with = schema::capabilities)]
    pub capabilities: Vec<Capability>,
    /// It scores at least this in each of them.
    pub min_score: Option<i32>,
    /// Tokens of prompt and answer together, at least.
    pub min_context_window: Option<i64>,
    /// Tokens of answer, at least.
    pub min_output_tokens: Option<i64>,
    /// Price of 1,000 tokens of prompt in `currency`, at most: a decimal number.
    pub max_input_price: Option<String>,
    /// Price of 1,000 tokens of answer in `currency`, at most: a decimal number.
    pub max_output_price: Option<String>,
    /// ISO 4217 code of the only currency that its prices may be in.
    pub currency: Option<String>,
    /// Its provider is of one of these types.
    #[schema(schema_with = schema::provider_types)]
    pub provider_types: Vec<ProviderType>,
    /// It is served in one of these regions.
    pub regions: Vec<String>,
    /// It has these labels.
    pub selector: BTreeMap<String, String>,
    /// It is none of these, by name, display name or `model_id`.
    pub exclude: Vec<String>,
    /// It takes all of these forms.
    #[schema(schema_with = schema::modalities)]
    pub input_modalities: Vec<Modality>,
    /// It gives all of these forms.
    #[schema(schema_with = schema::modalities)]
    pub output_modalities: Vec<Modality>,
    /// It answers vectors of so many numbers.
    pub embedding_dimensions: Option<i64>,
    /// It is recommended for all of these tasks.
    pub recommended_for: Vec<String>,
    /// Tokens of prompt of a typical call, which prices are compared for.
    pub prompt_tokens: Option<i64>,
    /// Of those, the tokens that the vendor's cache holds.
    pub cached_tokens: Option<i64>,
    /// Tokens of answer of a typical call, which prices are compared for.
    pub output_tokens: Option<i64>,
}

/// Which of several models comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ClassPreference)]
pub enum PreferView {
    Order,
    Price,
    Score,
    Context,
}

/// The model that a class means, and where that is called.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CurrentModel)]
pub struct CurrentModelView {
    /// Name of the model.
    pub model: String,
    /// Name of the endpoint that is tried first.
    pub endpoint: String,
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

    /// Whether its end has come: it is given to nobody.
    pub fn is_retired(&self) -> bool {
        self.availability.reason == Reason::Retired.as_str()
    }

    /// The prices of a call with so many tokens of prompt: those of the last tier that it reaches, or of none.
    /// An amount without a currency is no price.
    pub fn prices_of_call(&self, prompt_tokens: u64) -> CallPrices<'_> {
        if self.currency.is_none() {
            return CallPrices::default();
        }
        let reaches = |tier: &&PriceTierView| {
            u64::try_from(tier.from_input_tokens).is_ok_and(|from| from <= prompt_tokens)
        };
        let tier = self.price_tiers.iter().rev().find(reaches);
        let (input, output, cache_read) = match tier {
            Some(tier) => (
                &tier.input_price,
                &tier.output_price,
                &tier.cache_read_price,
            ),
            None => (
                &self.input_price,
                &self.output_price,
                &self.cache_read_price,
            ),
        };
        CallPrices {
            input: input.as_deref(),
            output: output.as_deref(),
            cache_read: cache_read.as_deref(),
            request: self.request_price.as_deref(),
        }
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
view!(ModelClassView, ModelClass);

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
            federation: row.federation.clone(),
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
            ends: version.token_end(),
        }
    }

    /// Whether it is a vendor's token that has ended.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|end| end <= now)
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
            base_model: row.base_model.clone(),
            display_name: row.display_name.clone(),
            version: row.version.clone(),
            type_: row.type_,
            context_window: row.context_window,
            max_input_tokens: row.max_input_tokens,
            max_output_tokens: row.max_output_tokens,
            embedding_dimensions: row.embedding_dimensions,
            input_modalities: row.input_modalities.clone(),
            output_modalities: row.output_modalities.clone(),
            currency: row.currency.clone(),
            input_price: row.input_price.clone(),
            output_price: row.output_price.clone(),
            cache_read_price: row.cache_read_price.clone(),
            cache_write_price: row.cache_write_price.clone(),
            reasoning_price: row.reasoning_price.clone(),
            audio_input_price: row.audio_input_price.clone(),
            audio_output_price: row.audio_output_price.clone(),
            batch_input_price: row.batch_input_price.clone(),
            batch_output_price: row.batch_output_price.clone(),
            image_price: row.image_price.clone(),
            request_price: row.request_price.clone(),
            price_tiers: row.price_tiers.iter().map(PriceTierView::from).collect(),
            limits: row.limits.iter().map(LimitView::from).collect(),
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
            deprecated_at: row.deprecated_at,
            retires_at: row.retires_at,
            replacement_model_id: row.replacement_model_id.clone(),
            availability: Availability::of(&row.conditions),
            origin: origin_by_field(&row.origin),
            labels: row.shown_labels.clone(),
            selectable_labels: row.labels.clone(),
        }
    }
}

impl From<&PriceTier> for PriceTierView {
    fn from(tier: &PriceTier) -> Self {
        Self {
            from_input_tokens: tier.from_input_tokens,
            input_price: tier.input_per1k_tokens.clone(),
            output_price: tier.output_per1k_tokens.clone(),
            cache_read_price: tier.cache_read_per1k_tokens.clone(),
            cache_write_price: tier.cache_write_per1k_tokens.clone(),
            reasoning_price: tier.reasoning_per1k_tokens.clone(),
            audio_input_price: tier.audio_input_per1k_tokens.clone(),
            audio_output_price: tier.audio_output_per1k_tokens.clone(),
            batch_input_price: tier.batch_input_per1k_tokens.clone(),
            batch_output_price: tier.batch_output_per1k_tokens.clone(),
        }
    }
}

impl From<&ModelLimit> for LimitView {
    fn from(limit: &ModelLimit) -> Self {
        Self {
            unit: limit.unit,
            limit: limit.limit,
            period: limit.period,
        }
    }
}

impl From<&ModelClassRow> for ModelClassView {
    fn from(row: &ModelClassRow) -> Self {
        Self {
            common: Common::of(row, true),
            display_name: row.display_name.clone(),
            description: row.description.clone(),
            models: row.models.clone(),
            need: row.need.as_ref().map(ClassNeedView::from),
            prefer: row.prefer.into(),
            allow_deprecated: row.allow_deprecated,
            current: row.current.as_ref().map(|current| CurrentModelView {
                model: current.model.clone(),
                endpoint: current.endpoint.clone(),
            }),
            candidates: row.candidates,
            availability: Availability::of(&row.conditions),
        }
    }
}

impl From<&ClassNeed> for ClassNeedView {
    fn from(need: &ClassNeed) -> Self {
        // Every field is named here, so that none is left out.
        let ClassNeed {
            capabilities,
            min_score,
            min_context_window,
            min_output_tokens,
            max_input_price_per1k_tokens,
            max_output_price_per1k_tokens,
            currency,
            provider_types,
            regions,
            selector,
            exclude,
            modalities,
            embedding_dimensions,
            recommended_for,
            prompt_tokens,
            cached_tokens,
            output_tokens,
        } = need.clone();
        let modalities = modalities.unwrap_or_default();
        Self {
            capabilities,
            min_score,
            min_context_window,
            min_output_tokens,
            max_input_price: max_input_price_per1k_tokens,
            max_output_price: max_output_price_per1k_tokens,
            currency,
            provider_types,
            regions,
            selector: selector.unwrap_or_default().match_labels,
            exclude,
            input_modalities: modalities.input,
            output_modalities: modalities.output,
            embedding_dimensions,
            recommended_for,
            prompt_tokens,
            cached_tokens,
            output_tokens,
        }
    }
}

impl From<Preferred> for PreferView {
    fn from(prefer: Preferred) -> Self {
        match prefer {
            Preferred::Order => Self::Order,
            Preferred::Price => Self::Price,
            Preferred::Score => Self::Score,
            Preferred::Context => Self::Context,
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
