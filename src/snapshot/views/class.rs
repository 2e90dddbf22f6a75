//! Classes of models as they are shown: what they ask for, and the model that they mean now.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Common;
use crate::crd::ProviderType;
use crate::crd::model::{Capability, Modality};
use crate::crd::model_class::{ClassNeed, Preferred};
use crate::db::ModelClassRow;
use crate::snapshot::schema;
use crate::snapshot::state::Availability;

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
