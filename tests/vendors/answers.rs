//! Lists that are not quite what the vendor documents.

use llmplane::{
    crd::{
        ProviderType::{self, *},
        reasons::Reason,
    },
    vendors::{CheckResult, ModelList},
};
use serde_json::{Value, json};

use super::asking::{Ask, Caller, TYPES, fake};
use crate::support::vendors::Fault;

/// A list of this vendor's around these entries.
fn around(provider: ProviderType, entries: &Value) -> Value {
    match provider {
        DashScope => {
            let total = entries.as_array().map_or(0, Vec::len);
            json!({ "output": { "total": total, "models": entries } })
        }
        Ollama | Gemini => json!({ "models": entries }),
        Bedrock => json!({ "modelSummaries": entries, "inferenceProfileSummaries": [] }),
        _ => json!({ "data": entries }),
    }
}

/// The field that holds an entry's id.
fn id_field(provider: ProviderType) -> &'static str {
    match provider {
        DashScope | Ollama => "model",
        Bedrock => "modelId",
        Gemini => "name",
        _ => "id",
    }
}

async fn listed(provider: ProviderType, body: String) -> Result<ModelList, CheckResult> {
    let fake = fake(provider).await;
    fake.fail(Fault::Body(body));
    Caller::of(&fake, provider).list().await
}

fn ids(list: &ModelList) -> Vec<&str> {
    list.models.iter().map(|m| m.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_models_is_a_list_too() {
    for provider in TYPES {
        for none in [Value::Null, json!([])] {
            let list = listed(provider, around(provider, &none).to_string()).await;
            let list = list.unwrap_or_else(|said| panic!("{provider} {none}: {said:?}"));
            assert!(list.models.is_empty() && list.skipped == 0, "{provider}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_twice_counts_once() {
    for provider in TYPES {
        let entry = |id: &str| json!({ id_field(provider): id });
        let body = around(provider, &json!([entry("a"), entry("b"), entry("a")]));
        let list = listed(provider, body.to_string()).await.unwrap();
        assert_eq!(ids(&list), ["a", "b"], "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_no_id_is_skipped_and_counted() {
    for provider in TYPES {
        let field = id_field(provider);
        let longest = "x".repeat(256);
        let body = around(
            provider,
            &json!([
                { field: "good" },
                { field: "y".repeat(500) },
                { field: "line\nbreak" },
                { field: "nul\u{0}" },
                { field: "" },
                { field: 7 },
                { field: null },
                { "other": "x" },
                5,
                null,
                { field: longest },
                { field: "anthropic.claude-sonnet-4-5-20250929-v1:0" },
            ]),
        );
        let list = listed(provider, body.to_string()).await.unwrap();
        let good = [
            "good",
            &longest,
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
        ];
        assert_eq!(ids(&list), good, "{provider}");
        assert_eq!(list.skipped, 9, "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_passed_over_and_wrong_ones_are_not_believed() {
    for provider in TYPES {
        let field = id_field(provider);
        let mut odd = json!([{
            "brand_new": { "deep": [1, { "a": null }] },
            "max_input_tokens": "many", "max_tokens": -5, "max_model_len": 1e300,
            "capabilities": 7, "model_info": [], "details": "none", "display_name": {},
            "name": [], "inferenceTypesSupported": "x", "modelLifecycle": 3,
            "inputTokenLimit": {}, "supportedGenerationMethods": "x",
        }]);
        odd[0][field] = "m".into();
        let mut body = around(provider, &odd);
        body["brand_new"] = json!({ "x": 1 });
        let list = listed(provider, body.to_string()).await.unwrap();
        assert_eq!(ids(&list), ["m"], "{provider}");
        let model = &list.models[0];
        let told = (
            model.context_window,
            model.max_input_tokens,
            model.max_output_tokens,
        );
        assert_eq!(told, (None, None, None), "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_list_is_said_and_changes_nothing() {
    for provider in TYPES {
        for body in [
            "{}",
            "[[0],[0]]",
            "7",
            "null",
            r#"{"data":{},"models":{},"output":{"models":{}},"modelSummaries":{}}"#,
        ] {
            let said = listed(provider, body.to_owned()).await.unwrap_err();
            assert_eq!(
                said.reason,
                Reason::SyncFailed,
                "{provider} {body}: {said:?}"
            );
            assert!(
                said.message.contains("no model list"),
                "{provider} {body}: {}",
                said.message
            );
        }
    }
}

/// JSON that no parser should descend into without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_deep_document_is_refused() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for provider in TYPES {
        let fake = fake(provider).await;
        fake.fail(Fault::Body(deep.clone()));
        for ask in Ask::ALL {
            let said = Caller::of(&fake, provider).ask(ask).await;
            assert_eq!(said.reason, ask.failed(), "{provider} {ask:?}: {said:?}");
        }
    }
}
