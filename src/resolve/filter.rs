//! Whether a model meets a need, before its endpoints are looked at.

use super::Reason;
use super::price::Prices;
use super::request::Need;
use crate::crd::model::Modality;
use crate::snapshot::{AvailabilityState, ModelStatus, ModelView, Snapshot};

impl Need {
    /// Why this model does not meet it: the first reason in their order.
    pub(super) fn refuses(&self, snapshot: &Snapshot, model: &ModelView) -> Option<Reason> {
        self.refuses_beside_price(snapshot, model)
            .or_else(|| self.refuses_price(model))
            .or_else(|| {
                let unavailable = model.availability.state == AvailabilityState::Unavailable;
                unavailable.then_some(Reason::Unavailable)
            })
    }

    /// The same, whatever it costs, and whether it answers or not.
    pub(super) fn refuses_beside_price(
        &self,
        snapshot: &Snapshot,
        model: &ModelView,
    ) -> Option<Reason> {
        self.refuses_state(model)
            .or_else(|| self.refuses_kind(snapshot, model))
            .or_else(|| self.refuses_abilities(model))
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
        if self.missing_modality(model).is_some() {
            return Some(Reason::ModalityMissing);
        }
        let dimensions = self.embedding_dimensions;
        if dimensions.is_some() && model.embedding_dimensions != dimensions {
            return Some(Reason::EmbeddingDimensionsMismatch);
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
        let (most_input, most_output) = (&self.max_input_price, &self.max_output_price);
        if most_input.is_none() && most_output.is_none() {
            return None;
        }
        let prices = Prices::of(model, self.typical_call);
        let within = [
            most_input.as_ref().map(|most| prices.input_within(most)),
            most_output.as_ref().map(|most| prices.output_within(most)),
        ];
        let within: Vec<Option<bool>> = within.into_iter().flatten().collect();
        if within.contains(&None) {
            return Some(Reason::PriceUnknown);
        }
        within
            .contains(&Some(false))
            .then_some(Reason::PriceTooHigh)
    }

    fn missing_label(&self, model: &ModelView) -> Option<&str> {
        let missing =
            |(key, value): &(&String, &String)| model.selectable_labels.get(*key) != Some(*value);
        self.selector
            .iter()
            .find(missing)
            .map(|(key, _)| key.as_str())
    }

    /// A form that a model does not take or give, and which of the two.
    fn missing_modality(&self, model: &ModelView) -> Option<(&'static str, Modality)> {
        let sides = [
            ("input", &self.input_modalities, &model.input_modalities),
            ("output", &self.output_modalities, &model.output_modalities),
        ];
        sides.into_iter().find_map(|(side, wanted, known)| {
            let missing = wanted.iter().find(|wanted| !known.contains(wanted))?;
            Some((side, *missing))
        })
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
            Reason::ModalityMissing => {
                let (side, missing) = self.missing_modality(model)?;
                Some(format!("{} as {side}", missing.as_str()))
            }
            Reason::EmbeddingDimensionsMismatch => {
                said("embedding_dimensions", number(model.embedding_dimensions))
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
                let prices = Prices::of(model, self.typical_call);
                let most_input = self.max_input_price.as_ref();
                let is_over = most_input.and_then(|most| prices.input_within(most)) == Some(false);
                let (what, price) = match is_over {
                    true => ("input_price", prices.input),
                    false => ("output_price", prices.output),
                };
                said(what, price.map(|price| price.to_string()))
            }
            _ => None,
        }
    }
}

/// Why a model is not to be called by anyone, whatever is asked for.
pub(super) fn out_of_use(model: &ModelView) -> Option<Reason> {
    match (model.common.is_active, model.status) {
        (false, _) => Some(Reason::Inactive),
        (true, _) if model.is_retired() => Some(Reason::Retired),
        (true, ModelStatus::Maintenance) => Some(Reason::UnderMaintenance),
        (true, ModelStatus::Available | ModelStatus::Deprecated) => None,
    }
}

/// Since when a retired model is, and what to use in its place, as far as that is known.
pub(super) fn end_of_life(model: &ModelView) -> Option<String> {
    let since = model.retires_at.map(|end| format!("since {end}"));
    let instead = model.replacement_model_id.as_ref();
    let instead = instead.map(|other| format!("use {other} in its place"));
    match (since, instead) {
        (Some(since), Some(instead)) => Some(format!("{since}; {instead}")),
        (since, instead) => since.or(instead),
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
