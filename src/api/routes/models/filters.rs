//! Which models are asked for, and in which order: what the query says, what is taken, and what is sorted by.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use regex::Regex;
use utoipa::IntoParams;
use utoipa::openapi::schema::Object;
use uuid::Uuid;

use crate::api::auth::Scope;
use crate::api::openapi;
use crate::api::problem::Problem;
use crate::api::read::cursor::{Price, Rank};
use crate::api::read::list_query::{self, Index, Sort};
use crate::api::read::query_params::{FromQuery, Query, documented_names, one_of};
use crate::crd::Capability;
use crate::crd::model::{Modality, ModelType};
use crate::crd::rules::MAX_TOKENS;
use crate::resolve::{Prices, TypicalCall};
use crate::snapshot::{Decimal, ModelStatus, ModelView, Snapshot};

macro_rules! label_part {
    () => {
        "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
    };
}

macro_rules! label {
    () => {
        concat!(
            "([A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?/)?",
            label_part!(),
            "=(",
            label_part!(),
            ")?"
        )
    };
}

/// Labels that are asked for.
pub const SELECTOR_PATTERN: &str = concat!("^", label!(), "(,", label!(), ")*$");

/// Tokens that a typical call may have.
const TOKENS: RangeInclusive<i64> = 0..=MAX_TOKENS;
const STATUSES: [&str; 3] = ["available", "maintenance", "deprecated"];
const SORTS: [&str; 10] = [
    "name",
    "-name",
    "created_at",
    "-created_at",
    "context_window",
    "-context_window",
    "price",
    "-price",
    "score",
    "-score",
];

fn statuses() -> Object {
    openapi::one_of(STATUSES)
}

fn sorts() -> Object {
    let mut sorts = openapi::one_of(SORTS);
    sorts.default = Some("name".into());
    sorts
}

/// Which models, in which order.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filters {
    /// Only of this provider: its id or its name.
    provider: Option<String>,
    /// Only of this type.
    #[param(schema_with = openapi::model_type, required = false)]
    r#type: Option<ModelType>,
    /// Only with this status: `available`, `maintenance` or `deprecated`.
    #[param(schema_with = statuses, required = false)]
    status: Option<ModelStatus>,
    /// Only what can do this; repeat it for what can do all of them.
    #[param(schema_with = openapi::capabilities, required = false)]
    pub(super) capability: Vec<Capability>,
    /// Only what scores at least this, in every capability asked for.
    #[param(minimum = 1, maximum = 5)]
    min_score: Option<i32>,
    /// Only of this model of the vendor's: by its own id, or as the one behind it.
    base_model: Option<String>,
    /// Only what takes this; repeat it for what takes all of them.
    #[param(schema_with = openapi::modalities, required = false)]
    input_modality: Vec<Modality>,
    /// Only what gives this; repeat it for what gives all of them.
    #[param(schema_with = openapi::modalities, required = false)]
    output_modality: Vec<Modality>,
    /// Only what answers vectors of so many numbers.
    #[param(minimum = 1)]
    embedding_dimensions: Option<i64>,
    /// Only what has these labels: `key=value`, several with commas between them.
    #[param(value_type = Option<String>, example = "acme.example/team=search")]
    selector: Vec<(String, String)>,
    /// Only what retires before this time (RFC 3339), or has.
    #[param(value_type = Option<String>, format = DateTime)]
    retires_before: Option<Timestamp>,
    /// Only with at least this many tokens of context.
    #[param(minimum = 1)]
    min_context_window: Option<i64>,
    /// Only what costs at most this per 1,000 tokens of prompt, in `currency`: of a typical call where one is
    /// given, by its tier and with what the vendor's cache holds at its own price.
    #[param(value_type = Option<String>, example = "0.0025")]
    max_input_price: Option<Decimal>,
    /// Tokens of prompt of a typical call.
    #[param(minimum = 0, maximum = 1000000000)]
    prompt_tokens: Option<i64>,
    /// Of those, the tokens that the vendor's cache holds.
    #[param(minimum = 0, maximum = 1000000000)]
    cached_tokens: Option<i64>,
    /// Tokens of answer of a typical call.
    #[param(minimum = 0, maximum = 1000000000)]
    output_tokens: Option<i64>,
    /// Only with prices in this currency (ISO 4217).
    #[param(example = "USD")]
    currency: Option<String>,
    /// The order: `name`, `created_at`, `context_window`, `price` (by currency, what a typical call costs where
    /// one is given, input, output) or `score` (the least of the capabilities asked for); `-` in front turns it around. What is
    /// unknown comes last.
    #[param(schema_with = sorts, required = false)]
    sort: &'static str,
}

impl FromQuery for Filters {
    documented_names!(Filters);

    fn read(query: &Query<'_>) -> Result<Self, Problem> {
        let types: Vec<_> = ModelType::ALL.iter().map(|word| word.as_str()).collect();
        let sort = query.word("sort", &SORTS, |asked| {
            SORTS.into_iter().find(|sort| *sort == asked)
        })?;
        Ok(Self {
            provider: query.text("provider")?,
            r#type: query.word("type", &types, ModelType::parse)?,
            status: query.word("status", &STATUSES, ModelStatus::parse)?,
            capability: capabilities(query)?,
            base_model: query.text("base_model")?,
            input_modality: modalities(query, "input_modality")?,
            output_modality: modalities(query, "output_modality")?,
            embedding_dimensions: query.number("embedding_dimensions", 1..=i64::MAX)?,
            selector: query
                .one("selector")?
                .map(selector)
                .transpose()?
                .unwrap_or_default(),
            retires_before: query.one("retires_before")?.map(time).transpose()?,
            min_score: query.number("min_score", 1..=5)?,
            min_context_window: query.number("min_context_window", 1..=i64::MAX)?,
            max_input_price: query.one("max_input_price")?.map(price).transpose()?,
            prompt_tokens: query.number("prompt_tokens", TOKENS)?,
            cached_tokens: query.number("cached_tokens", TOKENS)?,
            output_tokens: query.number("output_tokens", TOKENS)?,
            currency: query.one("currency")?.map(currency).transpose()?,
            sort: sort.unwrap_or("name"),
        })
    }
}

/// Those asked for, each once: a second mention asks for nothing more.
fn capabilities(query: &Query<'_>) -> Result<Vec<Capability>, Problem> {
    let mut asked = Vec::new();
    for word in query.all("capability") {
        let one = capability(word)?;
        if !asked.contains(&one) {
            asked.push(one);
        }
    }
    Ok(asked)
}

pub(super) fn capability(word: &str) -> Result<Capability, Problem> {
    Capability::parse(word).ok_or_else(|| {
        let all: Vec<_> = Capability::ALL.iter().map(|word| word.as_str()).collect();
        one_of("capability", &all)
    })
}

fn modalities(query: &Query<'_>, name: &str) -> Result<Vec<Modality>, Problem> {
    let read = |word: &str| {
        Modality::parse(word).ok_or_else(|| one_of(name, &Modality::ALL.map(Modality::as_str)))
    };
    query.all(name).map(read).collect()
}

/// Labels that are asked for, as `kubectl` writes them; nothing but `=` is understood.
fn selector(text: &str) -> Result<Vec<(String, String)>, Problem> {
    static FORM: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(SELECTOR_PATTERN).expect("a constant pattern"));
    if !FORM.is_match(text) {
        return Err(Problem::parameter(
            "selector",
            "expected labels such as stage=production, several with commas between them",
        ));
    }
    let labels = text.split(',').filter_map(|label| label.split_once('='));
    Ok(labels
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

/// A time, or the beginning of a day in UTC.
fn time(text: &str) -> Result<Timestamp, Problem> {
    let of_day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
    let time = text.parse().ok();
    time.or_else(|| of_day().map(|day| day.timestamp()))
        .ok_or_else(|| {
            Problem::parameter(
                "retires_before",
                "expected a time (RFC 3339) such as 2027-01-31T00:00:00Z, or a day such as 2027-01-31",
            )
        })
}

fn price(text: &str) -> Result<Decimal, Problem> {
    Decimal::parse(text).ok_or_else(|| {
        Problem::parameter(
            "max_input_price",
            "expected a decimal number such as 0.0025",
        )
    })
}

fn currency(text: &str) -> Result<String, Problem> {
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text.to_owned());
    }
    Err(Problem::parameter(
        "currency",
        "expected an ISO 4217 code such as USD",
    ))
}

impl Filters {
    /// The call that prices are compared for.
    pub(super) fn call(&self) -> Result<Option<TypicalCall>, Problem> {
        TypicalCall::of(self.prompt_tokens, self.cached_tokens, self.output_tokens)
            .map_err(|(parameter, why)| Problem::parameter(parameter, why))
    }

    /// What only makes sense together.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.max_input_price.is_some() && self.currency.is_none() {
            return Err(Problem::parameter(
                "max_input_price",
                "a price needs its currency: add currency=USD, for example",
            ));
        }
        if self.capability.is_empty() && self.min_score.is_some() {
            return Err(Problem::parameter(
                "min_score",
                "a score is a capability's: add capability=",
            ));
        }
        if self.capability.is_empty() && self.sort.ends_with("score") {
            return Err(Problem::parameter(
                "sort",
                "a score is a capability's: add capability=",
            ));
        }
        Ok(())
    }

    pub(super) fn takes(
        &self,
        snapshot: &Snapshot,
        model: &ModelView,
        call: Option<TypicalCall>,
    ) -> bool {
        self.takes_provider(snapshot, model)
            && self.r#type.is_none_or(|wanted| model.type_ == Some(wanted))
            && self.status.is_none_or(|wanted| model.status == wanted)
            && self.takes_capabilities(model)
            && self.takes_make(model)
            && self.takes_life(model)
            && self
                .min_context_window
                .is_none_or(|least| model.context_window.is_some_and(|window| window >= least))
            && self
                .currency
                .as_ref()
                .is_none_or(|wanted| model.currency.as_ref() == Some(wanted))
            && self.max_input_price.as_ref().is_none_or(|most| {
                // What is not known may be any price.
                Prices::of(model, call).input_within(most) == Some(true)
            })
    }

    fn takes_provider(&self, snapshot: &Snapshot, model: &ModelView) -> bool {
        let Some(wanted) = &self.provider else {
            return true;
        };
        if list_query::uid(wanted) == Some(model.provider_id) {
            return true;
        }
        let provider = snapshot.providers.by_uid(model.provider_id);
        provider.is_some_and(|provider| provider.view.common.name == *wanted)
    }

    fn takes_make(&self, model: &ModelView) -> bool {
        let holds =
            |has: &[Modality], wanted: &[Modality]| wanted.iter().all(|one| has.contains(one));
        self.base_model.as_ref().is_none_or(|wanted| {
            model.base_model.as_ref() == Some(wanted) || model.model_id == *wanted
        }) && holds(&model.input_modalities, &self.input_modality)
            && holds(&model.output_modalities, &self.output_modality)
            && self
                .embedding_dimensions
                .is_none_or(|wanted| model.embedding_dimensions == Some(wanted))
            && (self.selector.iter())
                .all(|(key, value)| model.selectable_labels.get(key) == Some(value))
    }

    fn takes_life(&self, model: &ModelView) -> bool {
        self.retires_before
            .is_none_or(|time| model.retires_at.is_some_and(|end| end < time))
    }

    fn takes_capabilities(&self, model: &ModelView) -> bool {
        self.capability.iter().all(|wanted| {
            model.capability(*wanted).is_some_and(|score| {
                self.min_score
                    .is_none_or(|least| score.is_some_and(|score| score >= least))
            })
        })
    }

    /// The smallest index that holds all that can be found.
    pub(super) fn index(&self, snapshot: &Snapshot, scope: &Scope) -> Index {
        let provider = self.provider.as_deref().and_then(list_query::uid);
        // Where no provider has that UID, one may have that name.
        let here = |uid: &Uuid| {
            let found = snapshot.providers.by_uid(*uid);
            found.is_some_and(|found| scope.holds(&found.view.common.namespace))
        };
        match (provider.filter(here), self.capability.first()) {
            (Some(provider), _) => Index::OfProvider(provider),
            (None, Some(capability)) => Index::WithCapability(*capability),
            (None, None) => Index::All,
        }
    }

    pub(super) fn sort(&self, call: Option<TypicalCall>) -> Sort<ModelView> {
        let capabilities = self.capability.clone();
        let rank: Box<dyn Fn(&ModelView) -> Rank + Send + Sync> =
            match self.sort.trim_start_matches('-') {
                "created_at" => Box::new(|model| Rank::Time(model.common.created_at)),
                "context_window" => Box::new(|model| Rank::Number(model.context_window)),
                "price" => Box::new(move |model| Rank::Price(price_of(model, call))),
                "score" => Box::new(move |model| Rank::Number(least_score(model, &capabilities))),
                _ => Box::new(|_| Rank::Name),
            };
        Sort {
            word: self.sort,
            rank,
        }
    }
}

/// What a model is sorted by: what the call costs, or without one its prices.
fn price_of(
    model: &ModelView,
    call: Option<TypicalCall>,
) -> Option<(String, Price, Option<Price>)> {
    let read = |text: &Option<String>| text.clone().and_then(|text| Price::try_from(text).ok());
    if call.is_some() {
        let cost = Prices::of(model, call).cost()?;
        let cost = Price::try_from(cost.to_string()).ok()?;
        return Some((model.currency.clone()?, cost, None));
    }
    Some((
        model.currency.clone()?,
        read(&model.input_price)?,
        read(&model.output_price),
    ))
}

fn least_score(model: &ModelView, capabilities: &[Capability]) -> Option<i64> {
    capabilities
        .iter()
        .map(|wanted| model.capability(*wanted).flatten().map(i64::from))
        .min_by_key(|score| score.unwrap_or(i64::MIN))
        .flatten()
}
