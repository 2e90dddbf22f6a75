//! The body of `POST /resolve`: what it may say, and what is told where it says something else.

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

use super::values::{Amount, Currency, Flag, Labels, List, OneOrMany, Text, Whole, Word};
use crate::api::openapi;
use crate::api::problem::Problem;
use crate::api::read::request_body;
use crate::crd::model::Modality;
use crate::crd::names::did_you_mean;
use crate::crd::rules::{MAX_DIMENSIONS, MAX_TOKENS};
use crate::crd::{Capability, ProviderType};
use crate::resolve::{self, Need, Prefer, Tier, TypicalCall, Wanted};
use crate::snapshot::Snapshot;

type Tokens = Whole<1, MAX_TOKENS>;
type TokensOfCall = Whole<0, MAX_TOKENS>;

/// Either `model`, or `class`, or what the model must be: any of the other fields but the last three.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "capabilities": ["FunctionCalling"],
    "min_context_window": 128000,
    "prefer": "price",
    "currency": "USD",
    "regions": ["eu-central-1"],
}))]
pub struct ResolveRequest {
    /// Name of the model, else its display name, else its `model_id`; where no model has it, name of a
    /// class.
    #[schema(schema_with = optional_text, required = false)]
    model: Option<Text>,
    /// Name of a model class.
    #[schema(schema_with = optional_text, required = false)]
    class: Option<Text>,
    /// It can do all of these.
    #[schema(schema_with = openapi::capabilities, required = false)]
    capabilities: Option<List<Word<Capability>>>,
    /// It scores at least this in each of `capabilities`.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 5)]
    min_score: Option<Whole<1, 5>>,
    /// Tokens of prompt and answer together, at least.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000000000)]
    min_context_window: Option<Tokens>,
    /// Tokens of answer, at least.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000000000)]
    min_output_tokens: Option<Tokens>,
    /// Price of 1,000 tokens of prompt in `currency`, at most: a decimal number.
    #[schema(value_type = Option<String>, pattern = r"^[0-9]+(\.[0-9]+)?$", max_length = 64, example = "0.0025")]
    max_input_price: Option<Amount>,
    /// Price of 1,000 tokens of answer in `currency`, at most: a decimal number.
    #[schema(value_type = Option<String>, pattern = r"^[0-9]+(\.[0-9]+)?$", max_length = 64, example = "0.01")]
    max_output_price: Option<Amount>,
    /// Its prices are in no other currency: an ISO 4217 code.
    #[schema(value_type = Option<String>, pattern = "^[A-Z]{3}$", example = "USD")]
    currency: Option<Currency>,
    /// The best is the cheapest (`price`), the one with the highest score in `capabilities`
    /// (`score`) or the one with the largest context window (`context`).
    #[schema(schema_with = prefer_words, required = false)]
    prefer: Option<Word<Prefer>>,
    /// Its provider is of one of these types.
    #[schema(schema_with = provider_types, required = false)]
    provider_types: Option<List<Word<ProviderType>>>,
    /// It is served in one of these regions, and is to be called there alone.
    #[schema(schema_with = texts, required = false)]
    regions: Option<List<Text>>,
    /// It has these labels.
    #[schema(schema_with = labels, required = false)]
    selector: Option<Labels>,
    /// It is none of these, by name, display name or `model_id`.
    #[schema(schema_with = texts, required = false)]
    exclude: Option<List<Text>>,
    /// It is recommended for all of these tasks.
    #[schema(schema_with = texts, required = false)]
    recommended_for: Option<OneOrMany<Text>>,
    /// It takes all of these forms.
    #[schema(schema_with = openapi::modalities, required = false)]
    input_modalities: Option<List<Word<Modality>>>,
    /// It gives all of these forms.
    #[schema(schema_with = openapi::modalities, required = false)]
    output_modalities: Option<List<Word<Modality>>>,
    /// It answers vectors of so many numbers.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1000000)]
    embedding_dimensions: Option<Whole<1, MAX_DIMENSIONS>>,
    /// It may be deprecated.
    #[schema(value_type = Option<bool>, default = false)]
    allow_deprecated: Option<Flag>,
    /// Tokens of prompt of a typical call, which prices are compared for.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1000000000)]
    prompt_tokens: Option<TokensOfCall>,
    /// Of those, the tokens that the vendor's cache holds: they are counted at its price.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1000000000)]
    cached_tokens: Option<TokensOfCall>,
    /// Tokens of answer of a typical call, which prices are compared for.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 1000000000)]
    output_tokens: Option<TokensOfCall>,
    /// Whether the key is wanted too.
    #[schema(value_type = Option<bool>, default = false)]
    with_secret: Option<Flag>,
    /// What the key is wanted for; the audit notes it.
    #[schema(schema_with = optional_text, required = false)]
    purpose: Option<Text>,
    /// Whether every target is to carry its key, and not the first alone.
    #[schema(value_type = Option<bool>, default = false)]
    all_targets: Option<Flag>,
}

/// A text, as the description has it.
fn text() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(256))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"))
}

fn optional_text() -> Object {
    text().schema_type(or_null(Type::String)).build()
}

fn texts() -> Array {
    ArrayBuilder::new()
        .schema_type(or_null(Type::Array))
        .items(text())
        .max_items(Some(100))
        .build()
}

fn labels() -> Object {
    let part = |most: u8| format!("[A-Za-z0-9]([-A-Za-z0-9_.]{{0,{most}}}[A-Za-z0-9])?");
    let key = format!("^({}/)?{}$", part(251), part(61));
    let of_pattern = |pattern: String| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(pattern))
    };
    ObjectBuilder::new()
        .schema_type(or_null(Type::Object))
        .property_names(Some(of_pattern(key)))
        .additional_properties(Some(of_pattern(format!("^({})?$", part(61)))))
        .max_properties(Some(100))
        .build()
}

fn or_null(kind: Type) -> SchemaType {
    SchemaType::from_iter([kind, Type::Null])
}

fn prefer_words() -> Object {
    openapi::one_of(Prefer::ALL.map(Prefer::as_str))
}

fn provider_types() -> Array {
    ArrayBuilder::new()
        .items(openapi::provider_type())
        .max_items(Some(100))
        .build()
}

/// A request that makes sense.
#[derive(Debug, PartialEq)]
pub struct ReadRequest {
    /// What is asked for.
    pub asked: resolve::Request,
    /// What the key is wanted for, where one is.
    pub purpose: Option<String>,
    /// Whether every target is to carry its key.
    pub all_targets: bool,
}

/// Reads a body.
///
/// # Errors
///
/// 400 that names the field and says what to write there.
pub fn read(body: &[u8]) -> Result<ReadRequest, Problem> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::body(
            "send a JSON object that names a model or a class, or says what the model must be, such as \
             {\"model\": \"gpt-4o\"} or {\"capabilities\": [\"Chat\"]}",
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let request: ResolveRequest = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| refusal(&error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| refusal(".", &error))?;
    request.checked()
}

/// What is wrong with a body.
fn refusal(path: &str, error: &serde_json::Error) -> Problem {
    match error.to_string().strip_prefix("unknown field `") {
        Some(rest) => {
            let (name, known) = rest.split_once("`, expected").unwrap_or((rest, ""));
            Problem::body(unknown_field(name, known))
        }
        None => request_body::refusal(path, error),
    }
}

fn unknown_field(name: &str, known: &str) -> String {
    let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
    let shown: String = name.chars().take(request_body::MAX_TOLD).collect();
    let near = did_you_mean(&shown, known.iter().copied());
    let known = known.join(", ");
    format!("{shown:?} is no field of this request{near}; it knows {known}")
}

impl ResolveRequest {
    /// What it asks for, where its parts go together.
    fn checked(self) -> Result<ReadRequest, Problem> {
        let with_key = self.with_secret.is_some_and(|flag| flag.0);
        let all_targets = self.all_targets.is_some_and(|flag| flag.0);
        let purpose = self.purpose.clone().map(|text| text.0);
        let wanted = match (&self.model, &self.class, self.first_of_need()) {
            (Some(model), None, None) => Wanted::Named(model.0.clone()),
            (None, Some(class), None) => Wanted::Class(class.0.clone()),
            (None, None, Some(_)) => Wanted::Need(Box::new(self.need()?)),
            (None, None, None) => {
                return Err(Problem::body(
                    "name a model (model) or a class (class), or say what the model must be: \
                     capabilities, min_context_window, prefer or another field of a need",
                ));
            }
            (Some(_), Some(_), _) => {
                return Err(Problem::body(
                    "class: a request names a model or a class, not both; leave out one of the two",
                ));
            }
            (Some(_), None, Some(field)) => return Err(not_both("model", field)),
            (None, Some(_), Some(field)) => return Err(not_both("class", field)),
        };
        Ok(ReadRequest {
            asked: resolve::Request { wanted, with_key },
            purpose,
            all_targets,
        })
    }

    /// The first field that says what a model must be.
    fn first_of_need(&self) -> Option<&'static str> {
        let given = [
            ("capabilities", self.capabilities.is_some()),
            ("min_score", self.min_score.is_some()),
            ("min_context_window", self.min_context_window.is_some()),
            ("min_output_tokens", self.min_output_tokens.is_some()),
            ("max_input_price", self.max_input_price.is_some()),
            ("max_output_price", self.max_output_price.is_some()),
            ("currency", self.currency.is_some()),
            ("prefer", self.prefer.is_some()),
            ("provider_types", self.provider_types.is_some()),
            ("regions", self.regions.is_some()),
            ("selector", self.selector.is_some()),
            ("exclude", self.exclude.is_some()),
            ("recommended_for", self.recommended_for.is_some()),
            ("input_modalities", self.input_modalities.is_some()),
            ("output_modalities", self.output_modalities.is_some()),
            ("embedding_dimensions", self.embedding_dimensions.is_some()),
            ("allow_deprecated", self.allow_deprecated.is_some()),
            ("prompt_tokens", self.prompt_tokens.is_some()),
            ("cached_tokens", self.cached_tokens.is_some()),
            ("output_tokens", self.output_tokens.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, there)| *there);
        given.next().map(|(name, _)| name)
    }

    fn need(self) -> Result<Need, Problem> {
        let mut capabilities = Vec::new();
        for Word(wanted) in self.capabilities.map(|list| list.0).unwrap_or_default() {
            if !capabilities.contains(&wanted) {
                capabilities.push(wanted);
            }
        }
        let prefer = self.prefer.map(|word| word.0).unwrap_or_default();
        let texts = |list: Option<Vec<Text>>| -> Vec<String> {
            list.into_iter().flatten().map(|text| text.0).collect()
        };
        let words = |list: Option<List<Word<Modality>>>| -> Vec<Modality> {
            let words = list.map(|list| list.0).unwrap_or_default().into_iter();
            words.map(|word| word.0).collect()
        };
        let provider_types = self.provider_types.map(|list| list.0).unwrap_or_default();
        let tokens = |given: Option<TokensOfCall>| given.map(|tokens| tokens.0);
        let typical_call = TypicalCall::of(
            tokens(self.prompt_tokens),
            tokens(self.cached_tokens),
            tokens(self.output_tokens),
        );
        let need = Need {
            min_score: self.min_score.and_then(|score| i32::try_from(score.0).ok()),
            min_context_window: self.min_context_window.map(|tokens| tokens.0),
            min_output_tokens: self.min_output_tokens.map(|tokens| tokens.0),
            max_input_price: self.max_input_price.map(|amount| amount.0),
            max_output_price: self.max_output_price.map(|amount| amount.0),
            currency: self.currency.map(|code| code.0),
            prefer,
            provider_types: provider_types.into_iter().map(|word| word.0).collect(),
            regions: texts(self.regions.map(|list| list.0)),
            selector: self.selector.map(|labels| labels.0).unwrap_or_default(),
            exclude: texts(self.exclude.map(|list| list.0)),
            recommended_for: texts(self.recommended_for.map(|list| list.0)),
            allow_deprecated: self.allow_deprecated.is_some_and(|flag| flag.0),
            input_modalities: words(self.input_modalities),
            output_modalities: words(self.output_modalities),
            embedding_dimensions: self.embedding_dimensions.map(|numbers| numbers.0),
            typical_call: typical_call
                .map_err(|(field, why)| Problem::body(format!("{field}: {why}")))?,
            capabilities,
        };
        contradictions(&need)?;
        Ok(need)
    }
}

impl ReadRequest {
    /// Gives prices their currency where they name none and only one can be meant.
    ///
    /// # Errors
    ///
    /// 400 that says which currencies there are.
    pub fn with_currency(mut self, snapshot: &Snapshot, tiers: &[Tier]) -> Result<Self, Problem> {
        let settled = resolve::settle_currency(snapshot, tiers, &mut self.asked);
        settled.map_err(|unclear| {
            let field = match &self.asked.wanted {
                Wanted::Need(need) if need.max_input_price.is_some() => "max_input_price",
                _ => "max_output_price",
            };
            let currencies = unclear.currencies.join(", ");
            Problem::body(format!(
                "{field}: a price needs its currency where models have prices in several; add currency, one of \
                 {currencies}"
            ))
        })?;
        Ok(self)
    }
}

/// A name and a need.
fn not_both(named: &str, field: &str) -> Problem {
    Problem::body(format!(
        "{named}: a request names a {named} or says what the model must be, not both; leave out \
         {named}, or {field} and the other fields of a need"
    ))
}

/// What makes no sense together.
fn contradictions(need: &Need) -> Result<(), Problem> {
    let score = "a score is a capability's; add capabilities";
    let found = [
        (
            need.min_score.is_some() && need.capabilities.is_empty(),
            format!("min_score: {score}"),
        ),
        (
            need.prefer == Prefer::Score && need.capabilities.is_empty(),
            format!("prefer: {score}, or prefer \"price\" or \"context\""),
        ),
    ];
    match found.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, what)) => Err(Problem::body(what)),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
