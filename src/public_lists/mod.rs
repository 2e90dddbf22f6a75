//! Models as LiteLLM, models.dev and OpenRouter list them: their words for prices, abilities and forms. Pure.
//!
//! `llmplane import`, `llmplane catalog refresh` and the drivers read the same lists: how a field of theirs is
//! understood is said here, once.

pub mod litellm;
pub mod models_dev;
pub mod openrouter;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::crd::model::{Modalities, Modality, Pricing};

/// What a model takes and gives, by the words of both.
pub const MODALITIES: [(&str, Modality); 5] = [
    ("text", Modality::Text),
    ("image", Modality::Image),
    ("audio", Modality::Audio),
    ("video", Modality::Video),
    ("pdf", Modality::Pdf),
];

/// The modality of a word.
pub fn modality(word: &str) -> Option<Modality> {
    let found = MODALITIES.into_iter().find(|(known, _)| *known == word);
    found.map(|(_, modality)| modality)
}

/// What an entry says that a model takes and gives, where its two lists are and what their words mean; what has
/// no meaning is left out.
pub fn modalities(
    entry: &Value,
    [input, output]: [&str; 2],
    meaning: impl Fn(&str) -> Option<Modality>,
) -> Option<Modalities> {
    let words = |pointer: &str| {
        let words = entry.pointer(pointer).and_then(Value::as_array);
        let words = words.into_iter().flatten();
        let mut known: Vec<_> = words.filter_map(|word| meaning(word.as_str()?)).collect();
        known.sort_unstable();
        known.dedup();
        known
    };
    let modalities = Modalities {
        input: words(input),
        output: words(output),
    };
    (modalities != Modalities::default()).then_some(modalities)
}

/// Why a price is left out that cannot be held.
pub const NO_PRICE: &str =
    "it is no price that llmplane can hold: at most 12 digits before the point and 12 after it";

/// What a list says that one model costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedPrices {
    /// The prices; `None` where it says none.
    pub pricing: Option<Pricing>,
    /// Fields of the list that were taken, each with the field of the pricing that it went to.
    pub taken: Vec<(String, &'static str)>,
    /// Fields that were left out, each with the reason.
    pub refused: Vec<(String, String)>,
}

/// Prices in the making: by the field of a pricing, or of a tier.
#[derive(Default)]
struct Draft {
    base: Map<String, Value>,
    /// By where a tier begins.
    tiers: BTreeMap<i64, Map<String, Value>>,
    /// The field for which none of it can be held, and why, if that is so.
    broken: Option<(String, String)>,
    read: ListedPrices,
}

impl Draft {
    /// Takes a price: of calls from so many tokens of prompt on, or of all.
    fn take(
        &mut self,
        field: &str,
        target: &'static str,
        from: Option<i64>,
        value: &Value,
        power: i32,
    ) {
        match price(value, power) {
            Some(price) => {
                let (prices, told) = match from {
                    Some(from) => (self.tiers.entry(from).or_default(), "tiers"),
                    None => (&mut self.base, target),
                };
                prices.insert(target.to_owned(), price.into());
                self.read.taken.push((field.to_owned(), told));
            }
            None => {
                self.refuse(field, NO_PRICE);
                if from.is_some() {
                    self.broken(
                        field,
                        "a tier of the same model has a price that cannot be held",
                    );
                }
            }
        }
    }

    /// A price that a tier does not name is that beside the tiers.
    fn fill_tiers(&mut self) {
        for tier in self.tiers.values_mut() {
            for (target, price) in &self.base {
                if target.ends_with("Per1kTokens") {
                    tier.entry(target).or_insert_with(|| price.clone());
                }
            }
        }
    }

    fn broken(&mut self, field: &str, why: impl Into<String>) {
        self.broken = Some((field.to_owned(), why.into()));
    }

    fn refuse(&mut self, field: &str, why: impl Into<String>) {
        self.read.refused.push((field.to_owned(), why.into()));
    }

    /// The prices. Tiers that no resource takes are left out, and what they cost is then not said at all: the
    /// prices beside them would say less than such a call costs.
    fn finish(mut self) -> ListedPrices {
        if self.base.is_empty() && self.tiers.is_empty() && self.broken.is_none() {
            return self.read;
        }
        let tiers: Vec<Value> = (self.tiers.into_iter())
            .map(|(from, mut prices)| {
                prices.insert("fromInputTokens".to_owned(), from.into());
                prices.into()
            })
            .collect();
        let mut pricing = self.base;
        pricing.insert("currency".to_owned(), "USD".into());
        pricing.insert("tiers".to_owned(), tiers.into());
        // Made of the pricing's own fields.
        let pricing: Pricing = serde_json::from_value(pricing.into()).unwrap_or_default();
        let why = match (self.broken, pricing.wrong_tiers()) {
            (None, None) => {
                self.read.pricing = Some(pricing);
                return self.read;
            }
            (Some((field, why)), _) => {
                self.read.taken.push((field, "tiers"));
                why
            }
            (None, Some(why)) => why.to_owned(),
        };
        let told: BTreeSet<String> =
            (self.read.refused.iter().map(|(field, _)| field.clone())).collect();
        let taken = std::mem::take(&mut self.read.taken).into_iter();
        let left: BTreeSet<String> = taken.map(|(field, _)| field).collect();
        let left = left.difference(&told).cloned();
        (self.read.refused).extend(left.map(|field| (field, why.clone())));
        self.read
    }
}

/// A number times a power of ten as a decimal string, exactly as it was written: no binary fraction
/// comes in between. None for what is no price: negative, or with more digits than one has.
pub fn price(value: &Value, power: i32) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (&*text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() > 40 {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + exponent.checked_add(power)?;
    if !(-40..=40).contains(&point) {
        return digits
            .bytes()
            .all(|byte| byte == b'0')
            .then(|| "0".to_owned());
    }
    let shown = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => {
            format!("{digits}{}", "0".repeat(point - digits.len()))
        }
        Ok(point) => format!("{}.{}", &digits[..point], &digits[point..]),
        Err(_) => format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
    };
    let (whole, fraction) = shown.split_once('.').unwrap_or((&shown, ""));
    let (whole, fraction) = (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    );
    if whole.len() > 12 || fraction.len() > 12 {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match fraction {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_price_is_moved_by_its_digits() {
        for (number, power, expected) in [
            (json!(0.000_001_25), 3, Some("0.00125")),
            (json!(1.25), -3, Some("0.00125")),
            (json!(10), -3, Some("0.01")),
            (json!(0), -3, Some("0")),
            (json!(3e-7), 3, Some("0.0003")),
            (json!("0.6"), -3, Some("0.0006")),
            (json!(1500), 3, Some("1500000")),
            (json!(-1), 3, None),
            (json!(1e-300), 3, None),
            (json!(1e300), 3, None),
            (json!("free"), 3, None),
            (json!(1e-15), 0, None),
        ] {
            assert_eq!(price(&number, power).as_deref(), expected, "{number}");
        }
    }
}
