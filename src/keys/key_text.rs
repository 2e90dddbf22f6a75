//! Whether a Secret's entry can be a key: a key travels as the value of an HTTP header, after a
//! scheme of its own (RFC 6750, 2.1), so that it holds visible ASCII characters alone. Pure.
//!
//! What is said names the odd character and its place, and nothing else of the entry.

/// Characters that an API key or a secret key may have.
pub const MAX_KEY_CHARS: usize = 500;
/// Characters that an access token may have: they are session or Entra tokens.
pub const MAX_TOKEN_CHARS: usize = 16 * 1024;

/// What every key looks like; what is odd about one that does, [`oddity`] says.
pub const KEY_PATTERN: &str = "^[!#-&(-_a-z|}~]([!-~]*[!#-&(-_a-~])?$";

/// Beginnings of a header's line that people copy with the key, and what to call them.
const HEADERS: [(&str, &str); 6] = [
    ("authorization:", "the name of a header"),
    ("x-api-key:", "the name of a header"),
    ("api-key:", "the name of a header"),
    ("bearer ", "the word Bearer"),
    ("basic ", "the word Basic"),
    ("export ", "a shell's command"),
];

/// What is odd about an entry, and what to do; `None` where it can be a key. The entry has no line
/// break at its end any more.
pub fn oddity(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is empty; store the key in it".to_owned());
    }
    if text.chars().all(is_blank) {
        return Some("holds nothing but blanks; store the key in it".to_owned());
    }
    if text.contains(['\r', '\n']) {
        return Some("has a line break inside; store the key on one line".to_owned());
    }
    let lower = text.get(..32).unwrap_or(text).to_ascii_lowercase();
    if let Some((_, name)) = HEADERS.iter().find(|(start, _)| lower.starts_with(start)) {
        return Some(format!("begins with {name}; store the key alone"));
    }
    if text.starts_with(['"', '\'', '`']) || text.ends_with(['"', '\'', '`']) {
        return Some("has quotation marks around it; store the key without them".to_owned());
    }
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Some("is a URL; store the key".to_owned());
    }
    if text.starts_with('{') {
        return Some("is JSON; store the key alone".to_owned());
    }
    if is_assignment(text) {
        return Some(
            "is an assignment, NAME=value; store what stands after the equals sign".to_owned(),
        );
    }
    let count = text.chars().count();
    let (at, odd) = (1..)
        .zip(text.chars())
        .find(|(_, c)| !c.is_ascii_graphic())?;
    let place = match at {
        1 => "at its beginning".to_owned(),
        _ if at == count => "at its end".to_owned(),
        at => format!("at position {at}"),
    };
    Some(format!(
        "has {} {place}, which no key has; {}",
        name(odd),
        remedy(odd)
    ))
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// Characters that take no room on a screen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn remedy(odd: char) -> &'static str {
    match odd {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => {
            "write the hyphen that the vendor gave, or copy the key again"
        }
        _ => "store the key alone, copied from where the vendor shows it",
    }
}

/// A character by number and, for those that come with copying, by name.
fn name(c: char) -> String {
    let known = match c {
        ' ' => return "a blank".to_owned(),
        '\t' => return "a tab".to_owned(),
        '\0' => return "a NUL character".to_owned(),
        '\u{85}' | '\u{2028}' | '\u{2029}' => "a line separator",
        '\u{a0}' | '\u{202f}' | '\u{2007}' => "a no-break space",
        '\u{ad}' => "a soft hyphen",
        '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{1680}' => "a space of another width",
        '\u{3000}' => "an ideographic space",
        '\u{200b}' => "a zero-width space",
        '\u{200c}' | '\u{200d}' => "a zero-width joiner",
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark of writing direction"
        }
        '\u{2060}' => "a word joiner",
        '\u{feff}' => "a byte order mark",
        '\u{fffd}' => "a replacement character",
        '\u{2010}' | '\u{2011}' => "a typographic hyphen",
        '\u{2012}' => "a figure dash",
        '\u{2013}' => "an en dash",
        '\u{2014}' | '\u{2015}' => "an em dash",
        '\u{2212}' => "a minus sign",
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201c}' | '\u{201d}' | '\u{201e}' => {
            "a typographic quotation mark"
        }
        '\u{2026}' => "an ellipsis",
        '\u{ff01}'..='\u{ff5e}' => "a character of double width",
        _ if c.is_control() => "a control character",
        _ => "a character that is not ASCII",
    };
    format!("{known} (U+{:04X})", u32::from(c))
}

/// Whether it is a line of an environment file, such as `OPENAI_API_KEY=...`. Keys may end with
/// equals signs, and none was seen with a name in capitals before one.
fn is_assignment(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    ["_KEY", "_TOKEN", "_SECRET"]
        .iter()
        .any(|end| name.ends_with(end))
        && name.chars().all(is_name)
        && !value.trim_matches('=').is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_odd_is_named() {
        for (text, words) in [
            ("", "is empty"),
            ("   ", "nothing but blanks"),
            ("\u{a0}\u{200b}", "nothing but blanks"),
            (
                "\u{feff}sk-abcd1234",
                "a byte order mark (U+FEFF) at its beginning",
            ),
            (
                "sk-ab\u{200b}cd1234",
                "a zero-width space (U+200B) at position 6",
            ),
            ("sk-abcd1234\u{a0}", "a no-break space (U+00A0) at its end"),
            ("sk\u{2013}abcd1234", "an en dash (U+2013) at position 3"),
            (
                "sk-ab\u{e9}",
                "a character that is not ASCII (U+00E9) at its end",
            ),
            (" sk-abcd1234", "a blank at its beginning"),
            ("sk-abcd1234 ", "a blank at its end"),
            ("sk-abcd1234\t", "a tab at its end"),
            ("sk-ab cd", "a blank at position 6"),
            ("sk-ab\0cd", "a NUL character at position 6"),
            ("sk-ab\u{7}cd", "a control character (U+0007) at position 6"),
            ("sk-ab\ncd", "a line break inside"),
            ("Bearer sk-abcd1234", "the word Bearer"),
            ("bearer sk-abcd1234", "the word Bearer"),
            ("Authorization: Bearer sk-abcd1234", "the name of a header"),
            ("x-api-key:sk-abcd1234", "the name of a header"),
            ("export KEY=x", "a shell's command"),
            ("\"sk-abcd1234\"", "quotation marks"),
            ("'sk-abcd1234'", "quotation marks"),
            ("sk-abcd1234\"", "quotation marks"),
            (
                "\u{201c}sk-abcd1234\u{201d}",
                "a typographic quotation mark (U+201C)",
            ),
            ("OPENAI_API_KEY=sk-abcd1234", "an assignment"),
            ("https://platform.example/keys", "is a URL"),
            ("{\"key\":\"sk-abcd1234\"}", "is JSON"),
        ] {
            let said = oddity(text).unwrap_or_else(|| panic!("{text:?} is taken"));
            assert!(said.contains(words), "{text:?}: {said}");
            assert!(!said.contains("abcd1234"), "{said}");
        }
    }

    #[test]
    fn keys_are_taken() {
        for key in [
            "sk-proj-4fK2_xxx9",
            "bce-v3/ALTAK-a/b",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY=",
            "IQoJb3JpZ2luX2VjEHMaCXVzLXdlc3QtMiJ==",
            "ollama",
            "EMPTY",
            "a",
            "key:with:colons",
            "bearer-of-news",
        ] {
            assert_eq!(oddity(key), None, "{key}");
        }
    }

    #[test]
    fn what_does_not_look_like_a_key_is_odd() {
        let pattern = regex::Regex::new(KEY_PATTERN).unwrap();
        let ends = (0..=u8::MAX).map(char::from);
        let texts = ends.flat_map(|c| {
            [
                format!("{c}"),
                format!("{c}a"),
                format!("a{c}"),
                format!("a{c}a"),
            ]
        });
        for text in texts.filter(|text| !pattern.is_match(text)) {
            assert!(oddity(&text).is_some(), "{text:?}");
        }
        assert!(pattern.is_match("a\"{`'a}"));
    }

    proptest! {
        #[test]
        fn what_is_taken_can_stand_in_a_header(text in "\\PC{0,40}|[ -~]{0,40}|.{0,40}") {
            if oddity(&text).is_none() {
                let value = http::HeaderValue::from_str(&format!("Bearer {text}"));
                prop_assert!(value.is_ok());
                prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            }
        }

        #[test]
        fn nothing_of_the_entry_is_repeated(secret in "[A-Z]{12,40}", odd in "[\\n\\x00\\x07 \u{a0}\u{2013}\u{feff}]", tail in "[A-Z]{0,3}") {
            let said = oddity(&format!("{secret}{odd}{tail}")).expect("it is no key");
            prop_assert!(!said.contains(&secret));
        }
    }
}
