//! Where a list goes on: after a row, not at a number, so that rows that come and go between two
//! pages neither repeat nor hide others.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::problem::Problem;
use crate::snapshot::Decimal;

/// Longest cursor that is looked at; the longest that is made is far shorter.
const MAX_CURSOR_CHARS: usize = 2048;

/// What a list is sorted by, before namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    /// Nothing else.
    Name,
    /// A number that may be unknown.
    Number(Option<i64>),
    /// A moment.
    Time(Timestamp),
    /// A price that may be unknown: currency, input, output.
    Price(Option<(String, Price, Option<Price>)>),
}

/// A decimal number as it is written in a cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Price {
    text: String,
    value: Decimal,
}

impl TryFrom<String> for Price {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let value = Decimal::parse(&text).ok_or("no decimal number")?;
        Ok(Self { text, value })
    }
}

impl From<Price> for String {
    fn from(price: Price) -> Self {
        price.text
    }
}

impl Rank {
    /// Their order; what is unknown comes last in both directions.
    fn order(&self, other: &Self, descending: bool) -> Ordering {
        let directed = |order: Ordering| if descending { order.reverse() } else { order };
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => {
                unknown_last(a.as_ref(), b.as_ref(), |a, b| directed(a.cmp(b)))
            }
            (Self::Time(a), Self::Time(b)) => directed(a.cmp(b)),
            (Self::Price(a), Self::Price(b)) => unknown_last(a.as_ref(), b.as_ref(), |a, b| {
                a.0.cmp(&b.0)
                    .then_with(|| directed(a.1.value.cmp(&b.1.value)))
                    .then_with(|| {
                        unknown_last(a.2.as_ref(), b.2.as_ref(), |a, b| {
                            directed(a.value.cmp(&b.value))
                        })
                    })
            }),
            _ => Ordering::Equal,
        }
    }
}

fn unknown_last<T>(
    a: Option<&T>,
    b: Option<&T>,
    known: impl FnOnce(&T, &T) -> Ordering,
) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => known(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// The place of a row in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorPlace {
    /// The `sort` that the list has: a cursor of one order means nothing in another.
    pub sort: String,
    /// What it is sorted by.
    pub rank: Rank,
    /// Namespace and name.
    pub key: String,
    /// Tells deleted rows of one name apart.
    pub id: Uuid,
}

impl CursorPlace {
    /// Whether its rank is one that its order has: in a cursor that somebody made up it may not be,
    /// and then nothing comes before or after it.
    pub fn is_sound(&self) -> bool {
        let sort = self.sort.strip_prefix('-').unwrap_or(&self.sort);
        match self.rank {
            Rank::Name => sort == "name",
            Rank::Time(_) => sort == "created_at",
            Rank::Price(_) => sort == "price",
            Rank::Number(_) => matches!(sort, "context_window" | "score"),
        }
    }

    /// Their order in a list.
    pub fn order(&self, other: &Self) -> Ordering {
        let descending = self.sort.starts_with('-');
        let key = self.key.cmp(&other.key);
        let key = match (descending, &self.rank) {
            (true, Rank::Name) => key.reverse(),
            _ => key,
        };
        self.rank
            .order(&other.rank, descending)
            .then(key)
            .then(self.id.cmp(&other.id))
    }
}

/// Writes a place as text that means nothing to the reader.
pub fn write(place: &impl Serialize) -> String {
    // Plain data of strings and numbers: it always has a form in JSON.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// Reads a cursor.
///
/// # Errors
///
/// 400 for what this route did not make.
pub fn read<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
    Some(cursor)
        .filter(|cursor| cursor.len() <= MAX_CURSOR_CHARS)
        .and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(foreign)
}

/// The answer to a cursor that belongs to another list.
pub fn foreign() -> Problem {
    Problem::parameter(
        "cursor",
        "it is not of this list; take next_cursor of the page before, with the same sort",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sort: &str, rank: Rank, key: &str) -> CursorPlace {
        CursorPlace {
            sort: sort.to_owned(),
            rank,
            key: key.to_owned(),
            id: Uuid::nil(),
        }
    }

    #[test]
    fn a_place_survives_being_written() {
        let price = |text: &str| Price::try_from(text.to_owned()).expect("a price");
        let rank = Rank::Price(Some(("USD".to_owned(), price("0.10"), None)));
        let place = place("price", rank, "a\0b");
        assert_eq!(read::<CursorPlace>(&write(&place)), Ok(place));
        assert!(read::<CursorPlace>("%%%").is_err());
        assert!(read::<CursorPlace>(&"a".repeat(5000)).is_err());
    }

    #[test]
    fn a_made_up_rank_is_not_of_its_order() {
        let time = || Rank::Time(Timestamp::UNIX_EPOCH);
        for (sort, rank, sound) in [
            ("-name", Rank::Name, true),
            ("-name", time(), false),
            ("created_at", time(), true),
            ("price", Rank::Price(None), true),
            ("price", Rank::Name, false),
            ("-score", Rank::Number(Some(3)), true),
            ("--score", Rank::Number(Some(3)), false),
        ] {
            assert_eq!(place(sort, rank, "a\0b").is_sound(), sound, "{sort}");
        }
    }

    #[test]
    fn what_is_unknown_comes_last_in_both_directions() {
        for sort in ["context_window", "-context_window"] {
            let known = place(sort, Rank::Number(Some(1)), "z\0z");
            let unknown = place(sort, Rank::Number(None), "a\0a");
            assert_eq!(known.order(&unknown), Ordering::Less, "{sort}");
        }
    }

    #[test]
    fn a_minus_turns_the_order_around() {
        let up = |sort| {
            place(sort, Rank::Number(Some(1)), "a\0a").order(&place(
                sort,
                Rank::Number(Some(2)),
                "a\0a",
            ))
        };
        assert_eq!(up("context_window"), Ordering::Less);
        assert_eq!(up("-context_window"), Ordering::Greater);
        let names = |sort| place(sort, Rank::Name, "a\0a").order(&place(sort, Rank::Name, "a\0b"));
        assert_eq!(names("name"), Ordering::Less);
        assert_eq!(names("-name"), Ordering::Greater);
    }
}
