use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use utoipa::PartialSchema;

use super::*;
use crate::api::problem::ProblemType;
use crate::crd::fields;
use crate::snapshot::{ClassNeedView, Decimal};

fn wanted(body: Value) -> Wanted {
    read(body.to_string().as_bytes())
        .expect("a request")
        .asked
        .wanted
}

fn need(body: Value) -> Need {
    match wanted(body) {
        Wanted::Need(need) => *need,
        named => panic!("{named:?}"),
    }
}

fn refused(body: &[u8]) -> String {
    let problem = read(body).expect_err("it is refused");
    assert_eq!(problem.kind, ProblemType::InvalidBody);
    assert!(problem.detail.len() < 1000, "{}", problem.detail);
    problem.detail
}

#[test]
fn every_field_of_a_need_is_read() {
    let read = need(json!({
        "capabilities": ["Chat", "Vision", "Chat"],
        "min_score": 3,
        "min_context_window": 128000,
        "min_output_tokens": 4096,
        "max_input_price": "0.0025",
        "max_output_price": 0.01,
        "currency": "USD",
        "prefer": "score",
        "provider_types": ["OpenAI", "Bedrock"],
        "regions": ["eu-central-1"],
        "selector": { "stage": "production", "example.com/tier": "" },
        "exclude": ["gpt-3.5"],
        "recommended_for": "summaries",
        "input_modalities": ["Image"],
        "output_modalities": ["Text"],
        "embedding_dimensions": 1536,
        "allow_deprecated": true,
        "prompt_tokens": 3000,
        "cached_tokens": 1000,
        "output_tokens": null,
        "with_secret": null,
    }));
    let price = |text| Decimal::parse(text);
    let texts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let expected = Need {
        capabilities: vec![Capability::Chat, Capability::Vision],
        min_score: Some(3),
        min_context_window: Some(128_000),
        min_output_tokens: Some(4096),
        max_input_price: price("0.0025"),
        max_output_price: price("0.01"),
        currency: Some("USD".to_owned()),
        prefer: Prefer::Score,
        provider_types: vec![ProviderType::OpenAI, ProviderType::Bedrock],
        regions: texts(&["eu-central-1"]),
        selector: BTreeMap::from([
            ("stage".to_owned(), "production".to_owned()),
            ("example.com/tier".to_owned(), String::new()),
        ]),
        exclude: texts(&["gpt-3.5"]),
        recommended_for: texts(&["summaries"]),
        allow_deprecated: true,
        input_modalities: vec![Modality::Image],
        output_modalities: vec![Modality::Text],
        embedding_dimensions: Some(1536),
        typical_call: Some(TypicalCall {
            prompt_tokens: 3000,
            cached_tokens: 1000,
            output_tokens: 0,
        }),
    };
    assert_eq!(read, expected);
}

#[test]
fn a_request_may_need_what_a_class_may_and_nothing_else() {
    let schema = serde_json::to_value(ResolveRequest::schema()).expect("JSON");
    let of_request: BTreeSet<&str> = (schema["properties"].as_object().expect("fields").keys())
        .map(String::as_str)
        .collect();
    let need = fields::NEED.iter().map(|field| field.name);
    // What a class says beside its need, or what is no part of one.
    let others = [
        "model",
        "class",
        "prefer",
        "allow_deprecated",
        "with_secret",
        "purpose",
        "all_targets",
    ];
    assert_eq!(of_request, need.chain(others).collect());
    let schema = serde_json::to_value(ClassNeedView::schema()).expect("JSON");
    let of_row = schema["properties"].as_object().expect("fields").keys();
    let of_row: BTreeSet<&str> = of_row.map(String::as_str).collect();
    assert_eq!(
        of_row,
        fields::NEED.iter().map(|field| field.name).collect()
    );
}

#[test]
fn what_goes_with_a_key_is_read_beside_either() {
    let body =
        br#"{"model": "gpt", "with_secret": true, "purpose": "nightly run", "all_targets": true}"#;
    let expected = ReadRequest {
        asked: resolve::Request {
            wanted: Wanted::Named("gpt".to_owned()),
            with_key: true,
        },
        purpose: Some("nightly run".to_owned()),
        all_targets: true,
    };
    assert_eq!(read(body), Ok(expected));
    assert_eq!(need(json!({ "prefer": "context" })).prefer, Prefer::Context);
    assert_eq!(need(json!({ "capabilities": [] })), Need::default());
    let class = wanted(json!({ "class": "smart", "with_secret": true }));
    assert_eq!(class, Wanted::Class("smart".to_owned()));
}

#[test]
fn what_is_asked_alike_has_one_form_and_that_asks_for_the_same() {
    let form = |body: Value| {
        let asked = read(body.to_string().as_bytes()).expect("a request").asked;
        let form = asked.canonical();
        let again = read(form.as_bytes()).expect(&form).asked;
        assert_eq!(again.canonical(), form);
        (form, again)
    };
    let (one, read_again) = form(json!({
        "capabilities": ["Vision", "Chat"], "exclude": ["b", "a", "b"], "regions": ["EU-1"],
        "max_input_price": 0.0025, "currency": "USD", "prefer": "price", "purpose": "nightly",
        "selector": { "matchLabels": { "tier": "gold" } }, "recommended_for": "Summaries",
        "prompt_tokens": 3000, "allow_deprecated": false, "min_score": 2, "all_targets": true,
        "min_context_window": 8, "min_output_tokens": 9, "provider_types": ["OpenAI", "Bedrock"],
        "max_output_price": "0.10", "cached_tokens": 5, "output_tokens": 7,
        "input_modalities": ["Text", "Image", "Text"], "output_modalities": ["Text"], "embedding_dimensions": 9,
    }));
    let (other, _) = form(json!({
        "capabilities": ["Chat", "Vision", "Chat"], "exclude": ["a", "b"], "regions": ["eu-1", "eu-1"],
        "max_input_price": "0.00250", "currency": "USD", "selector": { "tier": "gold" },
        "recommended_for": ["summaries"], "prompt_tokens": 3000, "min_score": 2, "min_context_window": 8,
        "min_output_tokens": 9, "provider_types": ["Bedrock", "OpenAI"], "max_output_price": 0.1,
        "cached_tokens": 5, "output_tokens": 7, "embedding_dimensions": 9,
        "input_modalities": ["Image", "Text"], "output_modalities": ["Text", "Text"],
    }));
    assert_eq!(one, other);
    let Wanted::Need(need) = read_again.wanted else {
        panic!("a need: {one}");
    };
    assert_eq!(need.capabilities, [Capability::Chat, Capability::Vision]);
    assert_eq!(need.max_input_price, Decimal::parse("0.0025"));
    assert_eq!(need.selector["tier"], "gold");
    assert_eq!(need.input_modalities, [Modality::Image, Modality::Text]);
    assert_eq!(need.embedding_dimensions, Some(9));
    let call = TypicalCall {
        prompt_tokens: 3000,
        cached_tokens: 5,
        output_tokens: 7,
    };
    assert_eq!(need.typical_call, Some(call));
    for (body, expected) in [
        (json!({ "model": "m", "purpose": "p" }), r#"{"model":"m"}"#),
        (
            json!({ "class": "c", "with_secret": true }),
            r#"{"class":"c","with_secret":true}"#,
        ),
        (json!({ "capabilities": [] }), r#"{"prefer":"price"}"#),
        (
            json!({ "output_tokens": 7 }),
            r#"{"prefer":"price","output_tokens":7}"#,
        ),
    ] {
        assert_eq!(form(body).0, expected);
    }
}

#[test]
fn a_selector_may_have_the_form_of_kubernetes() {
    let plain = need(json!({ "selector": { "a": "b", "c": "d" } }));
    let nested = need(json!({ "selector": { "matchLabels": { "a": "b", "c": "d" } } }));
    assert_eq!(plain, nested);
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        ("{}", &["name a model", "class", "capabilities"]),
        (r#"{"with_secret": true}"#, &["name a model"]),
        (r#"{"model": null}"#, &["name a model"]),
        (r#"{"model": "a", "capabilities": ["Chat"]}"#, &["model:", "not both", "capabilities"]),
        (r#"{"model": "a", "prefer": "price"}"#, &["not both", "prefer"]),
        (r#"{"model": 7}"#, &["model: expected a text of 1 to 256 characters", "not a whole number"]),
        (r#"{"model": ""}"#, &["model: expected a text of 1 to 256"]),
        (r#"{"model": "a\u0000b"}"#, &["model: expected a text", "control"]),
        (r#"{"model": ["a"]}"#, &["model: expected a text", "not a list"]),
        (r#"{"capabilities": "Chat"}"#, &["capabilities: expected a list", "not a text"]),
        (r#"{"capabilities": ["Chat", "FunctionCaling"]}"#, &["capabilities[1]:", "did you mean \"FunctionCalling\"?", "WebSearch"]),
        (r#"{"capabilities": ["Chat", 7]}"#, &["capabilities[1]: expected one of TextGeneration", "not a whole number"]),
        (r#"{"provider_types": ["openai"]}"#, &["provider_types[0]:", "did you mean \"OpenAI\""]),
        (r#"{"prefer": "vibes"}"#, &["prefer: expected one of price, score, context"]),
        (r#"{"min_score": 6, "capabilities": ["Chat"]}"#, &["min_score: expected a whole number from 1 to 5"]),
        (r#"{"min_score": "high"}"#, &["min_score: expected a whole number from 1 to 5, not a text"]),
        (r#"{"min_score": 4.5}"#, &["min_score:", "not a number with a fraction"]),
        (r#"{"min_context_window": 0}"#, &["min_context_window: expected a whole number from 1 to"]),
        (r#"{"min_context_window": 99999999999999999999}"#, &["min_context_window: expected a whole number"]),
        (r#"{"max_input_price": "-1", "currency": "USD"}"#, &["max_input_price: expected a decimal number that is not negative"]),
        (r#"{"max_input_price": -0.5, "currency": "USD"}"#, &["max_input_price: expected a decimal number that is not negative"]),
        (r#"{"max_output_price": -1, "currency": "USD"}"#, &["max_output_price: expected a decimal number that is not negative"]),
        (r#"{"max_output_price": "cheap", "currency": "USD"}"#, &["max_output_price: expected a decimal number"]),
        (r#"{"currency": "usd"}"#, &["currency: expected an ISO 4217 code"]),
        (r#"{"min_score": 3}"#, &["min_score: a score is a capability's; add capabilities"]),
        (r#"{"prefer": "score"}"#, &["prefer: a score is a capability's"]),
        (r#"{"prompt_tokens": 0, "output_tokens": 0}"#, &["prompt_tokens: a typical call has at least one token"]),
        (r#"{"prompt_tokens": 5, "cached_tokens": 6}"#, &["cached_tokens: the cache holds a part of the prompt"]),
        (r#"{"prompt_tokens": -1}"#, &["prompt_tokens: expected a whole number from 0"]),
        (r#"{"selector": "a=b"}"#, &["selector: expected an object of label keys", "not a text"]),
        (r#"{"selector": {"a": 1}}"#, &["selector.a: expected a label's value", "not a whole number"]),
        (r#"{"selector": {"a": "b c"}}"#, &["selector.a: expected a label's value"]),
        (r#"{"selector": {"a b": "c"}}"#, &["a key is not one that a label may have"]),
        (r#"{"selector": {"a": "b", "a": "c"}}"#, &["more than once"]),
        (r#"{"selector": {"matchLabels": {"a": "b", "a": "c"}}}"#, &["more than once"]),
        (r#"{"model": "a", "model": "b"}"#, &["model: it is given more than once"]),
        (r#"{"allow_deprecated": "yes"}"#, &["allow_deprecated: expected true or false, not a text"]),
        (r#"{"modle": "a"}"#, &["\"modle\" is no field", "did you mean \"model\"?", "with_secret"]),
        (r#"{"model": "a", "class": "b"}"#, &["class:", "names a model or a class, not both"]),
        (r#"{"class": "a", "capabilities": ["Chat"]}"#, &["class:", "not both", "capabilities"]),
        (r#"{"class": ""}"#, &["class: expected a text of 1 to 256"]),
        (r#"{"model": "a"} {}"#, &["not valid JSON", "trailing characters"]),
        (r#"{"model": "a""#, &["not valid JSON", "line 1"]),
        ("", &["send a JSON object"]),
        ("[]", &["send a JSON object"]),
        (r#"["gpt"]"#, &["send a JSON object"]),
        ("null", &["send a JSON object"]),
        (r#"{"purpose": "a\nb", "model": "a"}"#, &["purpose: expected a text", "control"]),
    ];
    for (body, parts) in cases {
        let detail = refused(body.as_bytes());
        for part in *parts {
            assert!(detail.contains(part), "{body}: {detail}");
        }
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_by_its_place() {
    let long = |length: usize| json!({ "model": "x".repeat(length) }).to_string();
    assert!(read(long(256).as_bytes()).is_ok());
    assert!(refused(long(257).as_bytes()).starts_with("model:"));
    let many = |number: usize| json!({ "exclude": vec!["x"; number] }).to_string();
    assert!(read(many(100).as_bytes()).is_ok());
    assert!(refused(many(101).as_bytes()).starts_with("exclude: expected a list of at most 100"));
    let labels: serde_json::Map<String, Value> =
        (0..101).map(|n| (format!("k{n}"), json!("v"))).collect();
    assert!(refused(json!({ "selector": labels }).to_string().as_bytes()).starts_with("selector"));
    for start in [
        "",
        r#"{"model":"#,
        r#"{"selector":{"a":"#,
        r#"{"capabilities":"#,
        r#"{"x":"#,
    ] {
        for bracket in ["[", r#"{"a":"#] {
            refused(format!("{start}{}", bracket.repeat(10_000)).as_bytes());
        }
    }
    let key = "k".repeat(50_000);
    refused(json!({ "selector": { &key: 7 } }).to_string().as_bytes());
    refused(json!({ key: 7 }).to_string().as_bytes());
    refused(b"{\"model\": \"\xff\"}");
}

/// A body may hold, by mistake, what is not for logs.
#[test]
fn a_refusal_repeats_no_value() {
    let canary = "sk-canary-0123456789abcdef";
    for field in [
        "min_score",
        "capabilities",
        "prefer",
        "currency",
        "max_input_price",
        "selector",
        "allow_deprecated",
        "prompt_tokens",
        "provider_types",
    ] {
        for value in [
            json!(canary),
            json!([canary]),
            json!({ "a": { "b": canary } }),
        ] {
            let detail = refused(json!({ field: value }).to_string().as_bytes());
            assert!(!detail.contains("canary"), "{field}: {detail}");
        }
    }
}

/// What is documented is what is read.
#[test]
fn the_schema_has_the_fields_that_are_read() {
    let schema = serde_json::to_value(ResolveRequest::schema()).expect("JSON");
    let documented: BTreeSet<_> = schema["properties"]
        .as_object()
        .expect("properties")
        .keys()
        .cloned()
        .collect();
    let detail = refused(br#"{"nothing": 1}"#);
    let (_, known) = detail.split_once("it knows ").expect("a list");
    let known: BTreeSet<_> = known.split(", ").map(str::to_owned).collect();
    assert_eq!(documented, known);
    assert!(schema.get("required").is_none(), "{schema}");
}

proptest! {
    #[test]
    fn no_body_is_a_defect(body in prop::collection::vec(any::<u8>(), 0..200), text in "\\{\"[a-z_]{1,16}\": ?[\\[{\"0-9a-z.:-]{0,20}\\}") {
        for body in [&body[..], text.as_bytes()] {
            if let Err(problem) = read(body) {
                prop_assert_eq!(problem.kind, ProblemType::InvalidBody);
            }
        }
    }
}
