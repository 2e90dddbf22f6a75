//! What may be kept of a vendor's answer: its error code and its request id, and only where they
//! look like such; and of the answer itself nothing that repeats the key it was asked with.

use super::client::Response;
use bytes::Bytes;
use http::HeaderMap;

/// Beginnings of keys that vendors echo (facts, 3.4).
const KEY_PREFIXES: [&str; 5] = ["sk-", "bce-v3", "akia", "asia", "eyj"];

/// Longest code or request id that is kept, in bytes.
const MAX_BYTES: usize = 128;

/// Shortest secret that is looked for in an answer, in bytes. Servers of one's own take any word
/// for a key, and such a word may well stand in a list for another reason.
const MIN_SECRET_BYTES: usize = 16;

/// The answer without what its request held in secret headers, and without `known` secrets, which
/// somebody there may remember from another request: vendors echo keys (facts, 3.4), and not every
/// key has a beginning that tells it. A header goes, and the body of a refusal says asterisks
/// instead. What else is kept of an answer is searched for every form of the key
/// ([`key_echo`](super::key_echo)); a successful answer stays as it is, so that it is refused there.
pub(in crate::vendors) fn secrets<'a>(
    sent: &'a HeaderMap,
    known: impl Iterator<Item = &'a [u8]>,
    mut answer: Response,
) -> Response {
    let sensitive = sent.values().filter(|value| value.is_sensitive());
    let sensitive = sensitive.map(|value| {
        let value = value.as_bytes();
        value.strip_prefix(b"Bearer ").unwrap_or(value)
    });
    for secret in sensitive.chain(known) {
        if secret.len() < MIN_SECRET_BYTES {
            continue;
        }
        if !answer.status.is_success()
            && let Some(body) = without(secret, &answer.body)
        {
            answer.body = body;
        }
        let echoes = |value: &http::HeaderValue| holds(value.as_bytes(), secret);
        let names: Vec<_> = answer.headers.keys().cloned().collect();
        for name in names {
            if answer.headers.get_all(&name).iter().any(echoes) {
                answer.headers.remove(&name);
            }
        }
    }
    answer
}

fn holds(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|window| window == secret)
}

/// The body with asterisks in the secret's place; `None` where it does not hold it.
fn without(secret: &[u8], body: &Bytes) -> Option<Bytes> {
    if !holds(body, secret) {
        return None;
    }
    let mut clean = body.to_vec();
    let mut at = 0;
    while let Some(end) = clean.get(at..at + secret.len()) {
        if end == secret {
            clean[at..at + secret.len()].fill(b'*');
        }
        at += 1;
    }
    Some(clean.into())
}

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

    const SECRET: &str = "no-beginning-tells-this-key";

    fn asked_and_answered(header: &str, body: &str, request_id: &str) -> Response {
        let mut sent = HeaderMap::new();
        let mut value = http::HeaderValue::try_from(header).expect("a header");
        value.set_sensitive(true);
        sent.insert(http::header::AUTHORIZATION, value);
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", request_id.parse().expect("a header"));
        headers.insert("x-other", "kept".parse().expect("a header"));
        let answer = Response {
            status: http::StatusCode::UNAUTHORIZED,
            headers,
            body: Bytes::from(body.to_owned()),
        };
        secrets(&sent, std::iter::empty(), answer)
    }

    #[test]
    fn an_answer_that_repeats_the_key_is_read_without_it() {
        let body = format!(r#"{{"error":{{"code":"{SECRET}"}},"again":"x{SECRET}{SECRET}"}}"#);
        let answer = asked_and_answered(&format!("Bearer {SECRET}"), &body, SECRET);
        let text = String::from_utf8(answer.body.to_vec()).expect("text");
        assert!(!text.contains(SECRET));
        assert_eq!(text.len(), body.len());
        assert!(text.starts_with(r#"{"error":{"code":"***"#));
        assert_eq!(answer.header("x-request-id"), None);
        assert_eq!(answer.header("x-other"), Some("kept"));
    }

    #[test]
    fn an_answer_that_repeats_a_key_which_its_request_did_not_carry_is_read_without_it() {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", SECRET.parse().expect("a header"));
        let answer = Response {
            status: http::StatusCode::FORBIDDEN,
            headers,
            body: Bytes::from_static(SECRET.as_bytes()),
        };
        let known = std::iter::once(SECRET.as_bytes());
        let answer = secrets(&HeaderMap::new(), known, answer);
        assert!(!holds(&answer.body, SECRET.as_bytes()));
        assert_eq!(answer.header("x-request-id"), None);
    }

    #[test]
    fn a_word_that_is_a_short_key_may_stand_in_a_list() {
        let answer = asked_and_answered("Bearer ollama", r#"{"id":"ollama/llama3"}"#, "r-1");
        assert_eq!(&answer.body[..], br#"{"id":"ollama/llama3"}"#);
        assert_eq!(answer.header("x-request-id"), Some("r-1"));
    }

    proptest! {
        #[test]
        fn no_answer_keeps_the_key(before in ".{0,40}", after in ".{0,40}", times in 1_usize..4) {
            let body = format!("{before}{}{after}", SECRET.repeat(times));
            let answer = asked_and_answered(SECRET, &body, "r-1");
            prop_assert!(!holds(&answer.body, SECRET.as_bytes()));
            prop_assert_eq!(answer.body.len(), body.len());
        }

        #[test]
        fn nothing_but_short_plain_words_is_kept(text in ".{0,300}") {
            if let Some(kept) = word(&text) {
                prop_assert!(kept.len() <= MAX_BYTES && kept.is_ascii() && !kept.contains(char::is_whitespace));
            }
        }
    }
}
