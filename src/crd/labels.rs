//! Which labels of an object are shown: those that Kubernetes recommends, and those of prefixes that an operator
//! names. Others may be anybody's, and nobody's business.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The prefix of the labels that Kubernetes recommends.
const RECOMMENDED: &str = "app.kubernetes.io";

/// A prefix of label keys: the part before the slash. `*` is every label, also those without a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelPrefix {
    /// Every label.
    All,
    /// Those of this prefix.
    Of(String),
}

impl FromStr for LabelPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let prefix = text.trim();
        if prefix == "*" {
            return Ok(Self::All);
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_label = |label: &str| {
            let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
            let inner =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            label.bytes().all(inner) && ends(label.bytes().next()) && ends(label.bytes().last())
        };
        match prefix.len() <= 253 && prefix.split('.').all(is_label) {
            true => Ok(Self::Of(prefix.to_owned())),
            false => Err(format!(
                "{text:?} is no prefix of labels; write the part before the slash, for example acme.example for \
                 acme.example/team, or * for every label"
            )),
        }
    }
}

/// Those of an object's labels that are shown.
pub fn shown(
    labels: &BTreeMap<String, String>,
    prefixes: &[LabelPrefix],
) -> BTreeMap<String, String> {
    let is_shown = |key: &str| {
        let own = key.split_once('/').map(|(prefix, _)| prefix);
        own == Some(RECOMMENDED)
            || prefixes.iter().any(|prefix| match prefix {
                LabelPrefix::All => true,
                LabelPrefix::Of(prefix) => own == Some(prefix),
            })
    };
    let labels = labels.iter().filter(|(key, _)| is_shown(key));
    labels
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_shown_by_their_whole_prefix() {
        let labels: BTreeMap<String, String> = [
            "app.kubernetes.io/part-of",
            "acme.example/team",
            "sub.acme.example/team",
            "acme.example.org/team",
            "team",
        ]
        .map(|key| (key.to_owned(), "x".to_owned()))
        .into();
        let keys = |prefixes: &[&str]| -> Vec<String> {
            let prefixes: Vec<LabelPrefix> = prefixes.iter().map(|p| p.parse().unwrap()).collect();
            shown(&labels, &prefixes).into_keys().collect()
        };
        assert_eq!(keys(&[]), ["app.kubernetes.io/part-of"]);
        let acme = ["acme.example/team", "app.kubernetes.io/part-of"];
        assert_eq!(keys(&["acme.example"]), acme);
        assert_eq!(keys(&["acme.example/"]), acme);
        assert_eq!(keys(&["*"]).len(), 5);
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_what_to_write() {
        for text in [
            "",
            "/",
            "a b",
            "Acme.example",
            "acme..example",
            "-a",
            "a/b",
            "acme.*",
        ] {
            let refused = LabelPrefix::from_str(text).unwrap_err();
            assert!(refused.contains("acme.example"), "{refused}");
        }
    }
}
