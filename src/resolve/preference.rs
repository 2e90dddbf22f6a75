//! Which of two models that meet a need comes first.

use std::cmp::Reverse;

use super::price::Prices;
use super::request::{Need, Prefer};
use crate::crd::decimal::Decimal;
use crate::snapshot::ModelView;

/// A value that may not be known; what is not known comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known<T> {
    Yes(T),
    No,
}

impl<T> From<Option<T>> for Known<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::No, Self::Yes)
    }
}

/// What models are compared by, in this order. Names decide between equals.
///
/// Amounts are compared as numbers also where their currencies differ, for want of a rate; what is
/// then passed over for its currency is told so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Preference {
    /// Score or context window, the highest first, where one of them is preferred.
    merit: Known<Reverse<i64>>,
    /// What the typical call costs, times 1,000.
    call: Known<Decimal>,
    input: Known<Decimal>,
    output: Known<Decimal>,
    name: (String, String),
}

impl Preference {
    /// Of this model for this need.
    pub fn of(need: &Need, model: &ModelView) -> Self {
        let merit = match need.prefer {
            Prefer::Price => None,
            Prefer::Score => least_score(need, model),
            Prefer::Context => model.context_window,
        };
        let prices = Prices::of(model, need.typical_call);
        Self {
            merit: merit.map(Reverse).into(),
            call: prices.cost().into(),
            input: prices.input.into(),
            output: prices.output.into(),
            name: (model.common.name.clone(), model.common.namespace.clone()),
        }
    }
}

/// The lowest score in the capabilities asked for; none where one of them has none.
fn least_score(need: &Need, model: &ModelView) -> Option<i64> {
    let scores = need.capabilities.iter().map(|wanted| {
        let score = model.capability(*wanted).flatten();
        score.map(i64::from)
    });
    scores.collect::<Option<Vec<_>>>()?.into_iter().min()
}
