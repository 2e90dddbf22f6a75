//! What a request is answered before and after, by the resolver that answers agents. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::needs::AskedFor;
use crate::crd::decimal::Decimal;
use crate::resolve::{Access, Request, Resolution, Unresolved, Wanted, resolve};
use crate::snapshot::{ModelView, Snapshot};

/// Models of which it is told why they are passed over.
const MAX_PASSED_OVER: usize = 3;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A model.
    Found(Answer),
    /// None.
    Nothing(NothingFound),
}

/// A model, and where it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Namespace of the model.
    pub namespace: String,
    /// Its name.
    pub model: String,
    /// The class by which it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Where it is called, in failover order.
    pub targets: Vec<TargetName>,
    /// What it costs.
    pub price: PriceOfCall,
}

/// An endpoint that is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetName {
    /// Name of the model.
    pub model: String,
    /// Name of the endpoint.
    pub endpoint: String,
    /// Name of the credential that comes first; none: there is none that fits.
    pub credential: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_reason: Option<&'static str>,
}

/// What 1,000 tokens cost in the call that is asked about; null: unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PriceOfCall {
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Of the prompt: a decimal number.
    pub input: Option<String>,
    /// Of the answer: a decimal number.
    pub output: Option<String>,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NothingFound {
    /// In one word.
    pub why: String,
    /// The models that came nearest, each with the word that `POST /resolve` has for it.
    pub passed_over: Vec<PassedOverModel>,
}

/// A model that was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOverModel {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub model: String,
    /// Why.
    pub reason: &'static str,
}

/// What a change does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It had an answer, and has none.
    Nowhere,
    /// It has a key at no endpoint of its answer any more.
    Keyless,
    /// Another model answers it.
    OtherModel,
    /// The same model answers it, elsewhere first.
    OtherEndpoint,
    /// The same, at another price.
    OtherPrice,
    /// The same first, and behind it other endpoints, or another key.
    OtherTargets,
    /// It had no answer, and has one.
    Found,
}

impl Effect {
    /// In a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nowhere => "no answer any more",
            Self::Keyless => "no key any more",
            Self::OtherModel => "another model",
            Self::OtherEndpoint => "another endpoint",
            Self::OtherPrice => "another price",
            Self::OtherTargets => "other targets behind the first, or another key",
            Self::Found => "an answer where there was none",
        }
    }

    /// Whether whoever asks is left without what it had.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Nowhere | Self::Keyless)
    }

    /// What is between two outcomes; `None`: nothing that matters.
    pub fn between(before: &Outcome, after: &Outcome) -> Option<Self> {
        let (before, after) = match (before, after) {
            (Outcome::Nothing(_), Outcome::Nothing(_)) => return None,
            (Outcome::Found(_), Outcome::Nothing(_)) => return Some(Self::Nowhere),
            (Outcome::Nothing(_), Outcome::Found(_)) => return Some(Self::Found),
            (Outcome::Found(before), Outcome::Found(after)) => (before, after),
        };
        let has_key = |answer: &Answer| answer.targets.iter().any(|it| it.credential.is_some());
        let place = |answer: &Answer| answer.targets.first().map(|it| it.endpoint.clone());
        if has_key(before) && !has_key(after) {
            Some(Self::Keyless)
        } else if (&before.namespace, &before.model) != (&after.namespace, &after.model) {
            Some(Self::OtherModel)
        } else if place(before) != place(after) {
            Some(Self::OtherEndpoint)
        } else if before.price != after.price {
            Some(Self::OtherPrice)
        } else {
            (before.targets != after.targets).then_some(Self::OtherTargets)
        }
    }
}

/// What a request is answered, for somebody who may see and use all that is there.
pub fn answer(snapshot: &Snapshot, asked: &AskedFor, request: &Request, now: Timestamp) -> Outcome {
    let access = Access {
        tiers: &asked.tiers(),
        may_have: &|_| true,
        may_see_classes: &|_| true,
        gave_no_key: &[],
    };
    match resolve(snapshot, request, access, now) {
        Ok(found) => Outcome::Found(found_answer(&found, request)),
        Err(refused) => Outcome::Nothing(nothing(&refused)),
    }
}

fn found_answer(found: &Resolution, request: &Request) -> Answer {
    let model = &found.model.view;
    let prompt = match &request.wanted {
        Wanted::Need(need) => need.typical_call.map_or(0, |call| call.prompt_tokens),
        Wanted::Named(_) | Wanted::Class(_) => 0,
    };
    Answer {
        namespace: model.common.namespace.clone(),
        model: model.common.name.clone(),
        class: found
            .class
            .as_ref()
            .map(|class| class.view.common.name.clone()),
        targets: found
            .targets
            .iter()
            .map(|target| {
                let first = target.credentials.first().or(target.exchange.as_ref());
                let without = target.without_credential.filter(|_| first.is_none());
                TargetName {
                    model: target.model.view.common.name.clone(),
                    endpoint: target.endpoint.view.common.name.clone(),
                    credential: first.map(|entry| entry.view.common.name.clone()),
                    credential_reason: without.map(|reason| reason.as_str()),
                }
            })
            .collect(),
        price: price(model, prompt),
    }
}

fn price(model: &ModelView, prompt_tokens: u64) -> PriceOfCall {
    let prices = model.prices_of_call(prompt_tokens);
    // One form for what is written in several.
    let plain = |price: Option<&str>| {
        price.map(|text| Decimal::parse(text).map_or(text.to_owned(), |it| it.to_string()))
    };
    PriceOfCall {
        currency: model.currency.clone(),
        input: plain(prices.input),
        output: plain(prices.output),
    }
}

fn nothing(refused: &Unresolved) -> NothingFound {
    let passed = refused.considered.models.iter().take(MAX_PASSED_OVER);
    NothingFound {
        why: format!("{:?}", refused.why),
        passed_over: passed
            .map(|passed| PassedOverModel {
                namespace: passed.namespace.clone(),
                model: passed.model.clone(),
                reason: passed.reason.as_str(),
            })
            .collect(),
    }
}
