//! The page's files, as `make console` builds them from `console/`, with the headers that keep a browser
//! from loading, running or framing anything else.

use std::sync::LazyLock;

use axum::Json;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::crd::remedy;

/// Scripts, styles and answers of this origin alone; no frame around it, and no form to elsewhere.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    /// Changes with its bytes.
    tag: String,
}

static FILES: LazyLock<[File; 4]> = LazyLock::new(|| {
    let file = |name, kind, bytes: &'static [u8]| File {
        name,
        kind,
        bytes,
        tag: format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..12])),
    };
    [
        file(
            "index.html",
            "text/html; charset=utf-8",
            include_bytes!("../../console/dist/index.html"),
        ),
        file(
            "console.js",
            "text/javascript; charset=utf-8",
            include_bytes!("../../console/dist/console.js"),
        ),
        file(
            "console.css",
            "text/css; charset=utf-8",
            include_bytes!("../../console/dist/console.css"),
        ),
        file(
            "icon.svg",
            "image/svg+xml",
            include_bytes!("../../console/dist/icon.svg"),
        ),
    ]
});

/// A file of the page, or that it is as the browser has it; none where there is no such file.
pub fn file(name: &str, sent: &HeaderMap) -> Option<Response> {
    let file = FILES.iter().find(|file| file.name == name)?;
    let tag = HeaderValue::from_str(&file.tag).ok()?;
    let is_known = sent.get(IF_NONE_MATCH) == Some(&tag);
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(file.kind)),
        (ETAG, tag),
        // Another release has other files under these names.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (OPENER_POLICY, HeaderValue::from_static("same-origin")),
        (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    ];
    Some(match is_known {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (StatusCode::OK, headers, file.bytes).into_response(),
    })
}

/// What the page is told of itself where its visitor pastes a token.
pub fn with_token() -> Response {
    let said = json!({ "mode": "token", "user": null, "namespace": "", "namespaces": [] });
    ([(CACHE_CONTROL, "no-store")], Json(said)).into_response()
}

/// What to do about each reason.
pub fn remedies() -> Response {
    Json(remedy::all()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use regex::Regex;

    use super::*;

    async fn text(name: &str) -> String {
        let response = file(name, &HeaderMap::new()).expect("a file of the page");
        let body = to_bytes(response.into_body(), usize::MAX).await;
        String::from_utf8(body.expect("a body").to_vec()).expect("text")
    }

    #[tokio::test]
    async fn every_file_that_the_page_names_is_in_the_binary_and_none_is_loaded_from_elsewhere() {
        let page = text("index.html").await;
        let named = Regex::new(r#"(?:src|href)="([^"]+)""#).expect("a pattern");
        let names: Vec<_> = named
            .captures_iter(&page)
            .map(|found| found[1].to_owned())
            .collect();
        assert!(names.len() >= 3, "{names:?}");
        for name in names {
            let name = name.strip_prefix("./").expect("beside the page");
            assert!(file(name, &HeaderMap::new()).is_some(), "{name}");
        }
        let styles = text("console.css").await;
        assert!(
            !styles.contains("@import") && !styles.contains("url("),
            "{styles}"
        );
    }

    #[tokio::test]
    async fn the_page_has_no_script_or_style_of_its_own_which_the_policy_refuses() {
        let page = text("index.html").await;
        let inline =
            Regex::new(r"<script[^>]*>\s*[^<\s]|<style|\son\w+=|\sstyle=").expect("a pattern");
        assert!(!inline.is_match(&page), "{page}");
    }

    #[test]
    fn a_browser_that_has_a_file_is_told_so_until_it_changes() {
        let first = file("console.js", &HeaderMap::new()).expect("it is there");
        assert_eq!(first.headers()[CONTENT_SECURITY_POLICY], POLICY);
        let mut sent = HeaderMap::new();
        sent.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        let status = |name: &str| file(name, &sent).expect("it is there").status();
        assert_eq!(status("console.js"), StatusCode::NOT_MODIFIED);
        assert_eq!(status("console.css"), StatusCode::OK);
        assert!(file("../../Cargo.toml", &sent).is_none());
    }
}
