//! Headers that may hold a key: gateways take theirs in headers of any name.

use std::sync::LazyLock;

use regex::Regex;

use super::secrets;

/// Headers that hold no key, whatever they say: vendors document them so.
const HARMLESS: [&str; 10] = [
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "http-referer",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "user-agent",
    "x-title",
];

/// Parts of names of headers that hold keys.
const SECRET_PARTS: [&str; 16] = [
    "apikey",
    "auth",
    "bearer",
    "cookie",
    "jwt",
    "key",
    "pass",
    "passwd",
    "password",
    "pwd",
    "secret",
    "session",
    "sid",
    "sig",
    "signature",
    "token",
];

/// What identifiers and keys of any vendor look like: a UUID, or a word of twelve and more letters and
/// digits.
static OPAQUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9_+/=~.]{12,}")
        .expect("a constant pattern")
});

/// Whether a header of this name holds a key by its name.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    secrets::is_secret_name(&name) || parts.any(|part| SECRET_PARTS.contains(&part))
}

/// Whether a header's value may be a key: of any header but those known to hold none, a value that says
/// nothing to a reader.
pub fn may_hold_key(name: &str, value: &str) -> bool {
    if HARMLESS.contains(&&*name.to_ascii_lowercase()) {
        return false;
    }
    OPAQUE.find_iter(value).any(|found| {
        let has = |of: fn(&u8) -> bool| found.as_str().bytes().any(|byte| of(&byte));
        let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        has(u8::is_ascii_digit) || mixed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_left_out_where_its_name_or_its_value_may_be_a_keys() {
        for name in [
            "X-Auth",
            "x-gateway-key",
            "X-API-Key",
            "X-Access-Token",
            "x_session",
            "Authorization",
            "X-Amz-Signature",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "X-Team",
            "X-Author",
            "Keyboard",
            "anthropic-beta",
            "X-Monkey",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
        for value in [
            "fw_3ZkQ9vL1mN8pR2",
            "6f1c1d0e-9a55-4a0b-8a57-0c5d1f1f2a3b",
            "ZkQvLmNpRsTuVwXy",
            "id=0123456789abcdef",
        ] {
            assert!(may_hold_key("x-gateway", value), "{value}");
        }
        for (name, value) in [
            ("x-team", "platform engineering"),
            ("x-region", "eu-west-1"),
            ("anthropic-beta", "context-1m-2025-08-07"),
            ("OpenAI-Project", "proj_0123456789abcdef"),
            ("x-on", "1"),
        ] {
            assert!(!may_hold_key(name, value), "{name}: {value}");
        }
    }
}
