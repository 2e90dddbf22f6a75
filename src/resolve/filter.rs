//! Whether a model meets a need, before its endpoints are looked at.

use super::Reason;
use super::request::Need;
use crate::crd::decimal::Decimal;
use crate::snapshot::{AvailabilityState, ModelStatus, ModelView, Snapshot};

impl Need {
    /// Why this model does not meet it: the first reason in their order.
    pub(super) fn refuses(&self, snapshot: &Snapshot, model: &ModelView) -> Option<Reason> {
        self.refuses_state(model)
            .or_else(|| self.refuses_kind(snapshot, model))
            .or_else(|| self.refuses_abilities(model))
            .or_else(|| self.refuses_price(model))
            .or_else(|| {
                let unavailable = model.availability.state == AvailabilityState::Unavailable;
                unavailable.then_some(Reason::Unavailable)
            })
    }

    fn refuses_state(&self, model: &ModelView) -> Option<Reason> {
        if self.exclude.iter().any(|name| is_called(model, name)) {
            return Some(Reason::Excluded);
        }
        out_of_use(model).or_else(|| {
            let deprecated = model.status == ModelStatus::Deprecated && !self.allow_deprecated;
            deprecated.then_some(Reason::Deprecated)
        })
    }

    fn refuses_kind(&self, snapshot: &Snapshot, model: &ModelView) -> Option<Reason> {
        let types = &self.provider_types;
        if !types.is_empty() {
            let provider = snapshot.providers.by_uid(model.provider_id);
            if !provider.is_some_and(|provider| types.contains(&provider.view.type_)) {
                return Some(Reason::ProviderTypeMismatch);
            }
        }
        if self.missing_label(model).is_some() {
            return Some(Reason::SelectorMismatch);
        }
        self.missing_task(model).map(|_| Reason::NotRecommended)
    }

    fn refuses_abilities(&self, model: &ModelView) -> Option<Reason> {
        let mut scores = Vec::with_capacity(self.capabilities.len());
        for wanted in &self.capabilities {
            match model.capability(*wanted) {
                Some(score) => scores.push(score),
                None => return Some(Reason::CapabilityMissing),
            }
        }
        if let Some(least) = self.min_score {
            if scores.contains(&None) {
                return Some(Reason::ScoreUnknown);
            }
            if scores.iter().flatten().any(|score| *score < least) {
                return Some(Reason::ScoreTooLow);
            }
        }
        let window = (Reason::ContextWindowUnknown, Reason::ContextWindowTooSmall);
        let output = (Reason::OutputTokensUnknown, Reason::OutputTokensTooFew);
        at_least(self.min_context_window, model.context_window, window)
            .or_else(|| at_least(self.min_output_tokens, model.max_output_tokens, output))
    }

    fn refuses_price(&self, model: &ModelView) -> Option<Reason> {
        if let (Some(asked), Some(theirs)) = (&self.currency, &model.currency)
            && asked != theirs
        {
            return Some(Reason::CurrencyMismatch);
        }
        let limits = [
            (&self.max_input_price, ModelView::input_price as fn(&_) -> _),
            (&self.max_output_price, ModelView::output_price),
        ];
        let limits = limits.into_iter().filter_map(|(most, price)| {
            let price: Option<Decimal> = model.currency.as_ref().and_then(|_| price(model));
            most.as_ref().map(|most| (most, price))
        });
        let limits: Vec<_> = limits.collect();
        if limits.iter().any(|(_, price)| price.is_none()) {
            return Some(Reason::PriceUnknown);
        }
        let too_high = limits
            .iter()
            .any(|(most, price)| price.as_ref().is_some_and(|price| price > most));
        too_high.then_some(Reason::PriceTooHigh)
    }

    fn missing_label(&self, model: &ModelView) -> Option<&str> {
        let missing = |(key, value): &(&String, &String)| model.labels.get(*key) != Some(*value);
        self.selector
            .iter()
            .find(missing)
            .map(|(key, _)| key.as_str())
    }

    fn missing_task(&self, model: &ModelView) -> Option<&str> {
        let recommended = |task: &&String| {
            let task = task.to_lowercase();
            let known = &model.recommended_for;
            known.iter().any(|known| known.to_lowercase() == task)
        };
        let mut tasks = self.recommended_for.iter();
        tasks.find(|task| !recommended(task)).map(String::as_str)
    }

    /// What of a model a reason is about, in a few words.
    pub(super) fn detail(&self, model: &ModelView, reason: Reason) -> Option<String> {
        let said = |what: &str, value: Option<String>| value.map(|value| format!("{what} {value}"));
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        match reason {
            Reason::SelectorMismatch => said("label", self.missing_label(model).map(str::to_owned)),
            Reason::NotRecommended => said("for", self.missing_task(model).map(str::to_owned)),
            Reason::CapabilityMissing => {
                let lacks = |wanted: &&_| model.capability(**wanted).is_none();
                let missing = self.capabilities.iter().find(lacks)?;
                Some(missing.as_str().to_owned())
            }
            Reason::ScoreUnknown | Reason::ScoreTooLow => {
                let least = self.min_score?;
                let mut asked = self.capabilities.iter();
                asked.find_map(|wanted| match (reason, model.capability(*wanted)?) {
                    (Reason::ScoreUnknown, None) => Some(wanted.as_str().to_owned()),
                    (Reason::ScoreTooLow, Some(score)) if score < least => {
                        Some(format!("{} scores {score}", wanted.as_str()))
                    }
                    _ => None,
                })
            }
            Reason::ContextWindowTooSmall => said("context_window", number(model.context_window)),
            Reason::OutputTokensTooFew => {
                said("max_output_tokens", number(model.max_output_tokens))
            }
            Reason::CurrencyMismatch => model.currency.clone(),
            Reason::PriceTooHigh => {
                let over = |most: &Option<Decimal>, price: Option<Decimal>| {
                    price.filter(|price| most.as_ref().is_some_and(|most| price > most))
                };
                let input = over(&self.max_input_price, model.input_price());
                let output = over(&self.max_output_price, model.output_price());
                said("input_price", input.map(|price| price.to_string()))
                    .or_else(|| said("output_price", output.map(|price| price.to_string())))
            }
            _ => None,
        }
    }
}

/// Why a model is not to be called by anyone, whatever is asked for.
pub(super) fn out_of_use(model: &ModelView) -> Option<Reason> {
    match (model.common.is_active, model.status) {
        (false, _) => Some(Reason::Inactive),
        (true, ModelStatus::Maintenance) => Some(Reason::UnderMaintenance),
        (true, ModelStatus::Available | ModelStatus::Deprecated) => None,
    }
}

/// Whether a model has this name, display name or `modelId`.
pub(super) fn is_called(model: &ModelView, name: &str) -> bool {
    model.common.name == name
        || model.display_name.as_deref() == Some(name)
        || model.model_id == name
}

fn at_least(
    least: Option<i64>,
    has: Option<i64>,
    (unknown, too_few): (Reason, Reason),
) -> Option<Reason> {
    let least = least?;
    match has {
        None => Some(unknown),
        Some(has) if has < least => Some(too_few),
        Some(_) => None,
    }
}
