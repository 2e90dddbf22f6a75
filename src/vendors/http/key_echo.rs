//! Finds a key in what a vendor answers, however it is written there: as it is, in part, in another
//! case, backwards, in pieces, escaped, or in a common encoding.
//!
//! Vendors and gateways echo keys (facts, 3.4), and what is kept of an answer is shown to everybody
//! who may read models. Texts are compared by their letters and digits alone, so that separators
//! and case hide nothing.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use zeroize::Zeroizing;

/// Fewest letters and digits of a key that betray it. A shorter key is looked for as a whole text
/// alone: servers of one's own take any word for a key, and such a word may well stand in a list.
const MIN_RUN: usize = 12;
/// Letters and digits of the shortest piece that counts towards a key in pieces.
const PIECE: usize = 8;

/// The ways in which some keys may be written.
pub(in crate::vendors) struct KeyForms {
    forms: Vec<Form>,
    /// Where each [`PIECE`] of a form stands, by its hash: form and offset.
    pieces: HashMap<u64, Vec<(usize, usize)>>,
    hasher: RandomState,
}

struct Form {
    text: Zeroizing<Vec<u8>>,
    /// Letters and digits in a row that betray the key; `None`: the whole text alone does.
    run: Option<usize>,
    /// Whether pieces in any order betray it too.
    in_pieces: bool,
}

impl KeyForms {
    /// The forms of these keys.
    pub fn of<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut all = Self {
            forms: Vec::new(),
            pieces: HashMap::new(),
            hasher: RandomState::new(),
        };
        for key in keys {
            all.add(key);
        }
        all
    }

    fn add(&mut self, key: &[u8]) {
        let length = fold(key).len();
        if length == 0 {
            return;
        }
        let reversed = Zeroizing::new(key.iter().rev().copied().collect::<Vec<_>>());
        let rotated = Zeroizing::new(key.iter().copied().map(rot13).collect::<Vec<_>>());
        let base64 = Zeroizing::new(STANDARD_NO_PAD.encode(key).into_bytes());
        let hex = Zeroizing::new(hex::encode(key).into_bytes());
        for (source, is_key) in [
            (key, true),
            (&reversed[..], true),
            (&rotated[..], false),
            (&base64[..], false),
            (&hex[..], false),
        ] {
            self.push(fold(source), length, is_key);
            for encoded in encodings(source) {
                self.push(fold(&encoded), length, false);
            }
        }
    }

    /// `length` is that of the key itself, in letters and digits.
    fn push(&mut self, text: Zeroizing<Vec<u8>>, length: usize, in_pieces: bool) {
        let run = (length >= MIN_RUN).then(|| (MIN_RUN * text.len()).div_ceil(length).max(PIECE));
        if run.is_some() {
            for (offset, piece) in text.windows(PIECE).enumerate() {
                let places = self.pieces.entry(self.hasher.hash_one(piece));
                places.or_default().push((self.forms.len(), offset));
            }
        }
        self.forms.push(Form {
            text,
            run,
            in_pieces,
        });
    }

    /// Whether these texts show a key: one of them, or several one after another.
    pub fn are_in<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let mut as_they_are = Vec::new();
        let mut unescaped = Vec::new();
        for text in texts {
            let plain = fold(text.as_bytes());
            let other = fold(&unescape(text));
            let is_whole = |form: &Form| *form.text == *plain || *form.text == *other;
            if self.forms.iter().any(is_whole) {
                return true;
            }
            as_they_are.extend_from_slice(&plain);
            unescaped.extend_from_slice(&other);
        }
        self.stand_in(&as_they_are) || as_they_are != unescaped && self.stand_in(&unescaped)
    }

    fn stand_in(&self, text: &[u8]) -> bool {
        let mut found: HashMap<usize, Vec<bool>> = HashMap::new();
        for (at, piece) in text.windows(PIECE).enumerate() {
            let places = self.pieces.get(&self.hasher.hash_one(piece));
            for &(number, offset) in places.into_iter().flatten() {
                let form = &self.forms[number];
                let pairs = form.text[offset..].iter().zip(&text[at..]);
                let run = pairs.take_while(|(a, b)| a == b).count();
                if form.run.is_some_and(|least| run >= least) {
                    return true;
                }
                if form.in_pieces && run >= PIECE {
                    let known = found
                        .entry(number)
                        .or_insert_with(|| vec![false; form.text.len()]);
                    known[offset..offset + run].fill(true);
                }
            }
        }
        // Three quarters of a key are as good as all of it.
        found.values().any(|known| {
            let count = known.iter().filter(|known| **known).count();
            4 * count >= 3 * known.len()
        })
    }
}

/// Ways to write a text in other letters and digits. Where an encoding takes several bytes together
/// its result depends on where the text begins in them.
fn encodings(text: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let each = |write: &dyn Fn(u8) -> String| {
        let all: Zeroizing<String> = Zeroizing::new(text.iter().map(|byte| write(*byte)).collect());
        Zeroizing::new(all.as_bytes().to_vec())
    };
    let mut encodings = vec![
        // Also percent-encoding, once separators are left out.
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("25{byte:02x}")),
        each(&|byte| format!("x{byte:02x}")),
        each(&|byte| format!("0x{byte:02x}")),
        each(&|byte| format!("u00{byte:02x}")),
        each(&|byte| format!("{byte}")),
        each(&|byte| format!("{byte:03}")),
        each(&|byte| format!("{byte:03o}")),
    ];
    // The whole text's, where nothing stands around it.
    encodings.push(STANDARD_NO_PAD.encode(text).into_bytes().into());
    encodings.push(base32(text).into());
    for skip in 0..3.min(text.len()) {
        encodings.push(within(
            STANDARD_NO_PAD.encode(&text[skip..]).into_bytes(),
            4,
        ));
    }
    for skip in 0..5.min(text.len()) {
        encodings.push(within(base32(&text[skip..]), 8));
    }
    encodings
}

/// The whole groups of an encoding: what follows depends on what stands after the text.
fn within(mut encoded: Vec<u8>, group: usize) -> Zeroizing<Vec<u8>> {
    let whole = encoded.len() - encoded.len() % group;
    if whole > 0 {
        encoded.truncate(whole);
    }
    Zeroizing::new(encoded)
}

/// RFC 4648, without padding.
fn base32(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bit = |at: usize| {
        let byte = bytes.get(at / 8).copied().unwrap_or_default();
        usize::from(byte >> (7 - at % 8) & 1)
    };
    let starts = (0..bytes.len() * 8).step_by(5);
    let digit = |start: usize| (start..start + 5).fold(0, |digit, at| digit << 1 | bit(at));
    starts.map(|start| ALPHABET[digit(start)]).collect()
}

fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        other => other,
    }
}

/// Letters and digits alone, in lower case. Full-width forms count as what they look like.
fn fold(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let plain = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => u8::try_from(u32::from(c) - 0xfee0).ok(),
        c => u8::try_from(u32::from(c)).ok(),
    };
    let mut folded = Zeroizing::new(Vec::with_capacity(text.len()));
    let bytes = String::from_utf8_lossy(text);
    let bytes = bytes.chars().filter_map(plain);
    let bytes = bytes.filter(u8::is_ascii_alphanumeric);
    folded.extend(bytes.map(|byte| byte.to_ascii_lowercase()));
    folded
}

/// The text with `%2d`, `\u002d`, `\x2d`, `&#45;` and `&#x2d;` as what they stand for, twice over.
fn unescape(text: &str) -> Zeroizing<Vec<u8>> {
    let once = unescape_once(text);
    unescape_once(&once).into_bytes().into()
}

fn unescape_once(text: &str) -> String {
    const ESCAPES: [(&str, u32, Option<usize>); 6] = [
        ("\\u", 16, Some(4)),
        ("\\x", 16, Some(2)),
        ("%u", 16, Some(4)),
        ("%", 16, Some(2)),
        ("&#x", 16, None),
        ("&#", 10, None),
    ];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some(first) = rest.chars().next() {
        for (prefix, radix, digits) in ESCAPES {
            let Some(number) = rest.strip_prefix(prefix) else {
                continue;
            };
            let length = digits.unwrap_or_else(|| {
                let end = number.find(|c: char| !c.is_digit(radix));
                end.unwrap_or(number.len()).min(7)
            });
            let number = number.get(..length).map(|n| u32::from_str_radix(n, radix));
            if let Some(Ok(number)) = number
                && let Some(c) = char::from_u32(number)
            {
                plain.push(c);
                rest = &rest[prefix.len() + length..];
                if digits.is_none() {
                    rest = rest.strip_prefix(';').unwrap_or(rest);
                }
                continue 'text;
            }
        }
        plain.push(first);
        rest = &rest[first.len_utf8()..];
    }
    plain
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn shows(key: &str, texts: &[&str]) -> bool {
        KeyForms::of(std::iter::once(key.as_bytes())).are_in(texts.iter().copied())
    }

    /// A key as somebody may write it who wants it to pass.
    fn written(key: &str) -> Vec<(&'static str, String)> {
        let each = |write: &dyn Fn(u8) -> String| key.bytes().map(write).collect::<String>();
        let between = |separator: &str| each(&|b| format!("{}{separator}", b as char));
        let swapped = |b: u8| match b {
            b'a'..=b'z' => b.to_ascii_uppercase(),
            b => b.to_ascii_lowercase(),
        };
        let reversed: String = key.chars().rev().collect();
        vec![
            ("as it is", key.to_owned()),
            ("in upper case", key.to_ascii_uppercase()),
            ("in lower case", key.to_ascii_lowercase()),
            (
                "with its case swapped",
                each(&|b| (swapped(b) as char).to_string()),
            ),
            ("backwards", reversed.clone()),
            (
                "without its last character",
                key[..key.len() - 1].to_owned(),
            ),
            ("without its first character", key[1..].to_owned()),
            ("without either", key[1..key.len() - 1].to_owned()),
            ("within a text", format!("models/{key}:latest")),
            ("twice", key.repeat(2)),
            ("with spaces", between(" ")),
            ("with dashes", between("-")),
            ("with zero-width spaces", between("\u{200b}")),
            ("in hexadecimal", hex::encode(key)),
            ("in upper-case hexadecimal", hex::encode_upper(key)),
            ("in hexadecimal with colons", each(&|b| format!("{b:02x}:"))),
            ("in hexadecimal literals", each(&|b| format!("0x{b:02x}, "))),
            ("in base64", STANDARD.encode(key)),
            ("in base64 without padding", STANDARD_NO_PAD.encode(key)),
            ("in base64 for URLs", URL_SAFE.encode(key)),
            (
                "as a bearer token in base64",
                STANDARD.encode(format!("Bearer {key}")),
            ),
            ("as basic credentials", STANDARD.encode(format!("u:{key}"))),
            ("in base64 twice", STANDARD.encode(STANDARD.encode(key))),
            ("backwards in base64", STANDARD.encode(&reversed)),
            (
                "in base32",
                String::from_utf8(base32(key.as_bytes())).unwrap(),
            ),
            ("percent-encoded", each(&|b| format!("%{b:02X}"))),
            ("percent-encoded twice", each(&|b| format!("%25{b:02X}"))),
            (
                "percent-encoded where it must be",
                url::form_urlencoded::byte_serialize(key.as_bytes()).collect(),
            ),
            ("in JSON's escapes", each(&|b| format!("\\u{b:04x}"))),
            ("in HTML's numbers", each(&|b| format!("&#{b};"))),
            (
                "in HTML's hexadecimal numbers",
                each(&|b| format!("&#x{b:x};")),
            ),
            ("in decimal codes", each(&|b| format!("{b} "))),
            ("by ROT13", each(&|b| (rot13(b) as char).to_string())),
            (
                "in full width",
                key.chars()
                    .map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap())
                    .collect(),
            ),
        ]
    }

    #[test]
    fn a_key_is_found_however_it_is_written() {
        for key in [
            "zQ7Xv9Kw2Lm4Np6Rt8YbHd3Gs5",
            "sk-proj-4fK2_bN7-qW9xZ1cV5mT8",
            "bce-v3/ALTAK-a1B2c3D4/e5F6+g7H8=",
            "k3y-9x8w7v6u5t",
        ] {
            for (how, text) in written(key) {
                assert!(shows(key, &[&text]), "{key} {how}: {text}");
                assert!(shows(key, &["gpt-4o", &text, "o3"]), "{key} {how}: {text}");
            }
        }
    }

    #[test]
    fn a_key_in_pieces_is_found() {
        let key = "sk-4fK2bN7qW9xZ1cV5mT8aB3dE6";
        let (head, tail) = key.split_at(14);
        assert!(shows(key, &[head, tail]));
        assert!(shows(key, &[tail, "gpt-4o", head]));
        assert!(shows(
            key,
            &[&key[..10], "a", &key[10..20], "b", &key[20..]]
        ));
        assert!(!shows(key, &[&key[..8], "gpt-4o"]));
    }

    #[test]
    fn a_short_key_is_a_whole_text() {
        for (how, text) in written("ollama") {
            let is_part = how.contains("without") || how.contains("within") || how == "twice";
            let is_joined = how.contains("bearer") || how.contains("basic");
            if !is_part && !is_joined {
                assert!(shows("ollama", &[&text]), "{how}: {text}");
            }
        }
        assert!(!shows("ollama", &["ollama/llama3", "my-ollama"]));
        assert!(!shows("---", &["gpt-4o", ""]));
    }

    #[test]
    fn what_vendors_list_shows_no_key() {
        let listed = [
            "deepseek-chat",
            "deepseek-reasoner",
            "claude-3-5-sonnet-20241022",
            "anthropic.claude-3-5-sonnet-20241022-v2:0",
            "meta-llama/Llama-3.3-70B-Instruct",
            "sk-ant-api03",
        ];
        for key in [
            "deepseek-gateway",
            "sk-ant-api03-aB1cD2eF3gH4iJ5kL6",
            "team-llama-production-key",
        ] {
            assert!(!shows(key, &listed), "{key}");
        }
    }

    proptest! {
        #[test]
        fn a_long_run_of_a_key_is_found_in_any_text(
            key in "[A-Za-z0-9_/+-]{16,64}", before in ".{0,40}", after in ".{0,40}", from in 0_usize..8,
        ) {
            let run = &key[from..];
            prop_assume!(fold(run.as_bytes()).len() >= MIN_RUN);
            let text = format!("{before}{run}{after}");
            prop_assert!(shows(&key, &[&text]));
        }
    }
}
