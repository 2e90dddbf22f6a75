//! What a model costs, dimension by dimension. A price that is absent is unknown, never zero.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Declares a struct that has a price for each kind of token, between fields of its own.
macro_rules! token_prices {
    (
        $(#[$meta:meta])*
        pub struct $name:ident [$($before:tt)*] [$($after:tt)*]
    ) => {
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $name {
            $($before)*
            /// Price of 1,000 tokens of prompt: a decimal number in quotes, for example `"0.0025"`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub input_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of answer: a decimal number in quotes, for example `"0.01"`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub output_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of prompt that the vendor's cache holds.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub cache_read_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of prompt that are written into the vendor's cache.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub cache_write_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of reasoning, where it is not that of the answer.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub reasoning_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of audio in the prompt.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub audio_input_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of audio in the answer.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub audio_output_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of prompt in a batch.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub batch_input_per1k_tokens: Option<String>,
            /// Price of 1,000 tokens of answer in a batch.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = rules::MAX_PRICE_CHARS))]
            #[x_kube(validation = rules::PRICE)]
            pub batch_output_per1k_tokens: Option<String>,
            $($after)*
        }

        impl $name {
            /// The prices of tokens, each with the name of its field.
            pub fn token_prices(&self) -> [(&'static str, Option<&str>); 9] {
                [
                    ("inputPer1kTokens", self.input_per1k_tokens.as_deref()),
                    ("outputPer1kTokens", self.output_per1k_tokens.as_deref()),
                    ("cacheReadPer1kTokens", self.cache_read_per1k_tokens.as_deref()),
                    ("cacheWritePer1kTokens", self.cache_write_per1k_tokens.as_deref()),
                    ("reasoningPer1kTokens", self.reasoning_per1k_tokens.as_deref()),
                    ("audioInputPer1kTokens", self.audio_input_per1k_tokens.as_deref()),
                    ("audioOutputPer1kTokens", self.audio_output_per1k_tokens.as_deref()),
                    ("batchInputPer1kTokens", self.batch_input_per1k_tokens.as_deref()),
                    ("batchOutputPer1kTokens", self.batch_output_per1k_tokens.as_deref()),
                ]
            }
        }
    };
}

token_prices! {
    /// What a model costs.
    #[x_kube(
        validation = Rule::new(rules::TIERS_COMPLETE).message(rules::TIERS_COMPLETE_MESSAGE).field_path(".tiers")
    )]
    pub struct Pricing [
        /// ISO 4217 code of the currency, for example `USD`.
        #[schemars(length(max = rules::CURRENCY_CHARS))]
        #[x_kube(validation = rules::CURRENCY)]
        pub currency: String,
    ] [
        /// Price of one image that is made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = rules::MAX_PRICE_CHARS))]
        #[x_kube(validation = rules::PRICE)]
        pub per_image: Option<String>,
        /// Price of each call, beside its tokens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = rules::MAX_PRICE_CHARS))]
        #[x_kube(validation = rules::PRICE)]
        pub per_request: Option<String>,
        /// Prices of calls with longer prompts, by where they begin, the least first. A tier's prices
        /// hold for the whole call, in the place of all those above; one that it leaves out is unknown.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["fromInputTokens"]))]
        #[x_kube(validation = rules::TIERS_ASCEND)]
        pub tiers: Vec<PriceTier>,
    ]
}

token_prices! {
    /// Prices of calls with at least so many tokens of prompt.
    pub struct PriceTier [
        /// Tokens of prompt from which these prices hold.
        #[schemars(range(min = 1, max = rules::MAX_TOKENS))]
        pub from_input_tokens: i64,
    ] []
}

impl Pricing {
    /// All prices but those of tiers, each with the name of its field.
    pub fn prices(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.token_prices().into_iter().chain([
            ("perImage", self.per_image.as_deref()),
            ("perRequest", self.per_request.as_deref()),
        ])
    }

    /// What is wrong with the tiers, of what the schema refuses: where, and what to do.
    pub fn wrong_tiers(&self) -> Option<&'static str> {
        if !self
            .tiers
            .is_sorted_by(|a, b| a.from_input_tokens < b.from_input_tokens)
        {
            return Some(rules::TIERS_ASCEND.1);
        }
        let gap = |tier: &PriceTier| {
            tier.input_per1k_tokens.is_some() != self.input_per1k_tokens.is_some()
                || tier.output_per1k_tokens.is_some() != self.output_per1k_tokens.is_some()
        };
        self.tiers
            .iter()
            .any(gap)
            .then_some(rules::TIERS_COMPLETE_MESSAGE)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pricing(tiers: serde_json::Value) -> Pricing {
        serde_json::from_value(json!({
            "currency": "USD", "inputPer1kTokens": "1", "outputPer1kTokens": "2", "tiers": tiers,
        }))
        .unwrap()
    }

    #[test]
    fn tiers_ascend_and_have_no_gaps() {
        let tier = |from: i64| json!({ "fromInputTokens": from, "inputPer1kTokens": "3", "outputPer1kTokens": "4" });
        assert_eq!(pricing(json!([tier(1), tier(2)])).wrong_tiers(), None);
        let wrong = |tiers| pricing(tiers).wrong_tiers();
        assert_eq!(
            wrong(json!([tier(2), tier(1)])),
            Some(rules::TIERS_ASCEND.1)
        );
        assert_eq!(
            wrong(json!([tier(2), tier(2)])),
            Some(rules::TIERS_ASCEND.1)
        );
        let gap = json!([{ "fromInputTokens": 5, "inputPer1kTokens": "3" }]);
        assert_eq!(wrong(gap), Some(rules::TIERS_COMPLETE_MESSAGE));
    }

    #[test]
    fn every_price_is_named_as_it_is_written() {
        let all = json!({
            "currency": "USD", "inputPer1kTokens": "1", "outputPer1kTokens": "1", "cacheReadPer1kTokens": "1",
            "cacheWritePer1kTokens": "1", "reasoningPer1kTokens": "1", "audioInputPer1kTokens": "1",
            "audioOutputPer1kTokens": "1", "batchInputPer1kTokens": "1", "batchOutputPer1kTokens": "1",
            "perImage": "1", "perRequest": "1",
        });
        let read: Pricing = serde_json::from_value(all.clone()).unwrap();
        assert_eq!(json!(read), all);
        for (name, price) in read.prices() {
            assert_eq!(all[name].as_str(), price, "{name}");
        }
        assert_eq!(read.prices().count() + 1, all.as_object().unwrap().len());
    }
}
