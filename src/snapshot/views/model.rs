//! Models as they are shown, with their prices, limits and capabilities; and the prices that a call is counted by.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Common;
use crate::crd::credential::QuotaPeriod;
use crate::crd::model::{
    Capability, Lifecycle, LimitUnit, Modality, ModelLimit, ModelType, Origin, PriceTier,
};
use crate::crd::reasons::Reason;
use crate::db::ModelRow;
use crate::snapshot::schema;
use crate::snapshot::state::Availability;

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
