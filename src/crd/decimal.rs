//! Prices, compared exactly.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigUint;

/// A decimal number that is not negative, of any length, compared without rounding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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

    /// Ten times as much.
    pub fn times_ten(&self) -> Self {
        let (shifted, rest) = self.fraction.split_at(self.fraction.len().min(1));
        let shifted = if shifted.is_empty() { "0" } else { shifted };
        Self {
            integer: format!("{}{shifted}", self.integer)
                .trim_start_matches('0')
                .into(),
            fraction: rest.into(),
        }
    }

    /// So many times as much, exactly.
    pub fn times(&self, factor: u64) -> Self {
        let scale = self.fraction.len();
        Self::of_units(&(self.units(scale) * factor), scale)
    }

    /// The sum, exactly.
    pub fn plus(&self, other: &Self) -> Self {
        let scale = self.fraction.len().max(other.fraction.len());
        Self::of_units(&(self.units(scale) + other.units(scale)), scale)
    }

    /// How many units of ten to the minus `scale` it is; `scale` is at least its own.
    fn units(&self, scale: usize) -> BigUint {
        let zeros = scale.saturating_sub(self.fraction.len());
        let digits = format!("{}{}{}", self.integer, self.fraction, "0".repeat(zeros));
        BigUint::parse_bytes(digits.as_bytes(), 10).unwrap_or_default()
    }

    fn of_units(units: &BigUint, scale: usize) -> Self {
        let digits = format!("{units:0>width$}", width = scale + 1);
        let (integer, fraction) = digits.split_at(digits.len() - scale);
        Self {
            integer: integer.trim_start_matches('0').into(),
            fraction: fraction.trim_end_matches('0').into(),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let integer = if self.integer.is_empty() {
            "0"
        } else {
            &self.integer
        };
        match &*self.fraction {
            "" => f.write_str(integer),
            fraction => write!(f, "{integer}.{fraction}"),
        }
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
    fn ten_times_as_much_moves_the_point() {
        for (text, tenfold) in [
            ("0", "0"),
            ("0.05", "0.5"),
            ("0.5", "5"),
            ("5", "50"),
            ("1.25", "12.5"),
        ] {
            let read = |text| Decimal::parse(text).expect("a number");
            assert_eq!(read(text).times_ten(), read(tenfold), "{text}");
        }
    }

    #[test]
    fn zeros_that_mean_nothing_are_ignored() {
        assert_eq!(Decimal::parse("00.500"), Decimal::parse("0.5"));
        assert_eq!(Decimal::parse("0"), Decimal::parse("0.000"));
    }

    proptest! {
        #[test]
        fn sums_and_products_are_exact(a in 0u64..1_000_000_000, b in 0u64..1_000_000_000, factor in 0u64..1_000_000_000) {
            let text = |n: u128| format!("{}.{:06}", n / 1_000_000, n % 1_000_000);
            let read = |n: u128| Decimal::parse(&text(n)).expect("a number");
            let (x, y) = (u128::from(a), u128::from(b));
            prop_assert_eq!(read(x).plus(&read(y)), read(x + y));
            prop_assert_eq!(read(x).times(factor), read(x * u128::from(factor)));
            prop_assert_eq!(Decimal::parse(&read(x).to_string()), Some(read(x)));
        }

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
