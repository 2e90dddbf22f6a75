//! The currency of prices that name none.

use std::collections::BTreeSet;

use super::candidates::Tier;
use super::request::{Request, Wanted};
use crate::snapshot::Snapshot;

/// Prices without a currency, and models in several that they may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrencyUnclear {
    /// The currencies, by name.
    pub currencies: Vec<String>,
}

/// Gives a need's prices the currency that is meant where they name none: the one that all those models have which
/// meet the rest of the need.
///
/// # Errors
///
/// [`CurrencyUnclear`], where these have several.
pub fn settle_currency(
    snapshot: &Snapshot,
    tiers: &[Tier],
    request: &mut Request,
) -> Result<(), CurrencyUnclear> {
    let Wanted::Need(need) = &mut request.wanted else {
        return Ok(());
    };
    let has_price = need.max_input_price.is_some() || need.max_output_price.is_some();
    if !has_price || need.currency.is_some() {
        return Ok(());
    }
    let models = tiers.iter().flat_map(|tier| tier.models(snapshot));
    let meant = models.filter(|entry| need.refuses_beside_price(snapshot, &entry.view).is_none());
    let currencies: BTreeSet<&str> = meant
        .filter_map(|entry| entry.view.currency.as_deref())
        .collect();
    let currencies: Vec<String> = currencies.into_iter().map(str::to_owned).collect();
    match &currencies[..] {
        // None of them has a price: that is why none will do.
        [] => {}
        [only] => need.currency = Some(only.clone()),
        _ => return Err(CurrencyUnclear { currencies }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::decimal::Decimal;
    use crate::crd::model::Capability::{self, Chat, Vision};
    use crate::resolve::Need;
    use crate::resolve::fixtures_tests::{can, model, priced, with_models};

    #[test]
    fn a_price_without_a_currency_means_the_one_that_there_is() {
        let snapshot = with_models(|provider| {
            let mut yuan = priced(100, provider, "yuan", ["0.05", "0.05"]);
            yuan.currency = Some("CNY".to_owned());
            yuan.capabilities = vec![can(Vision, None)];
            let mut dollar = priced(101, provider, "dollar", ["0.01", "0.01"]);
            dollar.capabilities = vec![can(Chat, None)];
            vec![yuan, dollar, model(103, provider, "unpriced")]
        });
        let settled = |need: Need| {
            let mut request = Request {
                wanted: Wanted::Need(Box::new(need)),
                with_key: false,
            };
            settle_currency(&snapshot, &[Tier::All], &mut request)?;
            let Wanted::Need(need) = request.wanted else {
                panic!("it is a need");
            };
            Ok(need.currency)
        };
        let cheap = |capabilities: Vec<Capability>| Need {
            max_output_price: Decimal::parse("0.06"),
            capabilities,
            ..Need::default()
        };
        assert_eq!(settled(cheap(vec![Vision])), Ok(Some("CNY".to_owned())));
        assert_eq!(settled(cheap(vec![Chat])), Ok(Some("USD".to_owned())));
        let several = CurrencyUnclear {
            currencies: vec!["CNY".to_owned(), "USD".to_owned()],
        };
        assert_eq!(settled(cheap(vec![])), Err(several));
        let nobody = Need {
            min_context_window: Some(i64::MAX),
            ..cheap(vec![])
        };
        assert_eq!(settled(nobody), Ok(None));
        // What is said stands, and without a price nothing is to be settled.
        let said = Need {
            currency: Some("EUR".to_owned()),
            ..cheap(vec![])
        };
        assert_eq!(settled(said), Ok(Some("EUR".to_owned())));
        assert_eq!(settled(Need::default()), Ok(None));
    }
}
