//! The choice against an oracle: a plain reading of the rules over plain values, which shares no
//! code with what it checks.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::fixtures_tests::{
    at, can, credential, endpoint, health, model, provider, snapshot, uid,
};
use super::{Access, Need, Prefer, Request, Resolution, Tier, TypicalCall, Wanted, resolve};
use crate::crd::ProviderType;
use crate::crd::decimal::Decimal;
use crate::crd::model::Capability;
use crate::snapshot::{
    AvailabilityState, HealthState, KeyInForce, ModelStatus, Snapshot, ValidityState, Views,
};

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
    gold: bool,
    summaries: bool,
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
    exclude: Option<usize>,
    allow_deprecated: bool,
    call: Option<(u64, u64)>,
    with_key: bool,
}

fn namespace(world: &World, provider: usize) -> &'static str {
    if world.shared[provider] {
        "shared"
    } else {
        "team"
    }
}

/// What the oracle answers: the model, and for each of its targets the endpoint and the credentials.
type Answer = Option<(usize, Vec<(usize, Vec<usize>)>)>;

fn oracle(world: &World, need: &PlainNeed) -> Answer {
    let mut doing: Vec<usize> = (0..world.models.len())
        .filter(|number| does(world, need, *number))
        .collect();
    doing.sort_by_key(|number| {
        let model = &world.models[*number];
        // Whatever is not known is larger than anything known.
        let unknown_last = |value: Option<u128>| value.unwrap_or(u128::MAX);
        let currency = model.currency != 0;
        let input = model.input_price.filter(|_| currency).map(u128::from);
        let output = model.output_price.filter(|_| currency).map(u128::from);
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
        let cost = need.call.and_then(|(prompt, answer)| {
            let prompt = if prompt == 0 {
                0
            } else {
                input? * u128::from(prompt)
            };
            let answer = if answer == 0 {
                0
            } else {
                output? * u128::from(answer)
            };
            Some(prompt + answer)
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
    let mut sick = None;
    for number in doing {
        let targets = targets(world, need, number);
        if targets.is_empty() {
            continue;
        }
        let needs_key = need.with_key && world.types[world.models[number].provider] != 1;
        if needs_key
            && targets
                .iter()
                .all(|(_, credentials)| credentials.is_empty())
        {
            continue;
        }
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

fn does(world: &World, need: &PlainNeed, number: usize) -> bool {
    let model = &world.models[number];
    let priced = model.currency != 0;
    let dear = |most: Option<u64>, price: Option<u64>| match (most, price) {
        (None, _) => false,
        (Some(most), Some(price)) => !priced || price > most,
        (Some(_), None) => true,
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
        && (model.status == 0 || model.status == 2 && need.allow_deprecated)
        && need
            .only_type
            .is_none_or(|wanted| world.types[model.provider] == wanted)
        && (model.gold || !need.gold)
        && (model.summaries || !need.summaries)
        && able
        && need
            .min_window
            .is_none_or(|least| model.window.is_some_and(|w| w >= least))
        && need
            .min_output
            .is_none_or(|least| model.output.is_some_and(|o| o >= least))
        && (need.currency == 0 || !priced || model.currency == need.currency)
        && !dear(need.max_input, model.input_price)
        && !dear(need.max_output, model.output_price)
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

fn build(world: &World) -> Snapshot {
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
        if plain.gold {
            model.labels.insert("tier".to_owned(), "gold".to_owned());
        }
        if plain.summaries {
            model.recommended_for.push("summaries".to_owned());
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
            2 => "https://api.anthropic.com".to_owned(),
            1 => "http://127.0.0.1:8000/v1".to_owned(),
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
        });
        credential
    });
    let credentials = credentials.collect();
    snapshot(Views {
        providers,
        endpoints,
        credentials,
        models,
    })
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
        typical_call: need.call.map(|(prompt_tokens, output_tokens)| TypicalCall {
            prompt_tokens,
            output_tokens,
        }),
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
        (gold, summaries) in any::<(bool, bool)>(),
    ) -> PlainModel {
        PlainModel { provider, only_endpoint, active, status, unavailable, abilities, window, output, currency, input_price, output_price, gold, summaries }
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
        (gold, summaries, allow_deprecated, with_key) in (prop::bool::weighted(0.2), prop::bool::weighted(0.2), any::<bool>(), any::<bool>()),
        call in prop::option::of((prop::sample::select(vec![0, 1, 1000]), prop::sample::select(vec![0, 1, 999_999_999]))),
    ) -> PlainNeed {
        PlainNeed { abilities, min_score, min_window, min_output, max_input, max_output, currency, prefer, only_type, region, gold, summaries, exclude, allow_deprecated, call, with_key }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_choice_is_the_oracles(world in a_world(), need in a_need()) {
        let snapshot = build(&world);
        let tiers = [
            Tier::Namespaces(vec![Arc::from("team")]),
            Tier::Namespaces(vec![Arc::from("shared")]),
        ];
        let access = Access {
            tiers: &tiers,
            may_have: &|credential| credential.alias.is_some(),
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
        let again = resolve(&snapshot, &asked(&need), access, now);
        prop_assert_eq!(format!("{found:?}"), format!("{again:?}"));
    }
}
