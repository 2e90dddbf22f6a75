//! What is asked for.

use std::collections::BTreeMap;

use crate::crd::{Capability, ProviderType, decimal::Decimal, model::Modality};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The model, or what it must be able to do.
    pub wanted: Wanted,
    /// Whether a key is asked for: a model that cannot be called for want of one meets no need then.
    pub with_key: bool,
}

/// The model, or what it must be able to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The model of this name, display name or `modelId`; where none has it, the class of this name.
    Named(String),
    /// What the class of this name means.
    Class(String),
    /// The best of those that meet this.
    Need(Box<Need>),
}

/// What a model must be. Every part that is absent or empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Need {
    /// It can do all of these.
    pub capabilities: Vec<Capability>,
    /// It scores at least this in each of them: 1 to 5.
    pub min_score: Option<i32>,
    /// Tokens of prompt and answer together, at least.
    pub min_context_window: Option<i64>,
    /// Tokens of answer, at least.
    pub min_output_tokens: Option<i64>,
    /// Price of 1,000 tokens of prompt in `currency`, at most. Without a currency that of each model counts; see
    /// [`settle_currency`](super::settle_currency).
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
    /// It takes all of these forms.
    pub input_modalities: Vec<Modality>,
    /// It gives all of these forms.
    pub output_modalities: Vec<Modality>,
    /// It answers vectors of so many numbers.
    pub embedding_dimensions: Option<i64>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TypicalCall {
    /// Tokens of prompt.
    pub prompt_tokens: u64,
    /// Of those, the tokens that the vendor's cache holds.
    pub cached_tokens: u64,
    /// Tokens of answer.
    pub output_tokens: u64,
}

impl TypicalCall {
    /// A call of so many tokens; none where nothing of one is said.
    ///
    /// # Errors
    ///
    /// Of which field what is wrong, where there can be no such call.
    pub fn of(
        prompt_tokens: Option<i64>,
        cached_tokens: Option<i64>,
        output_tokens: Option<i64>,
    ) -> Result<Option<Self>, (&'static str, &'static str)> {
        if [prompt_tokens, cached_tokens, output_tokens] == [None; 3] {
            return Ok(None);
        }
        let tokens =
            |given: Option<i64>| u64::try_from(given.unwrap_or_default()).unwrap_or_default();
        let call = Self {
            prompt_tokens: tokens(prompt_tokens),
            cached_tokens: tokens(cached_tokens),
            output_tokens: tokens(output_tokens),
        };
        if call.cached_tokens > call.prompt_tokens {
            return Err((
                "cached_tokens",
                "the cache holds a part of the prompt; give at most prompt_tokens",
            ));
        }
        match call == Self::default() {
            true => Err((
                "prompt_tokens",
                "a typical call has at least one token; give prompt_tokens or output_tokens a larger number, or \
                 leave both out",
            )),
            false => Ok(Some(call)),
        }
    }
}
