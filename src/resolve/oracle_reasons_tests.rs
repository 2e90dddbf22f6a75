//! The reason that the oracle gives of each model that it does not choose: the first that holds, in the order of
//! the documentation.

use std::collections::BTreeMap;

use super::{
    PlainNeed, World, by_preference, callable, does, oracle, prices, prompt_cost, targets,
};

/// Why each model but the chosen one is passed over.
pub fn of(world: &World, need: &PlainNeed) -> BTreeMap<usize, &'static str> {
    let chosen = oracle(world, need).map(|(number, _)| number);
    let all = 0..world.models.len();
    let (mut doing, others): (Vec<usize>, Vec<usize>) =
        all.partition(|number| does(world, need, *number));
    by_preference(world, need, &mut doing);
    let mut reasons = BTreeMap::new();
    for number in others {
        let reason = unmet(world, need, number).expect("it does not do");
        reasons.insert(number, reason);
    }
    let mut is_found = false;
    for number in doing {
        let reason = match is_found {
            true => beaten(world, need, (number, chosen)),
            false => uncallable(world, need, number),
        };
        is_found |= reason.is_none();
        if let Some(reason) = reason.filter(|_| chosen != Some(number)) {
            reasons.insert(number, reason);
        }
    }
    reasons
}

/// The first thing asked for that a model does not meet.
fn unmet(world: &World, need: &PlainNeed, number: usize) -> Option<&'static str> {
    let model = &world.models[number];
    let asked: Vec<Option<Option<i32>>> = (0..2)
        .filter(|ability| need.abilities[*ability])
        .map(|ability| model.abilities[ability])
        .collect();
    let scores = asked.iter().flatten();
    let least = need.min_score;
    let (length, cached) = need
        .call
        .map_or((0, 0), |(prompt, cached, _)| (prompt, cached));
    let [input, output, _] = prices(model, length);
    let paid = match length {
        0 => input,
        _ => prompt_cost(model, length, cached),
    };
    let over = |most: Option<u64>, paid: Option<u128>, tokens: u64| {
        let most = most.map(|most| u128::from(most) * u128::from(tokens));
        most.zip(paid).is_some_and(|(most, paid)| paid > most)
    };
    let window = (need.min_window, model.window);
    let answer = (need.min_output, model.output);
    let unknown = |(least, has): (Option<i64>, Option<i64>)| least.is_some() && has.is_none();
    let less = |(least, has): (Option<i64>, Option<i64>)| {
        least.zip(has).is_some_and(|(least, has)| has < least)
    };
    let checks = [
        (need.exclude == Some(number), "Excluded"),
        (!model.active, "Inactive"),
        (model.retired, "Retired"),
        (model.status == 1, "UnderMaintenance"),
        (model.status == 2 && !need.allow_deprecated, "Deprecated"),
        (
            need.only_type
                .is_some_and(|wanted| world.types[model.provider] != wanted),
            "ProviderTypeMismatch",
        ),
        (need.gold && !model.gold, "SelectorMismatch"),
        (need.summaries && !model.summaries, "NotRecommended"),
        (asked.contains(&None), "CapabilityMissing"),
        (need.images && !model.images, "ModalityMissing"),
        (
            least.is_some() && scores.clone().any(Option::is_none),
            "ScoreUnknown",
        ),
        (
            least.is_some_and(|least| scores.clone().flatten().any(|score| *score < least)),
            "ScoreTooLow",
        ),
        (unknown(window), "ContextWindowUnknown"),
        (less(window), "ContextWindowTooSmall"),
        (unknown(answer), "OutputTokensUnknown"),
        (less(answer), "OutputTokensTooFew"),
        (
            need.currency != 0 && model.currency != 0 && need.currency != model.currency,
            "CurrencyMismatch",
        ),
        (
            need.max_input.is_some() && paid.is_none()
                || need.max_output.is_some() && output.is_none(),
            "PriceUnknown",
        ),
        (
            over(need.max_input, paid, length.max(1)) || over(need.max_output, output, 1),
            "PriceTooHigh",
        ),
        (model.unavailable, "Unavailable"),
    ];
    let first = checks.into_iter().find(|(holds, _)| *holds);
    first.map(|(_, reason)| reason)
}

/// Why a model that would do cannot be called, or is not while another can; none where it is chosen.
fn uncallable(world: &World, need: &PlainNeed, number: usize) -> Option<&'static str> {
    let anywhere = PlainNeed {
        region: 0,
        ..need.clone()
    };
    if targets(world, &anywhere, number).is_empty() {
        return Some("NoEndpoint");
    }
    if targets(world, need, number).is_empty() {
        return Some("RegionMismatch");
    }
    let Some(targets) = callable(world, need, number) else {
        return Some("NoCredential");
    };
    let mut endpoints = targets.iter().map(|(endpoint, _)| *endpoint);
    let is_sick = endpoints.all(|endpoint| world.endpoints[endpoint].health == 2);
    is_sick.then_some("EndpointsUnhealthy")
}

/// Why a model comes after the chosen one.
fn beaten(
    world: &World,
    need: &PlainNeed,
    (number, chosen): (usize, Option<usize>),
) -> Option<&'static str> {
    let theirs = world.models[number].currency;
    let other = chosen.is_some_and(|chosen| {
        let currency = world.models[chosen].currency;
        currency != 0 && theirs != 0 && currency != theirs
    });
    Some(match need.prefer == 0 && other {
        true => "CurrencyMismatch",
        false => "LessPreferred",
    })
}
