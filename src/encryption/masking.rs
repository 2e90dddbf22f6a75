//! The form in which a key may be shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// Stands for everything that is not shown, whatever its length.
const MASK: &str = "********";
/// Fewer characters than this, and nothing is shown at all.
const SHOWN_FROM: usize = 20;
const SHOWN_HEAD: usize = 3;
const SHOWN_TAIL: usize = 4;

/// An API key that can be shown: its first 3 and last 4 characters where it has at least 20, else
/// nothing of it; never its length. Secret keys and access tokens have no masked form.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct MaskedKey(String);

impl MaskedKey {
    /// Masks an API key; a credential without one is all masked.
    pub fn of(api_key: Option<&SecretString>) -> Self {
        let key = api_key.map_or("", |key| key.expose_secret());
        if key.chars().count() < SHOWN_FROM {
            return Self(MASK.to_owned());
        }
        let mut masked: String = key.chars().take(SHOWN_HEAD).collect();
        masked.push_str(MASK);
        let tail = key.char_indices().rev().nth(SHOWN_TAIL - 1);
        masked.push_str(tail.map_or("", |(start, _)| &key[start..]));
        Self(masked)
    }

    /// Whether a text is a key with its middle left out, ours or another's: no key has three such
    /// signs in a row.
    pub fn looks_like_one(text: &str) -> bool {
        let is_sign = |c: char| matches!(c, '*' | '.' | '\u{2022}' | '\u{25cf}');
        let mut run = (None, 0);
        text.chars().any(|c| {
            run = match (is_sign(c), run) {
                (true, (Some(same), count)) if same == c => (Some(c), count + 1),
                (true, _) => (Some(c), 1),
                (false, _) => (None, 0),
            };
            run.1 >= 3 || c == '\u{2026}'
        })
    }

    /// The text to show or store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MaskedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MaskedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedKey({})", self.0)
    }
}

impl From<MaskedKey> for String {
    fn from(masked: MaskedKey) -> Self {
        masked.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(key: &str) -> String {
        MaskedKey::of(Some(&key.into())).into()
    }

    #[test]
    fn a_long_key_shows_three_and_four_characters() {
        assert_eq!(mask("sk-abcdefghijklmnop1234"), "sk-********1234");
    }

    #[test]
    fn nineteen_characters_are_all_masked_and_twenty_are_not() {
        assert_eq!(mask("abcdefghijklmnopqrs"), "********");
        assert_eq!(mask("abcdefghijklmnopqrst"), "abc********qrst");
    }

    #[test]
    fn characters_count_not_bytes() {
        assert_eq!(mask(&"é".repeat(19)), "********");
        assert_eq!(mask(&"é".repeat(20)), "ééé********éééé");
    }

    #[test]
    fn a_credential_without_an_api_key_is_all_masked() {
        assert_eq!(MaskedKey::of(None).as_str(), "********");
    }

    #[test]
    fn a_masked_key_is_known_as_one() {
        for masked in [
            "********",
            "sk-********1234",
            "sk-...1234",
            "sk-\u{2026}1234",
            "\u{2022}\u{2022}\u{2022}",
        ] {
            assert!(MaskedKey::looks_like_one(masked), "{masked}");
        }
        for key in [
            "sk-proj-4fK2_xxx9",
            "a.b.c",
            "a..b",
            "wJal+/K7MDENG==",
            "**",
            "*.*.*",
        ] {
            assert!(!MaskedKey::looks_like_one(key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn what_is_masked_looks_like_it(key in "[!-~]{1,60}") {
            prop_assert!(MaskedKey::looks_like_one(&mask(&key)));
        }

        #[test]
        fn keys_of_any_length_with_the_same_ends_look_alike(
            a in "\\PC{13,600}",
            b in "\\PC{13,600}",
        ) {
            prop_assert_eq!(mask(&format!("abc{a}wxyz")), mask(&format!("abc{b}wxyz")));
        }

        #[test]
        fn at_most_seven_characters_are_shown(key in any::<String>()) {
            let masked = mask(&key);
            let shown = masked.chars().count() - MASK.len();
            prop_assert!(shown == 0 || shown == 7);
            prop_assert!(shown == 0 || key.chars().count() >= 20);
        }
    }
}
