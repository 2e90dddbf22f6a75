//! What may be kept of a vendor's answer: its error code and its request id, and only where they
//! look like such.

/// Beginnings of keys that vendors echo (facts, 3.4).
const KEY_PREFIXES: [&str; 5] = ["sk-", "bce-v3", "akia", "asia", "eyj"];

/// Longest code or request id that is kept, in bytes.
const MAX_BYTES: usize = 128;

/// The word as it may be stored: ASCII letters, digits, `_`, `-`, `.` and `:`; `None` for anything
/// else, and for what could be a key.
pub fn word(text: &str) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= MAX_BYTES
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
    let lower = text.to_ascii_lowercase();
    let like_a_key = KEY_PREFIXES.iter().any(|prefix| lower.contains(prefix));
    (fits && !like_a_key).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_and_request_ids_are_kept() {
        for text in [
            "invalid_api_key",
            "Throttling.RateQuota",
            "req_011CSHoEeqs5C35K2UUqR7Fy",
            "404",
        ] {
            assert_eq!(word(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_could_be_a_key_is_not() {
        for text in [
            "sk-proj-abc",
            "key:sk-abc",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOi",
            "a b",
            "",
            "bce-v3/ALTAK",
        ] {
            assert_eq!(word(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_short_plain_words_is_kept(text in ".{0,300}") {
            if let Some(kept) = word(&text) {
                prop_assert!(kept.len() <= MAX_BYTES && kept.is_ascii() && !kept.contains(char::is_whitespace));
            }
        }
    }
}
