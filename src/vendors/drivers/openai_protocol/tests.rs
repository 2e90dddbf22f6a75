use serde_json::json;
use url::Url;

use super::{read_id, read_list, url};
use crate::{
    crd::reasons::Reason,
    vendors::answers::refusal::{
        Check, common,
        testing::{answer, said},
    },
};

#[test]
fn a_list_is_whole_or_an_error_that_says_why() {
    let read = |body: &str| read_list(&answer(200, body), read_id);
    let ids = |body: &str| {
        read(body)
            .expect("a list")
            .models
            .into_iter()
            .map(|m| m.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(r#"{"data":[{"id":"a"},{"id":"b","new_field":1},{"id":"a"}]}"#),
        ["a", "b"]
    );
    for none in [
        r#"{"data":null}"#,
        r#"{"data":[]}"#,
        "[]",
        r#"{"models":null}"#,
    ] {
        assert_eq!(ids(none), Vec::<String>::new(), "{none}");
    }
    for shape in [
        r#"[{"id":"a"},{"id":"b"}]"#,
        r#"["a","b"]"#,
        r#"{"data":["a","b"]}"#,
        r#"{"models":[{"name":"a"},{"model":"b"}]}"#,
        r#"{"data":{"models":[{"id":"a"},{"id":"b"}]}}"#,
        r#"{"success":true,"errors":[],"result":[{"name":"a"},{"name":"b"}]}"#,
        "\u{feff}{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}",
    ] {
        assert_eq!(ids(shape), ["a", "b"], "{shape}");
    }
    for (body, why) in [
        ("{}", "has no list `data`"),
        (r#"{"data":{}}"#, "is not a list"),
        (r#"{"data":"none"}"#, "is not a list"),
        ("7", "neither a list nor an object"),
        ("\"a text\"", "neither a list nor an object"),
        ("[[0],[0]]", "none of its entries is a model"),
        ("{\"data\":[{\"id\":", "not JSON"),
        ("<html>Welcome</html>", "a web page"),
        ("", "empty"),
    ] {
        let outcome = read(body).expect_err(body);
        assert_eq!(outcome.reason, Reason::SyncFailed);
        assert!(outcome.message.contains(why), "{body}: {}", outcome.message);
    }
}

#[test]
fn entries_that_cannot_be_models_are_counted() {
    let long = "x".repeat(257);
    let body =
        json!({ "data": [{ "id": "ok" }, { "id": long }, { "id": "a\u{7}b" }, { "noid": 1 }] })
            .to_string();
    let list = read_list(&answer(200, &body), read_id).expect("a list");
    assert_eq!((list.models.len(), list.skipped), (1, 3));
}

#[test]
fn ids_are_percent_encoded_in_paths() {
    let base = Url::parse("https://api.openai.com/v1/").expect("a URL");
    assert_eq!(
        url(&base, &["models", "ft:gpt-4o/a b"]).as_str(),
        "https://api.openai.com/v1/models/ft:gpt-4o%2Fa%20b"
    );
}

#[test]
fn a_number_is_no_code_where_a_type_tells_more() {
    // As LiteLLM 1.106 answers to a key that is not its master key, without a database.
    let body = r#"{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}"#;
    let told = said(Check::Validate, answer(400, body), common);
    assert_eq!(told.reason, Reason::CheckInconclusive);
    assert_eq!(told.code.as_deref(), Some("no_db_connection"));
    let body = r#"{"error":{"message":"Authentication Error, no such key","type":"auth_error","param":"None","code":"401"}}"#;
    let told = said(Check::Validate, answer(401, body), common);
    assert_eq!(told.reason, Reason::KeyRejected);
}
