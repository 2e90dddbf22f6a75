//! Prices, compared exactly.

use std::cmp::Ordering;

/// A decimal number that is not negative, of any length, compared without rounding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Digits before the point, without leading zeros.
    integer: Box<str>,
    /// Digits after the point, without trailing zeros.
    fraction: Box<str>,
}

impl Decimal {
    /// Reads digits with at most one point between them (`5`, `0.0025`); no sign, no exponent, at
    /// most 64 characters.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let (integer, fraction) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if integer.is_empty() || !digits(integer) || !digits(fraction) {
            return None;
        }
        Some(Self {
            integer: integer.trim_start_matches('0').into(),
            fraction: fraction.trim_end_matches('0').into(),
        })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.integer.len(), &self.integer, &self.fraction).cmp(&(
            other.integer.len(),
            &other.integer,
            &other.fraction,
        ))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_price_is_refused() {
        for text in [
            "", ".", "-1", "+1", "1.", ".5", "1e3", "abc", "1,5", "1.2.3", " 1",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn zeros_that_mean_nothing_are_ignored() {
        assert_eq!(Decimal::parse("00.500"), Decimal::parse("0.5"));
        assert_eq!(Decimal::parse("0"), Decimal::parse("0.000"));
    }

    proptest! {
        #[test]
        fn the_order_is_the_numbers_order(a in 0u64..2_000_000_000, b in 0u64..2_000_000_000, scale in 0u32..9) {
            let text = |n: u64| {
                let unit = 10u64.pow(scale);
                match scale {
                    0 => n.to_string(),
                    _ => format!("{}.{:0width$}", n / unit, n % unit, width = scale as usize),
                }
            };
            let (x, y) = (Decimal::parse(&text(a)), Decimal::parse(&text(b)));
            prop_assert!(x.is_some() && y.is_some());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
