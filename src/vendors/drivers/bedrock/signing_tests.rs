//! Signatures against AWS's published vectors, and against those that botocore makes of the same
//! requests (`tests/signatures/`).

use super::*;

fn key(access_key_id: &str, secret_key: &str, token: Option<&str>) -> SecretFields {
    SecretFields {
        api_key: Some(access_key_id.to_owned().into()),
        secret_key: Some(secret_key.to_owned().into()),
        access_token: token.map(|token| token.to_owned().into()),
    }
}

fn authorization(request: &Request) -> &str {
    request
        .header_value(header::AUTHORIZATION)
        .expect("it is signed")
}

fn request(method: &str, url: &str, body: Option<&str>) -> Request {
    let url = Url::parse(url).expect("a URL");
    match (method, body) {
        ("GET", None) => Request::get(url),
        ("POST", Some(body)) => {
            Request::post_json(url, &serde_json::from_str(body).expect("a body of JSON"))
        }
        other => panic!("no such request: {other:?}"),
    }
}

/// AWS's Signature Version 4 test suite: `get-vanilla`, `get-vanilla-query-order-key-case`.
#[test]
fn signatures_are_those_of_the_published_vectors() {
    let key = key(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        None,
    );
    let at: Timestamp = "2015-08-30T12:36:00Z".parse().expect("a time");
    for (url, signature) in [
        (
            "https://example.amazonaws.com/",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ] {
        let signed = signed(request("GET", url, None), &key, "us-east-1", "service", at);
        let signed = signed.expect("a signature");
        assert_eq!(
            authorization(&signed),
            format!(
                "AWS4-HMAC-SHA256 \
                 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature={signature}"
            )
        );
        let date = signed.header_value(HeaderName::from_static("x-amz-date"));
        assert_eq!(date, Some("20150830T123600Z"));
    }
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    method: String,
    base: String,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    body: Option<String>,
    region: String,
    time: String,
    access_key_id: String,
    secret_key: String,
    session_token: Option<String>,
    authorization: String,
}

#[test]
fn signatures_are_those_of_an_independent_signer() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../../tests/signatures/cases.json"))
            .expect("a list of cases");
    assert!(cases.len() >= 8);
    for case in &cases {
        let base = Url::parse(&case.base).expect("a URL");
        let segments: Vec<&str> = case.segments.iter().map(String::as_str).collect();
        let mut url = url(&base, &segments);
        if !case.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&case.query);
        }
        let key = key(
            &case.access_key_id,
            &case.secret_key,
            case.session_token.as_deref(),
        );
        let request = request(&case.method, url.as_str(), case.body.as_deref());
        let at = case.time.parse().expect("a time");
        let signed = with_key(request, &key, &case.region, at).expect("a signature");
        assert_eq!(authorization(&signed), case.authorization, "{}", case.name);
        let token = signed.header_value(HeaderName::from_static("x-amz-security-token"));
        assert_eq!(token, case.session_token.as_deref(), "{}", case.name);
    }
}

#[test]
fn an_api_key_alone_is_a_bearer_token() {
    let key = SecretFields {
        api_key: Some("bedrock-api-key-1".to_owned().into()),
        ..SecretFields::default()
    };
    let url = "https://bedrock.us-east-1.amazonaws.com/foundation-models";
    let sent = with_key(
        request("GET", url, None),
        &key,
        "us-east-1",
        Timestamp::UNIX_EPOCH,
    )
    .expect("a request");
    assert_eq!(authorization(&sent), "Bearer bedrock-api-key-1");
    assert!(
        sent.header_value(HeaderName::from_static("x-amz-date"))
            .is_none()
    );
}

#[test]
fn what_no_header_takes_is_refused_without_its_words() {
    let key = key("AKIDEXAMPLE", "secret", Some("line\nbreak"));
    let url = "https://bedrock.us-east-1.amazonaws.com/";
    let refused = with_key(
        request("GET", url, None),
        &key,
        "us-east-1",
        Timestamp::UNIX_EPOCH,
    );
    let Err(error) = refused else {
        panic!("it is signed")
    };
    assert!(!error.to_string().contains("break"));
}

#[test]
fn a_models_id_is_sent_percent_encoded() {
    let base = Url::parse("https://bedrock.us-east-1.amazonaws.com").expect("a URL");
    let url = url(&base, &["foundation-models", "amazon.nova-pro-v1:0"]);
    assert_eq!(url.path(), "/foundation-models/amazon.nova-pro-v1%3A0");
    let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x";
    let url = super::url(&base, &["inference-profiles", arn]);
    assert!(url.path().ends_with("%3Ainference-profile%2Fus.x"));
}
