//! The choice against an oracle: a plain reading of the rules over plain values, which shares no
//! code with what it checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::fixtures_tests::{
    at, can, class, credential, endpoint, health, model, provider, snapshot, uid,
};
use super::{Access, Need, Prefer, Request, Resolution, Tier, TypicalCall, Wanted, resolve};
use crate::crd::ProviderType;
use crate::crd::base_url::BaseUrl;
use crate::crd::decimal::Decimal;
use crate::crd::model::{Capability, Modality};
use crate::snapshot::{
    AvailabilityState, ClassNeedView, HealthState, KeyInForce, ModelClassView, ModelStatus,
    PreferView, PriceTierView, Snapshot, ValidityState, Views,
};

#[path = "oracle_reasons_tests.rs"]
mod reasons;

const TYPES: [ProviderType; 3] = [
    ProviderType::OpenAI,
    ProviderType::VLLM,
    ProviderType::Anthropic,
];
const CAPABILITIES: [Capability; 2] = [Capability::Chat, Capability::Vision];
const CURRENCIES: [Option<&str>; 3] = [None, Some("USD"), Some("CNY")];
const REGIONS: [Option<&str>; 3] = [None, Some("eu"), Some("us")];
const NOW: i64 = 100;
const PROVIDERS: usize = 3;

/// Numbers are small, so that equal ones are frequent. A price is in millionths.
#[derive(Clone, Debug)]
struct PlainModel {
    provider: usize,
    only_endpoint: Option<usize>,
    active: bool,
    status: usize,
    unavailable: bool,
    abilities: [Option<Option<i32>>; 2],
    window: Option<i64>,
    output: Option<i64>,
    currency: usize,
    input_price: Option<u64>,
    output_price: Option<u64>,
    cache_price: Option<u64>,
    call_price: Option<u64>,
    /// Where each begins, and its prices of prompt, answer and cache.
    tiers: Vec<(u64, [Option<u64>; 3])>,
    retired: bool,
    gold: bool,
    summaries: bool,
    images: bool,
}

#[derive(Clone, Debug)]
struct PlainEndpoint {
    provider: usize,
    active: bool,
    health: usize,
    default: bool,
    priority: i32,
    age: i64,
    region: usize,
}

#[derive(Clone, Debug)]
struct PlainCredential {
    provider: usize,
    only_endpoint: Option<usize>,
    active: bool,
    invalid: bool,
    has_key: bool,
    of_type: bool,
    ends: Option<i64>,
    priority: i32,
    age: i64,
    refused_at: Option<usize>,
    mine: bool,
}

#[derive(Clone, Debug)]
struct World {
    types: Vec<usize>,
    shared: Vec<bool>,
    models: Vec<PlainModel>,
    endpoints: Vec<PlainEndpoint>,
    credentials: Vec<PlainCredential>,
}

#[derive(Clone, Debug)]
struct PlainClass {
    shared: bool,
    /// The models that it names, each once; none: its need decides.
    names: Option<Vec<usize>>,
    is_ordered: bool,
}

#[derive(Clone, Debug)]
struct PlainNeed {
    abilities: [bool; 2],
    min_score: Option<i32>,
    min_window: Option<i64>,
    min_output: Option<i64>,
    max_input: Option<u64>,
    max_output: Option<u64>,
    currency: usize,
    prefer: usize,
    only_type: Option<usize>,
    region: usize,
    gold: bool,
    summaries: bool,
    images: bool,
    exclude: Option<usize>,
    allow_deprecated: bool,
    /// Tokens of prompt, of those the cached ones, and of answer.
    call: Option<(u64, u64, u64)>,
    with_key: bool,
}

fn namespace(world: &World, provider: usize) -> &'static str {
    if world.shared[provider] {
        "shared"
    } else {
        "team"
    }
}

/// Prices of prompt, answer and cache for so long a prompt; none without a currency.
fn prices(model: &PlainModel, prompt: u64) -> [Option<u128>; 3] {
    let mut prices = [model.input_price, model.output_price, model.cache_price];
    for (from, tier) in &model.tiers {
        if prompt >= *from {
            prices = *tier;
        }
    }
    prices.map(|price| price.filter(|_| model.currency != 0).map(u128::from))
}

/// What the prompt of a call costs in all: cached tokens at their price, or at the others' where there is none.
fn prompt_cost(model: &PlainModel, prompt: u64, cached: u64) -> Option<u128> {
    let [input, _, cache] = prices(model, prompt);
    let mut cost = 0;
    if prompt > cached {
        cost += input? * u128::from(prompt - cached);
    }
    if cached > 0 {
        cost += cache.or(input)? * u128::from(cached);
    }
    Some(cost)
}

/// What the oracle answers: the model, and for each of its targets the endpoint and the credentials.
type Answer = Option<(usize, Vec<(usize, Vec<usize>)>)>;

fn oracle(world: &World, need: &PlainNeed) -> Answer {
    let mut doing: Vec<usize> = (0..world.models.len())
        .filter(|number| does(world, need, *number))
        .collect();
    by_preference(world, need, &mut doing);
    let mut sick = None;
    for number in doing {
        let Some(targets) = callable(world, need, number) else {
            continue;
        };
        if targets
            .iter()
            .any(|(endpoint, _)| world.endpoints[*endpoint].health != 2)
        {
            return Some((number, targets));
        }
        sick.get_or_insert((number, targets));
    }
    sick
}

/// Where a model can be called; none where nowhere.
fn callable(world: &World, need: &PlainNeed, number: usize) -> Option<Vec<(usize, Vec<usize>)>> {
    let targets = targets(world, need, number);
    let provider = world.models[number].provider;
    let is_declared_for = |endpoint: usize| {
        world.credentials.iter().any(|one| {
            let is_for_it = one.only_endpoint.is_none_or(|only| only == endpoint);
            one.provider == provider && one.mine && is_for_it
        })
    };
    let is_open = |endpoint| world.types[provider] == 1 && !is_declared_for(endpoint);
    let is_called = targets.iter().any(|(endpoint, credentials)| {
        !need.with_key || !credentials.is_empty() || is_open(*endpoint)
    });
    is_called.then_some(targets)
}

/// What the oracle answers of a class: the model, and for each target the model, the endpoint and the
/// credentials.
type ClassAnswer = Option<(usize, Vec<(usize, usize, Vec<usize>)>)>;

fn class_oracle(world: &World, need: &PlainNeed, class: &PlainClass) -> ClassAnswer {
    let here = |number: &usize| world.shared[world.models[*number].provider] == class.shared;
    let mut doing: Vec<usize> = match &class.names {
        Some(names) => names.clone(),
        None => (0..world.models.len()).collect(),
    };
    doing.retain(|number| *number < world.models.len());
    doing.retain(here);
    doing.retain(|number| does(world, need, *number));
    if class.names.is_none() || !class.is_ordered {
        by_preference(world, need, &mut doing);
    }
    let places: Vec<_> = doing
        .into_iter()
        .filter_map(|number| Some((number, callable(world, need, number)?)))
        .collect();
    let is_well = |endpoint: usize| world.endpoints[endpoint].health != 2;
    let well = places
        .iter()
        .find(|(_, targets)| targets.iter().any(|(endpoint, _)| is_well(*endpoint)));
    let (chosen, _) = well.or(places.first())?;
    let all = || {
        places.iter().flat_map(|(number, targets)| {
            targets
                .iter()
                .map(|(endpoint, fitting)| (*number, *endpoint, fitting.clone()))
        })
    };
    let first = all().filter(|(_, endpoint, _)| is_well(*endpoint));
    let last = all().filter(|(_, endpoint, _)| !is_well(*endpoint));
    Some((*chosen, first.chain(last).collect()))
}

fn by_preference(world: &World, need: &PlainNeed, doing: &mut [usize]) {
    doing.sort_by_key(|number| {
        let model = &world.models[*number];
        // Whatever is not known is larger than anything known.
        let unknown_last = |value: Option<u128>| value.unwrap_or(u128::MAX);
        let length = need.call.map_or(0, |(prompt, _, _)| prompt);
        let [input, output, _] = prices(model, length);
        let merit = match need.prefer {
            1 => {
                let asked = (0..2).filter(|ability| need.abilities[*ability]);
                let scores: Vec<_> = asked.map(|a| model.abilities[a].flatten()).collect();
                if scores.is_empty() || scores.contains(&None) {
                    None
                } else {
                    scores.into_iter().flatten().map(i64::from).min()
                }
            }
            2 => model.window,
            _ => None,
        };
        let merit = merit.map_or(i64::MAX, |merit| -merit);
        let cost = need.call.and_then(|(prompt, cached, answer)| {
            let prompt = prompt_cost(model, prompt, cached)?;
            let answer = if answer == 0 {
                0
            } else {
                output? * u128::from(answer)
            };
            let itself = model.call_price.filter(|_| model.currency != 0);
            Some(prompt + answer + 1000 * u128::from(itself.unwrap_or(0)))
        });
        (
            world.shared[model.provider],
            merit,
            unknown_last(cost),
            unknown_last(input),
            unknown_last(output),
            format!("model-{number:02}"),
        )
    });
}

fn does(world: &World, need: &PlainNeed, number: usize) -> bool {
    let model = &world.models[number];
    let priced = model.currency != 0;
    let (length, cached) = need
        .call
        .map_or((0, 0), |(prompt, cached, _)| (prompt, cached));
    let [input, output, _] = prices(model, length);
    let dear = |most: Option<u64>, paid: Option<u128>, tokens: u64| match (most, paid) {
        (None, _) => false,
        (Some(most), Some(paid)) => paid > u128::from(most) * u128::from(tokens),
        (Some(_), None) => true,
    };
    let paid = match length {
        0 => input,
        _ => prompt_cost(model, length, cached),
    };
    let able = (0..2)
        .filter(|a| need.abilities[*a])
        .all(|a| match model.abilities[a] {
            None => false,
            Some(score) => need
                .min_score
                .is_none_or(|least| score.is_some_and(|s| s >= least)),
        });
    need.exclude != Some(number)
        && model.active
        && !model.unavailable
        && !model.retired
        && (model.status == 0 || model.status == 2 && need.allow_deprecated)
        && need
            .only_type
            .is_none_or(|wanted| world.types[model.provider] == wanted)
        && (model.gold || !need.gold)
        && (model.summaries || !need.summaries)
        && (model.images || !need.images)
        && able
        && need
            .min_window
            .is_none_or(|least| model.window.is_some_and(|w| w >= least))
        && need
            .min_output
            .is_none_or(|least| model.output.is_some_and(|o| o >= least))
        && (need.currency == 0 || !priced || model.currency == need.currency)
        && !dear(need.max_input, paid, length.max(1))
        && !dear(need.max_output, output, 1)
}

fn targets(world: &World, need: &PlainNeed, model: usize) -> Vec<(usize, Vec<usize>)> {
    let model = &world.models[model];
    let mut endpoints: Vec<usize> = (0..world.endpoints.len())
        .filter(|number| {
            let endpoint = &world.endpoints[*number];
            endpoint.provider == model.provider
                && endpoint.active
                && model.only_endpoint.is_none_or(|only| only == *number)
                && (need.region == 0 || endpoint.region == need.region)
        })
        .collect();
    endpoints.sort_by_key(|number| {
        let one = &world.endpoints[*number];
        (one.health, !one.default, one.priority, one.age, *number)
    });
    let fitting = |endpoint: usize| {
        let mut fitting: Vec<usize> = (0..world.credentials.len())
            .filter(|number| {
                let one = &world.credentials[*number];
                one.provider == model.provider
                    && one.mine
                    && one.active
                    && !one.invalid
                    && one.has_key
                    && one.of_type
                    && one.ends.is_none_or(|end| end > NOW)
                    && one.only_endpoint.is_none_or(|only| only == endpoint)
                    && one.refused_at != Some(endpoint)
            })
            .collect();
        fitting.sort_by_key(|number| {
            let one = &world.credentials[*number];
            (one.priority, one.age, *number)
        });
        fitting
    };
    endpoints
        .into_iter()
        .map(|one| (one, fitting(one)))
        .collect()
}

fn build(world: &World, classes: Vec<ModelClassView>) -> Snapshot {
    let providers: Vec<_> = (0..PROVIDERS)
        .map(|number| {
            let type_ = TYPES[world.types[number]];
            provider(1 + number as u128, namespace(world, number), type_)
        })
        .collect();
    let money = |amount: u64| format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000);
    let models = world.models.iter().enumerate().map(|(number, plain)| {
        let mut model = model(
            1000 + number as u128,
            &providers[plain.provider],
            &format!("model-{number:02}"),
        );
        model.endpoint_ids = plain.only_endpoint.into_iter().map(endpoint_uid).collect();
        model.common.is_active = plain.active;
        model.status = [
            ModelStatus::Available,
            ModelStatus::Maintenance,
            ModelStatus::Deprecated,
        ][plain.status];
        if plain.unavailable {
            model.availability.state = AvailabilityState::Unavailable;
        }
        let abilities = CAPABILITIES.into_iter().zip(plain.abilities);
        model.capabilities = abilities
            .filter_map(|(ability, score)| Some(can(ability, score?)))
            .collect();
        model.context_window = plain.window;
        model.max_output_tokens = plain.output;
        model.currency = CURRENCIES[plain.currency].map(str::to_owned);
        model.input_price = plain.input_price.map(money);
        model.output_price = plain.output_price.map(money);
        model.cache_read_price = plain.cache_price.map(money);
        model.request_price = plain.call_price.map(money);
        let tiers = plain
            .tiers
            .iter()
            .map(|(from, [input, output, cache])| PriceTierView {
                from_input_tokens: i64::try_from(*from).expect("a small number"),
                input_price: input.map(money),
                output_price: output.map(money),
                cache_read_price: cache.map(money),
                ..PriceTierView::default()
            });
        model.price_tiers = tiers.collect();
        if plain.retired {
            model.availability.reason = "Retired".to_owned();
        }
        if plain.gold {
            model
                .selectable_labels
                .insert("tier".to_owned(), "gold".to_owned());
        }
        if plain.summaries {
            model.recommended_for.push("summaries".to_owned());
        }
        if plain.images {
            model.input_modalities.push(Modality::Image);
        }
        model
    });
    let models = models.collect();
    let endpoints = world.endpoints.iter().enumerate().map(|(number, plain)| {
        let name = format!("endpoint-{number:02}");
        let mut endpoint = endpoint(0, &providers[plain.provider], &name);
        endpoint.common.id = endpoint_uid(number);
        endpoint.common.is_active = plain.active;
        endpoint.common.created_at = at(plain.age);
        let states = [
            HealthState::Healthy,
            HealthState::Unknown,
            HealthState::Unhealthy,
        ];
        endpoint.health = health(states[plain.health]);
        endpoint.is_default = plain.default;
        endpoint.priority = plain.priority;
        endpoint.region = REGIONS[plain.region].map(str::to_owned);
        endpoint.base_url = match world.types[plain.provider] {
            2 => BaseUrl::new("https://api.anthropic.com"),
            1 => BaseUrl::new("http://127.0.0.1:8000/v1"),
            _ => endpoint.base_url,
        };
        endpoint
    });
    let endpoints = endpoints.collect();
    let credentials = world.credentials.iter().enumerate().map(|(number, plain)| {
        let owner = &providers[plain.provider];
        let name = format!("credential-{number:02}");
        let mut credential = credential(3000 + number as u128, owner, &name);
        credential.endpoint_ids = plain.only_endpoint.into_iter().map(endpoint_uid).collect();
        credential.common.is_active = plain.active;
        credential.common.created_at = at(plain.age);
        credential.priority = plain.priority;
        credential.expires_at = plain.ends.map(at);
        if plain.invalid {
            credential.validity.state = ValidityState::Invalid;
        }
        credential.alias = plain.mine.then(|| "mine".to_owned());
        credential.key = plain.has_key.then(|| KeyInForce {
            provider_type: match plain.of_type {
                true => owner.type_,
                false => ProviderType::Qianfan,
            },
            allowed_hosts: vec!["127.0.0.1".to_owned()],
            refused_at: plain
                .refused_at
                .map(|endpoint| (endpoint_uid(endpoint), "now".to_owned()))
                .into_iter()
                .collect(),
            ends: None,
        });
        credential
    });
    let credentials = credentials.collect();
    snapshot(Views {
        providers,
        endpoints,
        credentials,
        models,
        model_classes: classes,
    })
}

/// The class that asks for the same.
fn built(need: &PlainNeed, plain: &PlainClass) -> ModelClassView {
    let namespace = if plain.shared { "shared" } else { "team" };
    let Wanted::Need(asked) = asked(need).wanted else {
        panic!("it is a need");
    };
    let text = |price: Option<Decimal>| price.map(|price| price.to_string());
    let tokens = |tokens: u64| i64::try_from(tokens).expect("a small number");
    let names = plain.names.iter().flatten();
    let names: Vec<_> = names.map(|number| format!("model-{number:02}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut view = class(5000, namespace, "class", &names);
    view.allow_deprecated = need.allow_deprecated;
    view.prefer = match (plain.names.is_some() && plain.is_ordered, need.prefer) {
        (true, _) => PreferView::Order,
        (false, 0) => PreferView::Price,
        (false, 1) => PreferView::Score,
        (false, _) => PreferView::Context,
    };
    view.need = plain.names.is_none().then(|| ClassNeedView {
        capabilities: asked.capabilities,
        min_score: asked.min_score,
        min_context_window: asked.min_context_window,
        min_output_tokens: asked.min_output_tokens,
        max_input_price: text(asked.max_input_price),
        max_output_price: text(asked.max_output_price),
        currency: asked.currency,
        provider_types: asked.provider_types,
        regions: asked.regions,
        selector: asked.selector,
        exclude: asked.exclude,
        input_modalities: asked.input_modalities,
        output_modalities: asked.output_modalities,
        embedding_dimensions: asked.embedding_dimensions,
        recommended_for: asked.recommended_for,
        prompt_tokens: asked.typical_call.map(|call| tokens(call.prompt_tokens)),
        cached_tokens: asked.typical_call.map(|call| tokens(call.cached_tokens)),
        output_tokens: asked.typical_call.map(|call| tokens(call.output_tokens)),
    });
    view
}

/// The need of a class: of one that names models nothing is asked for beside.
fn of_class(need: PlainNeed, plain: &PlainClass) -> PlainNeed {
    match plain.names {
        None => need,
        Some(_) => PlainNeed {
            abilities: [false; 2],
            min_score: None,
            min_window: None,
            min_output: None,
            max_input: None,
            max_output: None,
            currency: 0,
            only_type: None,
            region: 0,
            gold: false,
            summaries: false,
            images: false,
            exclude: None,
            call: None,
            ..need
        },
    }
}

fn endpoint_uid(number: usize) -> uuid::Uuid {
    uid(2000 + number as u128)
}

fn asked(need: &PlainNeed) -> Request {
    let decimal = |amount: u64| {
        let text = format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000);
        Decimal::parse(&text).expect("a price")
    };
    let one = |word: &str| vec![word.to_owned()];
    let wanted = Need {
        capabilities: (0..2)
            .filter(|number| need.abilities[*number])
            .map(|number| CAPABILITIES[number])
            .collect(),
        min_score: need.min_score,
        min_context_window: need.min_window,
        min_output_tokens: need.min_output,
        max_input_price: need.max_input.map(decimal),
        max_output_price: need.max_output.map(decimal),
        currency: CURRENCIES[need.currency].map(str::to_owned),
        prefer: Prefer::ALL[need.prefer],
        provider_types: need
            .only_type
            .map(|number| TYPES[number])
            .into_iter()
            .collect(),
        regions: REGIONS[need.region].map(one).unwrap_or_default(),
        selector: need
            .gold
            .then(|| ("tier".to_owned(), "gold".to_owned()))
            .into_iter()
            .collect(),
        exclude: need
            .exclude
            .map(|number| format!("model-{number:02}"))
            .into_iter()
            .collect(),
        recommended_for: if need.summaries {
            one("Summaries")
        } else {
            vec![]
        },
        allow_deprecated: need.allow_deprecated,
        input_modalities: need.images.then_some(Modality::Image).into_iter().collect(),
        output_modalities: Vec::new(),
        embedding_dimensions: None,
        typical_call: need.call.map(
            |(prompt_tokens, cached_tokens, output_tokens)| TypicalCall {
                prompt_tokens,
                cached_tokens,
                output_tokens,
            },
        ),
    };
    Request {
        wanted: Wanted::Need(Box::new(wanted)),
        with_key: need.with_key,
    }
}

fn number_of(name: &str) -> usize {
    let (_, number) = name.rsplit_once('-').expect("a name of ours");
    number.parse().expect("a number")
}

fn plain(found: &Resolution) -> (usize, Vec<(usize, Vec<usize>)>) {
    let targets = found.targets.iter().map(|target| {
        let fitting = target.credentials.iter();
        let fitting = fitting
            .map(|one| number_of(&one.view.common.name))
            .collect();
        (number_of(&target.endpoint.view.common.name), fitting)
    });
    (number_of(&found.model.view.common.name), targets.collect())
}

fn some_price() -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(
        0.8,
        prop::sample::select(vec![0, 1, 999_999, 1_000_000, 2_000_001]),
    )
}

prop_compose! {
    fn a_model()(
        (provider, only_endpoint) in (0..PROVIDERS, prop::option::weighted(0.2, 0..6usize)),
        (active, status, unavailable) in (prop::bool::weighted(0.9), prop::sample::select(vec![0, 0, 0, 0, 1, 2]), prop::bool::weighted(0.1)),
        abilities in prop::array::uniform2(prop::option::weighted(0.8, prop::option::weighted(0.8, 1..=3i32))),
        window in prop::option::weighted(0.8, 1..=3i64),
        output in prop::option::weighted(0.8, 1..=3i64),
        currency in prop::sample::select(vec![0, 1, 1, 1, 2]),
        (input_price, output_price) in (some_price(), some_price()),
        (cache_price, call_price) in (some_price(), prop::option::weighted(0.3, 0..=2u64)),
        tiers in prop::collection::btree_map(prop::sample::select(vec![1, 2, 1000, 1001]), prop::array::uniform3(some_price()), 0..3),
        retired in prop::bool::weighted(0.1),
        (gold, summaries, images) in any::<(bool, bool, bool)>(),
    ) -> PlainModel {
        let tiers = tiers.into_iter().collect();
        PlainModel { provider, only_endpoint, active, status, unavailable, abilities, window, output, currency, input_price, output_price, cache_price, call_price, tiers, retired, gold, summaries, images }
    }
}

prop_compose! {
    fn an_endpoint()(
        (provider, active, health) in (0..PROVIDERS, prop::bool::weighted(0.9), 0..3usize),
        (default, priority, age, region) in (any::<bool>(), 1..=2i32, 1..=2i64, 0..3usize),
    ) -> PlainEndpoint {
        PlainEndpoint { provider, active, health, default, priority, age, region }
    }
}

prop_compose! {
    fn a_credential()(
        (provider, only_endpoint) in (0..PROVIDERS, prop::option::weighted(0.2, 0..6usize)),
        (active, invalid, has_key, of_type, mine) in (prop::bool::weighted(0.9), prop::bool::weighted(0.1), prop::bool::weighted(0.9), prop::bool::weighted(0.9), prop::bool::weighted(0.8)),
        ends in prop::option::weighted(0.4, prop::sample::select(vec![NOW - 1, NOW, NOW + 1])),
        (priority, age) in (1..=2i32, 1..=2i64),
        refused_at in prop::option::weighted(0.2, 0..6usize),
    ) -> PlainCredential {
        PlainCredential { provider, only_endpoint, active, invalid, has_key, of_type, ends, priority, age, refused_at, mine }
    }
}

prop_compose! {
    fn a_world()(
        types in prop::collection::vec(0..TYPES.len(), PROVIDERS),
        shared in prop::collection::vec(any::<bool>(), PROVIDERS),
        models in prop::collection::vec(a_model(), 0..12),
        endpoints in prop::collection::vec(an_endpoint(), 0..6),
        credentials in prop::collection::vec(a_credential(), 0..6),
    ) -> World {
        World { types, shared, models, endpoints, credentials }
    }
}

prop_compose! {
    fn a_class()(
        shared in any::<bool>(),
        names in prop::option::of(Just((0..13usize).collect::<Vec<_>>()).prop_shuffle()),
        count in 1..=13usize,
        is_ordered in any::<bool>(),
    ) -> PlainClass {
        let names = names.map(|mut names| {
            names.truncate(count);
            names
        });
        PlainClass { shared, names, is_ordered }
    }
}

fn seldom<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    prop::option::weighted(0.25, strategy)
}

prop_compose! {
    fn a_need()(
        abilities in prop::array::uniform2(prop::bool::weighted(0.3)),
        (min_score, min_window, min_output) in (seldom(1..=3i32), seldom(1..=3i64), seldom(1..=3i64)),
        (max_input, max_output) in (seldom(0..=2_000_001u64), seldom(0..=2_000_001u64)),
        (currency, prefer) in (prop::sample::select(vec![0, 0, 1, 2]), 0..3usize),
        (only_type, region, exclude) in (seldom(0..TYPES.len()), prop::sample::select(vec![0, 0, 0, 1, 2]), seldom(0..12usize)),
        (gold, summaries, images) in (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
        (allow_deprecated, with_key) in any::<(bool, bool)>(),
        call in prop::option::of((prop::sample::select(vec![0, 1, 2, 1000, 1001]), 0..=2u64, prop::sample::select(vec![0, 1, 999_999_999]))),
    ) -> PlainNeed {
        // None, half or all of the prompt is cached. A call without a token is refused before.
        let call = call
            .filter(|(prompt, _, answer)| prompt + answer > 0)
            .map(|(prompt, halves, answer): (u64, u64, u64)| (prompt, prompt * halves / 2, answer));
        PlainNeed { abilities, min_score, min_window, min_output, max_input, max_output, currency, prefer, only_type, region, gold, summaries, images, exclude, allow_deprecated, call, with_key }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_choice_is_the_oracles(world in a_world(), need in a_need()) {
        let snapshot = build(&world, Vec::new());
        let tiers = [
            Tier::Namespaces(vec![Arc::from("team")]),
            Tier::Namespaces(vec![Arc::from("shared")]),
        ];
        let access = Access {
            tiers: &tiers,
            may_have: &|credential| credential.alias.is_some(),
            may_see_classes: &|_| true,
            gave_no_key: &[],
        };
        let now: Timestamp = at(NOW);
        let found = resolve(&snapshot, &asked(&need), access, now);
        let (chosen, considered) = match &found {
            Ok(found) => (Some(plain(found)), &found.considered),
            Err(refused) => (None, &refused.considered),
        };
        prop_assert_eq!(&chosen, &oracle(&world, &need));
        // Every other model is told of, once.
        let mut told: Vec<_> = considered.models.iter().map(|one| number_of(&one.model)).collect();
        told.extend(chosen.iter().map(|(number, _)| *number));
        told.sort_unstable();
        prop_assert_eq!(told, (0..world.models.len()).collect::<Vec<_>>());
        prop_assert_eq!(considered.omitted, 0);
        let reasons: BTreeMap<usize, &str> = (considered.models.iter())
            .map(|one| (number_of(&one.model), one.reason.as_str()))
            .collect();
        prop_assert_eq!(reasons, reasons::of(&world, &need));
        let again = resolve(&snapshot, &asked(&need), access, now);
        prop_assert_eq!(format!("{found:?}"), format!("{again:?}"));
    }

    #[test]
    fn what_a_class_means_is_the_oracles(world in a_world(), need in a_need(), class in a_class()) {
        let need = of_class(need, &class);
        let snapshot = build(&world, vec![built(&need, &class)]);
        let tiers = [
            Tier::Namespaces(vec![Arc::from("team")]),
            Tier::Namespaces(vec![Arc::from("shared")]),
        ];
        let access = Access {
            tiers: &tiers,
            may_have: &|credential| credential.alias.is_some(),
            may_see_classes: &|_| true,
            gave_no_key: &[],
        };
        let ask = |wanted| {
            let request = Request { wanted, with_key: need.with_key };
            resolve(&snapshot, &request, access, at(NOW))
        };
        let found = ask(Wanted::Class("class".to_owned()));
        let answer = found.as_ref().ok().map(|found| {
            let targets = found.targets.iter().map(|target| {
                let fitting = target.credentials.iter().map(|one| number_of(&one.view.common.name));
                let model = number_of(&target.model.view.common.name);
                (model, number_of(&target.endpoint.view.common.name), fitting.collect())
            });
            (number_of(&found.model.view.common.name), targets.collect::<Vec<_>>())
        });
        prop_assert_eq!(&answer, &class_oracle(&world, &need, &class));
        if let Some((model, targets)) = &answer {
            prop_assert_eq!(targets[0].0, *model, "the first target is the model's");
        }
        // Where no model has the name, it is the class's.
        let named = ask(Wanted::Named("class".to_owned()));
        prop_assert_eq!(format!("{found:?}"), format!("{named:?}"));
        // Every model that the class is about is told of, once.
        let considered = match &found {
            Ok(found) => &found.considered,
            Err(refused) => &refused.considered,
        };
        let mut told: Vec<_> = considered.models.iter().map(|one| number_of(&one.model)).collect();
        told.extend(answer.iter().map(|(number, _)| *number));
        told.sort_unstable();
        let mut about = match &class.names {
            Some(names) => names.clone(),
            None => (0..world.models.len())
                .filter(|number| world.shared[world.models[*number].provider] == class.shared)
                .collect(),
        };
        about.sort_unstable();
        prop_assert_eq!(told, about);
    }
}
