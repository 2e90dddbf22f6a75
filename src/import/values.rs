//! Names, prices and addresses, from what others write.

use std::collections::HashSet;

use crate::crd::hosts::AllowedHost;

/// Longest name that is made: what is derived from it gets a suffix.
const MAX_NAME: usize = 63;

/// A Kubernetes name from any text: lower-case letters, digits, `-` and `.`.
pub fn slug(text: &str) -> String {
    let mut name = String::new();
    for char in text.chars().flat_map(char::to_lowercase) {
        match char {
            'a'..='z' | '0'..='9' => name.push(char),
            '.' if name.ends_with(|last: char| last.is_ascii_alphanumeric()) => name.push('.'),
            _ if name.ends_with(|last: char| last.is_ascii_alphanumeric()) => name.push('-'),
            _ => {}
        }
        if name.len() == MAX_NAME {
            break;
        }
    }
    // A dot stands between letters or digits.
    let name = name.replace(".-", "-").replace("-.", "-");
    let name = name.trim_matches(['-', '.']);
    match name.is_empty() {
        true => "unnamed".to_owned(),
        false => name.to_owned(),
    }
}

/// Names of one kind: each is given once.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// This name, or the first of `name-2`, `name-3`, ... that is free.
    pub fn give(&mut self, wanted: &str) -> String {
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        let mut candidates = std::iter::once(wanted.to_owned()).chain(numbered);
        // There is no end to numbers.
        let name = candidates
            .find(|name| !self.0.contains(name))
            .unwrap_or_default();
        self.0.insert(name.clone());
        name
    }
}

/// The host of a URL, with its port where it has one of its own.
pub fn host(url: &str) -> Option<String> {
    let parsed = url::Url::parse(url).ok()?;
    let host = parsed.host_str()?;
    Some(match parsed.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// What the annotation that lets a key go there has to say.
pub fn allowed_host(url: &str) -> Option<String> {
    let host = host(url)?;
    let entry = match url.starts_with("http://") {
        true => format!("http://{host}"),
        false => host,
    };
    let allowed: AllowedHost = entry.parse().ok()?;
    Some(allowed.to_string())
}

/// The first label of a host name, for a name.
pub fn first_label(url: &str) -> Option<String> {
    let parsed = url::Url::parse(url).ok()?;
    let label = parsed.host_str()?.split('.').next()?.to_owned();
    Some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name() {
        for (text, name) in [
            ("GPT-4o (EU)", "gpt-4o-eu"),
            ("acme/large.2", "acme-large.2"),
            ("a..b.-c", "a.b.c"),
            ("模型", "unnamed"),
            ("_x_", "x"),
            (&"a".repeat(80), &"a".repeat(63)),
        ] {
            assert_eq!(slug(text), name, "{text}");
        }
        let mut names = Names::default();
        let given = ["a", "a", "a-2", "a"].map(|name| names.give(name));
        assert_eq!(given, ["a", "a-2", "a-2-2", "a-3"]);
    }

    #[test]
    fn a_host_is_said_as_the_annotation_wants_it() {
        for (url, expected) in [
            ("https://a.example/v1", "a.example"),
            ("https://a.example:8443", "a.example:8443"),
            ("http://coder.svc:8000/v1", "http://coder.svc:8000"),
            ("http://coder.svc/v1", "http://coder.svc:80"),
        ] {
            let said = allowed_host(url).unwrap();
            assert_eq!(said, expected);
            crate::crd::hosts::parse_allowed_hosts(&said).unwrap();
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_is_one(text in ".{0,100}|[A-Za-z0-9./_-]{0,100}") {
            let object = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
            let name = slug(&text);
            proptest::prop_assert!(regex::Regex::new(object).unwrap().is_match(&name), "{name}");
        }
    }
}
