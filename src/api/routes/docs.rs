//! `GET /docs`: the description of the API for people. Its files are in this binary; nothing is loaded
//! from elsewhere, and the page's own policy says so to the browser.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_swagger_ui::Config;

use crate::api::problem::Problem;
use crate::console::page::POLICY;

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // From here, so that it is found behind a proxy that adds a path, too.
    let config = Config::from("../openapi.json")
        // Else the page sends the description's address to a validator elsewhere.
        .validator_url("none")
        // A token would stay in the browser's storage.
        .persist_authorization(false)
        .deep_linking(true);
    Arc::new(config)
});

/// `/docs`: the page is a folder, in which its files are found.
pub async fn folder() -> Redirect {
    Redirect::permanent("docs/")
}

/// `/docs/`: the page.
pub async fn page() -> Response {
    asset("index.html")
}

/// `/docs/{file}`: what the page is made of.
pub async fn file(Path(name): Path<String>) -> Response {
    asset(&name)
}

fn asset(name: &str) -> Response {
    let file = match utoipa_swagger_ui::serve(name, CONFIG.clone()) {
        Ok(Some(file)) => file,
        Ok(None) => return Problem::not_found("page").into_response(),
        Err(error) => {
            tracing::error!(%error, name, "cannot make a file of /docs");
            return Problem::internal().into_response();
        }
    };
    let Ok(kind) = HeaderValue::from_str(&file.content_type) else {
        return Problem::internal().into_response();
    };
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::OK, headers, file.bytes.into_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use regex::Regex;

    use super::*;

    async fn text(response: Response) -> String {
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), usize::MAX).await;
        String::from_utf8(body.expect("a body").to_vec()).expect("text")
    }

    #[tokio::test]
    async fn every_file_that_the_page_names_is_in_the_binary() {
        let page = text(page().await).await;
        let named = Regex::new(r#"(?:src|href)="([^"]+)""#).expect("a pattern");
        let files: Vec<_> = named
            .captures_iter(&page)
            .map(|found| found[1].to_owned())
            .collect();
        assert!(files.len() >= 5, "{files:?}");
        for name in files {
            let name = name.trim_start_matches("./");
            assert!(!name.contains("//"), "{name} is loaded from elsewhere");
            assert_eq!(asset(name).status(), StatusCode::OK, "{name}");
        }
    }

    #[tokio::test]
    async fn the_page_has_no_script_or_style_of_its_own_which_the_policy_refuses() {
        let page = text(page().await).await;
        let inline = Regex::new(r"<script[^>]*>\s*[^<\s]|<style|\son\w+=").expect("a pattern");
        assert!(!inline.is_match(&page), "{page}");
        for file in ["index.css", "swagger-ui.css"] {
            let styles = text(asset(file)).await;
            assert!(
                !styles.contains("@import") && !styles.contains("url(http"),
                "{file}"
            );
        }
    }

    #[tokio::test]
    async fn it_reads_this_apis_description_and_asks_nobody_else_about_it() {
        let script = text(asset("swagger-initializer.js")).await;
        assert!(script.contains("../openapi.json"), "{script}");
        assert!(script.contains(r#""validatorUrl": "none""#), "{script}");
        assert!(!script.contains("http"), "{script}");
    }

    #[tokio::test]
    async fn every_answer_carries_the_policy() {
        for response in [page().await, asset("swagger-ui-bundle.js")] {
            assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
        }
        assert_eq!(asset("../Cargo.toml").status(), StatusCode::NOT_FOUND);
        assert_eq!(asset("nothing").status(), StatusCode::NOT_FOUND);
    }
}
