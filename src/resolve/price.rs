//! What a call costs, exactly: by the tier that its prompt reaches, with what the vendor's cache holds counted
//! at its own price. A price that is not known is never zero.

use super::request::TypicalCall;
use crate::crd::decimal::Decimal;
use crate::snapshot::{CallPrices, ModelView};

/// The prices of a model that a need is compared by.
pub struct Prices {
    call: Option<TypicalCall>,
    /// Of 1,000 tokens of prompt.
    pub input: Option<Decimal>,
    /// Of 1,000 tokens of answer.
    pub output: Option<Decimal>,
    cache_read: Option<Decimal>,
    request: Option<Decimal>,
}

impl Prices {
    /// Those of this call, else of one with the shortest of prompts.
    pub fn of(model: &ModelView, call: Option<TypicalCall>) -> Self {
        let CallPrices {
            input,
            output,
            cache_read,
            request,
        } = model.prices_of_call(call.map_or(0, |call| call.prompt_tokens));
        let read = |price: Option<&str>| price.and_then(Decimal::parse);
        Self {
            call,
            input: read(input),
            output: read(output),
            cache_read: read(cache_read),
            request: read(request),
        }
    }

    /// What the call costs, times 1,000; none without a call, or where a price that it takes is not known. What
    /// each call costs beside its tokens is added where that is known: most vendors charge nothing there.
    pub fn cost(&self) -> Option<Decimal> {
        let call = self.call?;
        let tokens = self
            .prompt(call)?
            .plus(&part(call.output_tokens, self.output.as_ref())?);
        Some(match &self.request {
            Some(request) => tokens.plus(&request.times(1000)),
            None => tokens,
        })
    }

    /// Whether 1,000 tokens of prompt cost at most this, on the average of the call's; `None` where that is not
    /// known.
    pub fn input_within(&self, most: &Decimal) -> Option<bool> {
        match self.call.filter(|call| call.prompt_tokens > 0) {
            Some(call) => Some(self.prompt(call)? <= most.times(call.prompt_tokens)),
            None => Some(self.input.as_ref()? <= most),
        }
    }

    /// Whether 1,000 tokens of answer cost at most this; `None` where that is not known.
    pub fn output_within(&self, most: &Decimal) -> Option<bool> {
        Some(self.output.as_ref()? <= most)
    }

    /// The prompt of a call, times 1,000. Where nobody says that cached tokens cost less, they cost what others do.
    fn prompt(&self, call: TypicalCall) -> Option<Decimal> {
        let cached = call.cached_tokens.min(call.prompt_tokens);
        let cached_price = self.cache_read.as_ref().or(self.input.as_ref());
        let fresh = part(call.prompt_tokens - cached, self.input.as_ref())?;
        Some(fresh.plus(&part(cached, cached_price)?))
    }
}

/// What so many tokens cost, times 1,000; nothing where there are none.
fn part(tokens: u64, price: Option<&Decimal>) -> Option<Decimal> {
    match tokens {
        0 => Some(Decimal::default()),
        tokens => price.map(|price| price.times(tokens)),
    }
}
