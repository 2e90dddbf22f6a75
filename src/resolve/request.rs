//! What is asked for.

use std::collections::BTreeMap;

use crate::crd::{Capability, ProviderType, decimal::Decimal};

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The model, or what it must be able to do.
    pub wanted: Wanted,
    /// Whether a key is asked for: a model that cannot be called for want of one meets no need then.
    pub with_key: bool,
}

/// The model, or what it must be able to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// The model of this name, display name or `modelId`.
    Named(String),
    /// The best of those that meet this.
    Need(Box<Need>),
}

/// What a model must be. Every part that is absent or empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Need {
    /// It can do all of these.
    pub capabilities: Vec<Capability>,
    /// It scores at least this in each of them: 1 to 5.
    pub min_score: Option<i32>,
    /// Tokens of prompt and answer together, at least.
    pub min_context_window: Option<i64>,
    /// Tokens of answer, at least.
    pub min_output_tokens: Option<i64>,
    /// Price of 1,000 tokens of prompt in `currency`, at most.
    pub max_input_price: Option<Decimal>,
    /// Price of 1,000 tokens of answer in `currency`, at most.
    pub max_output_price: Option<Decimal>,
    /// Its prices are in no other currency: an ISO 4217 code.
    pub currency: Option<String>,
    /// Which of those that meet all this is the best.
    pub prefer: Prefer,
    /// Its provider is of one of these types.
    pub provider_types: Vec<ProviderType>,
    /// It is served in one of these regions, and is to be called there alone.
    pub regions: Vec<String>,
    /// It has these labels.
    pub selector: BTreeMap<String, String>,
    /// It is none of these, by name, display name or `modelId`.
    pub exclude: Vec<String>,
    /// It is recommended for all of these tasks; upper and lower case are the same.
    pub recommended_for: Vec<String>,
    /// It may be deprecated.
    pub allow_deprecated: bool,
    /// The call that prices are compared for.
    pub typical_call: Option<TypicalCall>,
}

/// What the best model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prefer {
    /// The cheapest.
    #[default]
    Price,
    /// The one with the highest score in the capabilities asked for, of which the lowest counts.
    Score,
    /// The one with the largest context window.
    Context,
}

impl Prefer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Price, Self::Score, Self::Context];

    /// The word that asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Score => "score",
            Self::Context => "context",
        }
    }
}

/// A call that is made often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypicalCall {
    /// Tokens of prompt.
    pub prompt_tokens: u64,
    /// Tokens of answer.
    pub output_tokens: u64,
}
