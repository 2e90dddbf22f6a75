//! An endpoint's URL as people write it: with an operation's path, without the version, or with the
//! version twice.

use url::Url;

/// Longest URL that is shown whole, in characters.
const MAX_SHOWN: usize = 120;

/// Paths of operations that people copy into `baseUrl` from an example.
const OPERATIONS: [&[&str]; 11] = [
    &["chat", "completions"],
    &["completions"],
    &["models"],
    &["embeddings"],
    &["responses"],
    &["messages"],
    &["rerank"],
    &["api", "tags"],
    &["api", "chat"],
    &["api", "generate"],
    &["api", "version"],
];

/// The URL that was probably meant, where the one in use leads nowhere: without an operation's path,
/// with the version once. `asked` is what was called.
pub(in crate::vendors) fn likely(base: &Url, asked: &Url) -> Option<Url> {
    let is: Vec<&str> = segments(base).collect();
    let mut meant = is.clone();
    while let Some(operation) = OPERATIONS
        .iter()
        .find(|operation| meant.ends_with(operation))
    {
        meant.truncate(meant.len() - operation.len());
    }
    meant.dedup_by(|a, b| a == b && is_version(a));
    // Where the operation follows the base URL at once, the version is the base URL's to name.
    let rest: Vec<&str> = segments(asked).skip(is.len()).collect();
    let direct = OPERATIONS
        .iter()
        .any(|operation| rest.starts_with(operation))
        && rest[0] != "api";
    if direct && !meant.iter().any(|segment| is_version(segment)) {
        meant.push("v1");
    }
    if meant == is {
        return None;
    }
    let mut likely = base.clone();
    likely.set_path(&meant.join("/"));
    Some(likely)
}

/// A URL as it may be shown: scheme, host, port and path, cut where it is long. User info and query
/// may hold what is secret.
pub(in crate::vendors) fn shown(url: &Url) -> String {
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let whole = format!("{origin}{path}");
    match whole.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &whole[..end]),
        None => whole,
    }
}

/// The URL without the first of these paths that it ends with.
pub(in crate::vendors) fn without(base: &Url, paths: &[&str]) -> Url {
    let path = base.path().trim_end_matches('/');
    let kept = paths.iter().find_map(|known| path.strip_suffix(known));
    let mut url = base.clone();
    url.set_path(kept.unwrap_or(path));
    url
}

fn segments(url: &Url) -> impl Iterator<Item = &str> {
    let path = url.path_segments().into_iter().flatten();
    path.filter(|segment| !segment.is_empty())
}

/// Whether a segment names a version: `v1`, `v1beta`, `v2`.
fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix('v').unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn what_was_meant_is_told_from_what_was_written() {
        for (base, likely_base) in [
            ("https://h/v1/chat/completions", Some("https://h/v1")),
            ("https://h/v1/models", Some("https://h/v1")),
            ("https://h/chat/completions/", Some("https://h/v1")),
            ("https://h", Some("https://h/v1")),
            ("https://h/", Some("https://h/v1")),
            ("http://h:8000/gateway", Some("http://h:8000/gateway/v1")),
            ("https://h/v1/v1", Some("https://h/v1")),
            (
                "https://h/api/v3/v3/chat/completions",
                Some("https://h/api/v3"),
            ),
            ("https://h/v1", None),
            ("https://h/v1beta/openai", None),
            ("https://h/compatible-mode/v1", None),
        ] {
            let base = url(base);
            let mut asked = base.clone();
            asked.set_path(&format!("{}/models", base.path().trim_end_matches('/')));
            let said = likely(&base, &asked).map(|url| shown(&url));
            assert_eq!(said.as_deref(), likely_base, "{base}");
        }
    }

    #[test]
    fn a_path_that_has_the_version_itself_is_not_given_another() {
        let asked = url("https://api.anthropic.com/v1/messages/v1/models");
        let said = likely(&url("https://api.anthropic.com/v1/messages"), &asked);
        assert_eq!(
            said.map(|url| shown(&url)).as_deref(),
            Some("https://api.anthropic.com/v1")
        );
        let asked = url("https://proxy.example/anthropic/v1/models");
        assert_eq!(
            likely(&url("https://proxy.example/anthropic"), &asked),
            None
        );
        let asked = url("http://h:11434/ollama/api/version");
        assert_eq!(likely(&url("http://h:11434/ollama"), &asked), None);
    }

    #[test]
    fn of_a_url_nothing_secret_is_shown() {
        let said = shown(&url("https://user:pw@h:8443/v1/models?key=k#f"));
        assert_eq!(said, "https://h:8443/v1/models");
        let long = shown(&url(&format!("https://h/{}", "a".repeat(500))));
        assert!(long.ends_with("...") && long.len() <= MAX_SHOWN + 3);
    }

    #[test]
    fn known_endings_come_off_once() {
        let bare = |base: &str, ends: &[&str]| without(&url(base), ends).to_string();
        assert_eq!(bare("https://h/x/v1/", &["/v1", "/api"]), "https://h/x");
        assert_eq!(bare("https://h/v1", &["/v1"]), "https://h/");
        assert_eq!(bare("https://h/v1/v1", &["/v1"]), "https://h/v1");
    }
}
