use std::collections::BTreeMap;
use std::sync::Arc;

use super::fixtures_tests::{
    ask, ask_in, can, credential, endpoint, health, model, named, need, priced, provider, reasons,
    snapshot, team, with_models,
};
use super::{MAX_CONSIDERED, Need, NoAnswer, Prefer, Reason, Resolution, Tier, TypicalCall};
use crate::crd::ProviderType;
use crate::crd::decimal::Decimal;
use crate::crd::model::Capability::{Chat, Vision};
use crate::crd::model::Modality::{Image, Text};
use crate::snapshot::{
    AvailabilityState, HealthState, ModelStatus, ModelView, PriceTierView, ProviderView, Snapshot,
    Views,
};

fn best(snapshot: &Snapshot, asked: Need) -> Resolution {
    ask(snapshot, need(asked)).expect("an answer")
}

fn name(found: &Resolution) -> &str {
    &found.model.view.common.name
}

fn price(text: &str) -> Option<Decimal> {
    Some(Decimal::parse(text).expect("a price"))
}

/// A model that nothing speaks against but this.
fn with(provider: &ProviderView, change: impl FnOnce(&mut ModelView)) -> ModelView {
    let mut model = priced(100, provider, "gpt", ["0.01", "0.02"]);
    model.capabilities = vec![can(Chat, Some(3)), can(Vision, None)];
    model.context_window = Some(1000);
    model.max_output_tokens = Some(100);
    model.input_modalities = vec![Text];
    model.embedding_dimensions = Some(4);
    model.recommended_for = vec!["Summaries".to_owned()];
    model.selectable_labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
    change(&mut model);
    model
}

#[test]
fn each_part_of_a_need_has_its_reason() {
    type Change = fn(&mut ModelView);
    let labels = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let none: Change = |_| ();
    let any = Need::default;
    #[rustfmt::skip]
    let cases: Vec<(Change, Need, Reason, Option<&str>)> = vec![
        (none, Need { exclude: words(&["gpt"]), ..any() }, Reason::Excluded, None),
        (none, Need { exclude: words(&["id-gpt"]), ..any() }, Reason::Excluded, None),
        (|m| m.common.is_active = false, any(), Reason::Inactive, None),
        (|m| m.availability.reason = "Retired".to_owned(), any(), Reason::Retired, None),
        (|m| m.status = ModelStatus::Maintenance, any(), Reason::UnderMaintenance, None),
        (|m| m.status = ModelStatus::Deprecated, any(), Reason::Deprecated, None),
        (none, Need { provider_types: vec![ProviderType::Bedrock], ..any() }, Reason::ProviderTypeMismatch, None),
        (none, Need { selector: labels("tier", "lead"), ..any() }, Reason::SelectorMismatch, Some("label tier")),
        (none, Need { selector: labels("other", "gold"), ..any() }, Reason::SelectorMismatch, Some("label other")),
        (none, Need { recommended_for: words(&["summaries", "code"]), ..any() }, Reason::NotRecommended, Some("for code")),
        (|m| m.capabilities.clear(), Need { capabilities: vec![Chat], ..any() }, Reason::CapabilityMissing, Some("Chat")),
        (none, Need { input_modalities: vec![Text, Image], ..any() }, Reason::ModalityMissing, Some("Image as input")),
        (none, Need { output_modalities: vec![Text], ..any() }, Reason::ModalityMissing, Some("Text as output")),
        (none, Need { embedding_dimensions: Some(5), ..any() }, Reason::EmbeddingDimensionsMismatch, Some("embedding_dimensions 4")),
        (|m| m.embedding_dimensions = None, Need { embedding_dimensions: Some(4), ..any() }, Reason::EmbeddingDimensionsMismatch, None),
        (none, Need { capabilities: vec![Chat, Vision], min_score: Some(1), ..any() }, Reason::ScoreUnknown, Some("Vision")),
        (none, Need { capabilities: vec![Chat], min_score: Some(4), ..any() }, Reason::ScoreTooLow, Some("Chat scores 3")),
        (|m| m.context_window = None, Need { min_context_window: Some(1), ..any() }, Reason::ContextWindowUnknown, None),
        (none, Need { min_context_window: Some(1001), ..any() }, Reason::ContextWindowTooSmall, Some("context_window 1000")),
        (|m| m.max_output_tokens = None, Need { min_output_tokens: Some(1), ..any() }, Reason::OutputTokensUnknown, None),
        (none, Need { min_output_tokens: Some(101), ..any() }, Reason::OutputTokensTooFew, Some("max_output_tokens 100")),
        (none, Need { currency: Some("EUR".to_owned()), ..any() }, Reason::CurrencyMismatch, Some("USD")),
        (|m| m.output_price = None, Need { max_output_price: price("9"), ..any() }, Reason::PriceUnknown, None),
        (|m| m.currency = None, Need { max_input_price: price("9"), ..any() }, Reason::PriceUnknown, None),
        (none, Need { max_input_price: price("0.00999"), ..any() }, Reason::PriceTooHigh, Some("input_price 0.01")),
        (none, Need { max_output_price: price("0.01"), ..any() }, Reason::PriceTooHigh, Some("output_price 0.02")),
        (|m| m.availability.state = AvailabilityState::Unavailable, any(), Reason::Unavailable, None),
    ];
    for (change, asked, reason, detail) in cases {
        let snapshot = with_models(|provider| vec![with(provider, change)]);
        let refused = ask(&snapshot, need(asked)).expect_err(reason.as_str());
        assert_eq!(refused.why, NoAnswer::NotMet);
        let told = &refused.considered.models[..];
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].reason, told[0].detail.as_deref()),
            (reason, detail)
        );
    }
}

#[test]
fn a_need_is_met_at_its_very_bounds() {
    let snapshot = with_models(|provider| vec![with(provider, |_| ())]);
    let asked = Need {
        capabilities: vec![Chat],
        min_score: Some(3),
        min_context_window: Some(1000),
        min_output_tokens: Some(100),
        max_input_price: price("0.0100"),
        max_output_price: price("0.02"),
        currency: Some("USD".to_owned()),
        provider_types: vec![ProviderType::Bedrock, ProviderType::OpenAI],
        selector: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
        exclude: vec!["gpt-4".to_owned()],
        recommended_for: vec!["summaries".to_owned()],
        input_modalities: vec![Text],
        embedding_dimensions: Some(4),
        ..Need::default()
    };
    assert_eq!(name(&best(&snapshot, asked)), "gpt");
    let old = with_models(|p| vec![with(p, |m| m.status = ModelStatus::Deprecated)]);
    let asked = Need {
        allow_deprecated: true,
        ..Need::default()
    };
    assert_eq!(name(&best(&old, asked)), "gpt");
}

#[test]
fn the_cheapest_comes_first_by_input_then_output_then_name() {
    let snapshot = with_models(|provider| {
        vec![
            priced(100, provider, "a-unknown", ["", ""]),
            priced(101, provider, "b-dear", ["0.10", "0.01"]),
            priced(102, provider, "c-output-unknown", ["0.09", ""]),
            priced(103, provider, "z", ["0.09", "0.2"]),
            priced(104, provider, "d", ["0.0900", "0.20"]),
            priced(105, provider, "e", ["0.09", "0.3"]),
        ]
    });
    let found = best(&snapshot, Need::default());
    assert_eq!(name(&found), "d");
    let order: Vec<_> = reasons(&found.considered).iter().map(|(n, _)| *n).collect();
    assert_eq!(order, ["z", "e", "c-output-unknown", "b-dear", "a-unknown"]);
}

#[test]
fn a_typical_call_is_compared_by_what_it_costs() {
    let snapshot = with_models(|provider| {
        vec![
            priced(100, provider, "cheap-to-ask", ["0.001", "0.1"]),
            priced(101, provider, "cheap-to-answer", ["0.002", "0.004"]),
            priced(102, provider, "half-known", ["0.0001", ""]),
        ]
    });
    let call = |prompt_tokens, output_tokens| Need {
        typical_call: Some(TypicalCall {
            prompt_tokens,
            output_tokens,
            ..TypicalCall::default()
        }),
        ..Need::default()
    };
    assert_eq!(name(&best(&snapshot, call(1000, 500))), "cheap-to-answer");
    assert_eq!(name(&best(&snapshot, call(1_000_000, 1))), "cheap-to-ask");
    assert_eq!(name(&best(&snapshot, call(1000, 0))), "half-known");
    assert_eq!(name(&best(&snapshot, Need::default())), "half-known");
}

#[test]
fn a_call_is_priced_by_its_tier_its_cache_and_itself() {
    let tier = |from: i64, prices: [&str; 2], cache: Option<&str>| PriceTierView {
        from_input_tokens: from,
        input_price: Some(prices[0].to_owned()),
        output_price: Some(prices[1].to_owned()),
        cache_read_price: cache.map(str::to_owned),
        ..PriceTierView::default()
    };
    let snapshot = with_models(|provider| {
        let mut tiered = priced(100, provider, "tiered", ["0.001", "0.01"]);
        tiered.cache_read_price = Some("0.0001".to_owned());
        tiered.price_tiers = vec![
            tier(1000, ["0.002", "0.02"], None),
            tier(2000, ["0.004", "0.04"], Some("0.0004")),
        ];
        let mut by_call = priced(102, provider, "by-call", ["0.0001", "0.01"]);
        by_call.request_price = Some("0.01".to_owned());
        vec![
            tiered,
            priced(101, provider, "flat", ["0.0015", "0.015"]),
            by_call,
        ]
    });
    let asked = |[prompt_tokens, cached_tokens, output_tokens]: [u64; 3], input, output| Need {
        typical_call: Some(TypicalCall {
            prompt_tokens,
            cached_tokens,
            output_tokens,
        }),
        max_input_price: price(input),
        max_output_price: price(output),
        currency: Some("USD".to_owned()),
        exclude: vec!["by-call".to_owned()],
        ..Need::default()
    };
    let cheapest =
        |tokens, input, output| name(&best(&snapshot, asked(tokens, input, output))).to_owned();
    // Below the first tier, from its first token on, and above.
    assert_eq!(cheapest([999, 0, 100], "9", "9"), "tiered");
    assert_eq!(cheapest([1000, 0, 100], "9", "9"), "flat");
    assert_eq!(cheapest([5000, 0, 100], "9", "9"), "flat");
    // What the cache holds is cheap in the last tier, and costs as much as the rest where nobody says.
    assert_eq!(cheapest([5000, 4900, 0], "9", "9"), "tiered");
    assert_eq!(cheapest([1500, 1500, 0], "9", "9"), "flat");
    // Limits are of the call's own tier, and of the prompt on the average.
    assert_eq!(cheapest([999, 0, 0], "0.001", "0.01"), "tiered");
    assert_eq!(cheapest([5000, 0, 0], "0.0015", "9"), "flat");
    assert_eq!(cheapest([5000, 4500, 0], "0.00076", "9"), "tiered");
    let refused = ask(&snapshot, need(asked([5000, 4500, 0], "0.00075", "9"))).expect_err("none");
    let told: Vec<_> = refused
        .considered
        .models
        .iter()
        .map(|m| m.detail.as_deref())
        .collect();
    assert_eq!(
        told,
        [Some("input_price 0.0015"), Some("input_price 0.004"), None]
    );
    // What a call costs by itself is part of it.
    let any = |prompt_tokens| Need {
        typical_call: Some(TypicalCall {
            prompt_tokens,
            ..TypicalCall::default()
        }),
        ..Need::default()
    };
    assert_eq!(name(&best(&snapshot, any(100))), "tiered");
    assert_eq!(name(&best(&snapshot, any(900_000))), "by-call");
}

#[test]
fn a_retired_model_is_left_out_and_said_to_be() {
    let snapshot = with_models(|provider| {
        let mut retired = priced(100, provider, "old", ["0", "0"]);
        retired.availability.reason = "Retired".to_owned();
        retired.availability.state = AvailabilityState::Unavailable;
        retired.retires_at = "2026-10-23T00:00:00Z".parse().ok();
        retired.replacement_model_id = Some("id-new".to_owned());
        vec![retired, priced(101, provider, "new", ["1", "1"])]
    });
    let why = "since 2026-10-23T00:00:00Z; use id-new in its place";
    let found = best(&snapshot, Need::default());
    assert_eq!(name(&found), "new");
    let told = &found.considered.models[0];
    assert_eq!(
        (told.reason, told.detail.as_deref()),
        (Reason::Retired, Some(why))
    );
    let refused = ask(&snapshot, named("old")).expect_err("it is retired");
    let told = &refused.considered.models[0];
    assert_eq!(
        (told.reason, told.detail.as_deref()),
        (Reason::Retired, Some(why))
    );
}

#[test]
fn amounts_in_other_currencies_than_the_answers_are_passed_over_for_that() {
    let snapshot = with_models(|provider| {
        let mut yuan = priced(100, provider, "yuan", ["0.05", "0.05"]);
        yuan.currency = Some("CNY".to_owned());
        vec![
            yuan,
            priced(101, provider, "dollar", ["0.01", "0.01"]),
            priced(102, provider, "more-dollars", ["0.06", "0.01"]),
            model(103, provider, "unpriced"),
        ]
    });
    let found = best(&snapshot, Need::default());
    assert_eq!(name(&found), "dollar");
    assert_eq!(
        reasons(&found.considered),
        [
            ("yuan", "CurrencyMismatch"),
            ("more-dollars", "LessPreferred"),
            ("unpriced", "LessPreferred")
        ]
    );
    let in_yuan = Need {
        currency: Some("CNY".to_owned()),
        ..Need::default()
    };
    assert_eq!(name(&best(&snapshot, in_yuan)), "yuan");
}

#[test]
fn the_lowest_score_counts_and_an_unscored_capability_beats_no_scored_one() {
    let scored = |provider: &ProviderView, number, name: &str, scores: [Option<i32>; 2]| {
        let mut model = priced(number, provider, name, ["0.01", "0.01"]);
        model.capabilities = vec![can(Chat, scores[0]), can(Vision, scores[1])];
        model
    };
    let snapshot = with_models(|provider| {
        vec![
            scored(provider, 100, "a-unscored", [Some(5), None]),
            scored(provider, 101, "b-uneven", [Some(5), Some(1)]),
            scored(provider, 102, "c-even", [Some(2), Some(3)]),
        ]
    });
    let found = best(
        &snapshot,
        Need {
            capabilities: vec![Chat, Vision],
            prefer: Prefer::Score,
            ..Need::default()
        },
    );
    assert_eq!(name(&found), "c-even");
    let order: Vec<_> = reasons(&found.considered).iter().map(|(n, _)| *n).collect();
    assert_eq!(order, ["b-uneven", "a-unscored"]);
}

#[test]
fn the_largest_window_comes_first_and_among_equals_the_cheapest() {
    let sized = |provider: &ProviderView, number, name: &str, window, price: &str| ModelView {
        context_window: window,
        ..priced(number, provider, name, [price, price])
    };
    let snapshot = with_models(|provider| {
        vec![
            sized(provider, 100, "unknown", None, "0.001"),
            sized(provider, 101, "small", Some(8), "0.001"),
            sized(provider, 102, "a-dear", Some(128), "0.9"),
            sized(provider, 103, "b-cheap", Some(128), "0.8"),
        ]
    });
    let found = best(
        &snapshot,
        Need {
            prefer: Prefer::Context,
            ..Need::default()
        },
    );
    assert_eq!(name(&found), "b-cheap");
    let order: Vec<_> = reasons(&found.considered).iter().map(|(n, _)| *n).collect();
    assert_eq!(order, ["a-dear", "small", "unknown"]);
}

/// Two providers, the first cheaper: its endpoint is in this state, or there is none.
fn two_providers(first: Option<HealthState>, second: HealthState) -> Snapshot {
    let a = provider(1, "team", ProviderType::OpenAI);
    let b = provider(2, "team", ProviderType::OpenAI);
    let endpoint_of = |number, provider: &ProviderView, state| {
        let mut endpoint = endpoint(number, provider, &format!("e-{number}"));
        endpoint.health = health(state);
        endpoint
    };
    let mut endpoints = vec![endpoint_of(11, &b, second)];
    endpoints.extend(first.map(|state| endpoint_of(10, &a, state)));
    snapshot(Views {
        credentials: vec![credential(20, &a, "a"), credential(21, &b, "b")],
        models: vec![
            priced(100, &a, "cheap", ["0.01", "0.01"]),
            priced(101, &b, "dear", ["0.02", "0.01"]),
        ],
        providers: vec![a, b],
        endpoints,
        ..Views::default()
    })
}

#[test]
fn a_model_that_answers_comes_before_one_that_does_not() {
    use HealthState::{Healthy, Unhealthy, Unknown};
    let cases = [
        (Some(Healthy), Healthy, "cheap", ("dear", "LessPreferred")),
        (Some(Unknown), Healthy, "cheap", ("dear", "LessPreferred")),
        (
            Some(Unhealthy),
            Unknown,
            "dear",
            ("cheap", "EndpointsUnhealthy"),
        ),
        (
            Some(Unhealthy),
            Unhealthy,
            "cheap",
            ("dear", "EndpointsUnhealthy"),
        ),
        (None, Unhealthy, "dear", ("cheap", "NoEndpoint")),
    ];
    for (first, second, answer, passed) in cases {
        let found = best(&two_providers(first, second), Need::default());
        assert_eq!(name(&found), answer, "{first:?} {second:?}");
        assert_eq!(reasons(&found.considered), [passed]);
    }
}

#[test]
fn what_ones_own_namespace_has_comes_before_a_cheaper_shared_one() {
    let own = provider(1, "team", ProviderType::OpenAI);
    let shared = provider(2, "shared", ProviderType::OpenAI);
    let snapshot = snapshot(Views {
        endpoints: vec![endpoint(10, &own, "a"), endpoint(11, &shared, "b")],
        credentials: Vec::new(),
        models: vec![
            priced(100, &own, "own", ["0.9", "0.9"]),
            priced(101, &shared, "shared", ["0.1", "0.1"]),
        ],
        providers: vec![own, shared],
        ..Views::default()
    });
    let tiers = [team(), Tier::Namespaces(vec![Arc::from("shared")])];
    let found = ask_in(&snapshot, need(Need::default()), &tiers).expect("an answer");
    assert_eq!(name(&found), "own");
    let at_most = Need {
        max_input_price: price("0.5"),
        ..Need::default()
    };
    let found = ask_in(&snapshot, need(at_most), &tiers).expect("an answer");
    assert_eq!(name(&found), "shared");
    let all = ask_in(&snapshot, need(Need::default()), &[Tier::All]).expect("an answer");
    assert_eq!(name(&all), "shared");
}

#[test]
fn what_came_nearest_is_told_first_and_the_rest_is_counted() {
    let snapshot = with_models(|provider| {
        let far = (0..300).map(|number| {
            let mut model = model(1000 + number, provider, &format!("off-{number:03}"));
            model.common.is_active = false;
            model
        });
        let near = [
            model(102, provider, "a"),
            model(101, provider, "b"),
            with(provider, |_| ()),
        ];
        far.chain(near).collect()
    });
    let asked = Need {
        min_context_window: Some(2000),
        ..Need::default()
    };
    let refused = ask(&snapshot, need(asked)).expect_err("none is so large");
    let considered = &refused.considered;
    assert_eq!(considered.models.len(), MAX_CONSIDERED);
    assert_eq!(considered.omitted, 303 - MAX_CONSIDERED);
    assert_eq!(
        reasons(considered)[..4],
        [
            ("gpt", "ContextWindowTooSmall"),
            ("a", "ContextWindowUnknown"),
            ("b", "ContextWindowUnknown"),
            ("off-000", "Inactive")
        ]
    );
}
