//! Anything that speaks OpenAI's protocol: gateways, proxies, vendors without a driver of their own.

use std::borrow::Cow;

use async_trait::async_trait;
use serde_json::Value;

use super::openai_protocol as protocol;
use crate::crd::{model::ModelType, reasons::Reason};
use crate::public_lists::{modalities, modality, openrouter};
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, Listed, ListedModel,
    ModelList, TestedBy, TestedModel,
    answers::{
        document, moment,
        refusal::{self, Check, RefusalKind},
        result::Retry,
    },
    like_id,
};

pub(in crate::vendors) struct OpenAiCompatible;

#[async_trait]
impl Driver for OpenAiCompatible {
    fn default_base_url(&self, _region: Option<&str>) -> Option<String> {
        None
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &[]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKeyOrAccessToken
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        protocol::probe_server(call, refusal::common).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        protocol::validate_by_list(call, refusal::common).await
    }

    /// By `GET /key`, which OpenRouter has: its list answers everybody (facts, 12).
    async fn prove_key(&self, call: &Call<'_>) -> Option<CheckResult> {
        let said = own_key(call).await?;
        if said.reason != Reason::KeyAccepted {
            return Some(said);
        }
        // What everybody is told of a key is no word on this one.
        let without = own_key(&Call { key: None, ..*call }).await;
        let proves = without.is_none_or(|without| without.reason != Reason::KeyAccepted);
        proves.then_some(said)
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        protocol::list(call, refusal::common, read_model).await
    }

    /// Google lists its models as `models/...` and takes them without (facts, 15), Ollama takes a
    /// name without a tag for `:latest` (facts, 9).
    fn spellings<'a>(&self, model_id: &'a str) -> Vec<Cow<'a, str>> {
        let bare = like_id(model_id);
        let name = bare.rsplit('/').next().unwrap_or(bare);
        let tagged = (!name.contains(':')).then(|| Cow::Owned(format!("{bare}:latest")));
        let spellings = [Cow::Borrowed(bare), Cow::Owned(format!("models/{bare}"))];
        spellings.into_iter().chain(tagged).collect()
    }

    fn tested_by(&self, type_: Option<ModelType>) -> TestedBy {
        protocol::tested_by_call(type_)
    }

    /// By the smallest call: `GET /models/{id}` is not everywhere, and a gateway's list says
    /// nothing of what stands behind it. But it says what a plain 400, 404 or 410 for a name that it
    /// does not know leaves open (LiteLLM 1.106 answers so).
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let tested = protocol::test_by_call(call, refusal::common, self, model).await;
        let leaves_open = match tested.reason {
            Reason::CheckInconclusive => matches!(tested.http_status, Some(400 | 422 | 503)),
            Reason::Unverifiable => self.tested_by(model.type_) == TestedBy::Model,
            _ => false,
        };
        if !leaves_open {
            return tested;
        }
        let listed = protocol::list(call, refusal::common, protocol::read_id).await;
        let listed = listed.unwrap_or_default();
        match listed.find(self, model.id) {
            Listed::No if !listed.models.is_empty() => CheckResult {
                reason: Reason::ModelNotFound,
                message: "the gateway neither answers for the model nor lists it; check modelId"
                    .to_owned(),
                retry: Retry::No,
                ..tested
            },
            Listed::Yes(_) if tested.reason == Reason::Unverifiable => CheckResult {
                message: format!("the gateway lists the model; {}", tested.message),
                ..tested
            },
            _ => tested,
        }
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        protocol::client_config(input)
    }
}

/// Names for tokens of prompt and answer together: OpenRouter, Together (facts, 12, 15), vLLM (facts,
/// 10), LM Studio, Mistral, Groq, llama.cpp, DeepInfra (facts, 15).
const WINDOWS: [&str; 14] = [
    "context_length",
    "max_model_len",
    "context_window",
    "max_context_length",
    "max_context_window",
    "max_context_window_tokens",
    "max_context_tokens",
    "context_size",
    "contextLength",
    "contextWindow",
    "max_seq_len",
    "max_sequence_length",
    "n_ctx",
    "n_ctx_train",
];
/// Names for tokens of prompt: LiteLLM (facts, 12), Google (facts, 15).
const INPUTS: [&str; 4] = [
    "max_input_tokens",
    "max_prompt_tokens",
    "input_token_limit",
    "inputTokenLimit",
];
/// Names for tokens of answer. `max_tokens` is either of two things, and is not read.
const OUTPUTS: [&str; 5] = [
    "max_output_tokens",
    "max_completion_tokens",
    "max_output_length",
    "output_token_limit",
    "outputTokenLimit",
];
/// Objects inside an entry that hold such numbers.
const INNER: [&str; 8] = [
    "top_provider",
    "model_info",
    "meta",
    "metadata",
    "details",
    "limits",
    "limit",
    "config",
];

/// Names under which servers say when a model ends: OpenRouter, Mistral (whose own client calls it the end of
/// life), and whoever passes OpenAI's list on (facts, 18).
const ENDS: [&str; 3] = ["expiration_date", "deprecation", "shutdown_date"];

/// Where OpenRouter says what a model takes and gives (facts, 12).
const FORMS: [&str; 2] = [
    "/architecture/input_modalities",
    "/architecture/output_modalities",
];

/// What the server's own call for keys says of the key; `None` where there is no such call.
async fn own_key(call: &Call<'_>) -> Option<CheckResult> {
    let request = protocol::get(call, &["key"]);
    let exchanged = match refusal::exchange(call, request, refusal::common).await {
        Ok(exchanged) => exchanged,
        Err(error) => {
            let failed = Reason::CheckInconclusive;
            return Some(CheckResult::from_http_error(&error, failed));
        }
    };
    if !refusal::is_refusal(&exchanged.answer) {
        // A key is described by an object; a list, or a page of a web server, is another thing.
        let body = document::json(&exchanged.answer).ok()?;
        let is_key = body.get("data").is_some_and(Value::is_object);
        let accepted = "the vendor accepts the key, by its own call for keys";
        let answer = &exchanged.answer;
        return is_key.then(|| CheckResult::of(answer, Reason::KeyAccepted, accepted));
    }
    match exchanged.kind() {
        RefusalKind::BadKey | RefusalKind::Quota | RefusalKind::RateLimited | RefusalKind::Down => {
            Some(exchanged.refused(Check::Validate))
        }
        _ => None,
    }
}

/// What gateways and servers add to the protocol's entry: LiteLLM (1.106) both limits and a mode.
fn read_model(entry: &Value) -> ListedModel {
    let inner = INNER.iter().filter_map(|name| entry.get(*name));
    let places: Vec<&Value> = std::iter::once(entry).chain(inner).collect();
    let count = |names: &[&str]| {
        let mut each = places
            .iter()
            .flat_map(|place| names.iter().map(move |name| (place, name)));
        each.find_map(|(place, name)| protocol::read_count(place, name))
    };
    let word = |name: &str| entry.get(name).and_then(Value::as_str);
    ListedModel {
        context_window: count(&WINDOWS),
        max_input_tokens: count(&INPUTS),
        max_output_tokens: count(&OUTPUTS),
        type_: [word("mode"), word("type")]
            .into_iter()
            .flatten()
            .find_map(mode),
        pricing: entry
            .get("pricing")
            .and_then(Value::as_object)
            .filter(|pricing| pricing.contains_key("prompt"))
            .and_then(|pricing| openrouter::prices(pricing).pricing),
        modalities: modalities(entry, FORMS, modality),
        retires_at: ENDS.iter().find_map(|name| moment::read(entry, name)),
        replacement: word("deprecation_replacement_model")
            .filter(|id| !id.is_empty())
            .map(str::to_owned),
        ..protocol::read_id(entry)
    }
}

/// A model's type in the words of LiteLLM (facts, 12), Together and LM Studio (facts, 15).
fn mode(word: &str) -> Option<ModelType> {
    match word {
        "chat" | "responses" | "llm" => Some(ModelType::Chat),
        "vlm" => Some(ModelType::Vision),
        "completion" | "language" => Some(ModelType::Completion),
        "embedding" | "embeddings" => Some(ModelType::Embedding),
        "rerank" => Some(ModelType::Rerank),
        "image" | "image_generation" | "image_edit" => Some(ModelType::Image),
        "audio" | "audio_transcription" | "audio_speech" => Some(ModelType::Audio),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd::model::Modality;
    use crate::vendors::{
        answers::refusal::testing::{answer, page},
        http::script::{
            Script,
            testing::{asked, of, with_call},
        },
    };

    /// As LiteLLM 1.106 answers for a name that it does not know.
    const NO_SUCH_MODEL: &str = r#"{"error":{"message":"/chat/completions: Invalid model name passed in model=nope.","type":"invalid_request_error","param":null,"code":"400"}}"#;

    #[test]
    fn what_a_gateway_tells_of_a_model_is_read() {
        let model = read_model(&json!({
            "id": "team/embedding", "object": "model", "owned_by": "openai", "mode": "embedding",
            "max_input_tokens": 8191, "max_output_tokens": null,
        }));
        assert_eq!(model.type_, Some(ModelType::Embedding));
        assert_eq!(model.max_input_tokens, Some(8191));
        assert_eq!(model.max_output_tokens, None);
        let mistral = read_model(&json!({
            "id": "m", "deprecation": "2026-12-31T12:00:00Z", "deprecation_replacement_model": "n",
        }));
        let end = |text: &str| Some(text.parse().unwrap());
        assert_eq!(mistral.retires_at, end("2026-12-31T12:00:00Z"));
        assert_eq!(mistral.replacement.as_deref(), Some("n"));
        let router = read_model(&json!({ "id": "m", "expiration_date": "2026-12-31" }));
        assert_eq!(router.retires_at, end("2026-12-31T00:00:00Z"));
        let router = read_model(&json!({
            "id": "m", "pricing": { "prompt": "0.000001", "completion": "0.000002" },
            "architecture": { "input_modalities": ["text", "image", "file"], "output_modalities": ["text"] },
        }));
        let pricing = router.pricing.unwrap();
        assert_eq!(pricing.output_per1k_tokens.as_deref(), Some("0.002"));
        let modalities = router.modalities.unwrap();
        assert_eq!(modalities.input, [Modality::Text, Modality::Image]);
        let none = json!({ "id": "m", "deprecation": null, "deprecation_replacement_model": null });
        let none = read_model(&none);
        assert_eq!((none.retires_at, none.replacement), (None, None));
        let bare = read_model(&json!({ "id": "x", "context_length": 0, "mode": "new" }));
        assert_eq!((bare.context_window, bare.type_), (None, None));
    }

    #[test]
    fn a_window_is_read_however_it_is_named_and_written() {
        for entry in [
            json!({ "max_context_length": 131_072 }),
            json!({ "context_length": 131_072.0 }),
            json!({ "max_model_len": "131072" }),
            json!({ "context_window": "131,072" }),
            json!({ "contextLength": 1.31072e5 }),
            json!({ "meta": { "n_ctx_train": 131_072 } }),
            json!({ "top_provider": { "context_length": "131072.0" } }),
            json!({ "context_length": null, "limits": { "max_context_length": 131_072 } }),
            json!({ "context_length": 0, "max_seq_len": 131_072 }),
        ] {
            assert_eq!(read_model(&entry).context_window, Some(131_072), "{entry}");
        }
        for odd in [
            json!(-1),
            json!(0),
            json!(1e300),
            json!(0.5),
            json!("128k"),
            json!("inf"),
            json!("NaN"),
            json!(true),
            json!([8]),
        ] {
            let entry = json!({ "id": "m", "context_length": odd });
            assert_eq!(read_model(&entry).context_window, None, "{entry}");
        }
    }

    #[tokio::test]
    async fn the_limits_older_name_is_tried_where_the_newer_is_unknown() {
        let completion = || answer(200, r#"{"choices":[{"finish_reason":"length"}]}"#);
        for (status, body) in [
            (
                400,
                r#"{"error":{"message":"Unrecognized request argument supplied: max_completion_tokens","type":"invalid_request_error","param":null,"code":null}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"Unsupported parameter","param":"max_completion_tokens","code":"unsupported_parameter"}}"#,
            ),
            (
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted","input":1}]}"#,
            ),
            (
                422,
                r#"{"object":"error","message":{"detail":[{"loc":["body","max_completion_tokens"],"msg":"m"}]}}"#,
            ),
            (
                400,
                r#"{"message":"property 'max_completion_tokens' is unsupported"}"#,
            ),
            (400, r#""unknown field `max_completion_tokens`""#),
        ] {
            let script = Script::new([answer(status, body), completion()]);
            let said = with_call(&script, async |call| {
                OpenAiCompatible.test_model(call, &of("m")).await
            })
            .await;
            assert_eq!(said.reason, Reason::ModelAnswered, "{status} {body}");
            assert_eq!(asked(&script).len(), 2);
        }
        let limit = r#"{"error":{"message":"Could not finish the message because max_tokens or model output limit was reached.","code":null}}"#;
        let script = Script::new([answer(400, limit)]);
        let said = with_call(&script, async |call| {
            OpenAiCompatible.test_model(call, &of("m")).await
        })
        .await;
        assert_eq!(
            (said.reason, asked(&script).len()),
            (Reason::ModelAnswered, 1)
        );
    }

    #[tokio::test]
    async fn a_server_without_a_list_is_alive_where_it_refuses_an_empty_call() {
        for (list, call, reason) in [
            (
                404,
                answer(400, r#"{"error":{"message":"model is required"}}"#),
                Reason::ProbeSucceeded,
            ),
            (
                405,
                answer(401, r#"{"detail":"Unauthorized"}"#),
                Reason::ProbeSucceeded,
            ),
            (
                404,
                answer(422, r#"{"detail":[{"msg":"Field required"}]}"#),
                Reason::ProbeSucceeded,
            ),
            (
                404,
                answer(404, r#"{"detail":"Not Found"}"#),
                Reason::ProbeFailed,
            ),
            (
                404,
                answer(403, "<html>blocked</html>"),
                Reason::ProbeFailed,
            ),
            (404, answer(200, "<html>home</html>"), Reason::ProbeFailed),
        ] {
            let script = Script::new([answer(list, r#"{"detail":"Not Found"}"#), call]);
            let said = with_call(&script, async |call| OpenAiCompatible.probe(call).await).await;
            assert_eq!(said.reason, reason, "{said:?}");
            assert_eq!(asked(&script), ["/v1/models", "/v1/chat/completions"]);
        }
        // A proxy's page in the place of a path that is not there, or no more.
        for status in [404, 410] {
            let refused = answer(400, r#"{"error":{"message":"model is required"}}"#);
            let script = Script::new([page(status, "<html>no such page</html>"), refused]);
            let said = with_call(&script, async |call| OpenAiCompatible.probe(call).await).await;
            assert_eq!(said.reason, Reason::ProbeSucceeded, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_neither_answered_for_nor_listed_is_not_found() {
        let listed = |id: &str| answer(200, &json!({ "data": [{ "id": id }] }).to_string());
        for (list, reason) in [
            (listed("other"), Reason::ModelNotFound),
            (listed("nope"), Reason::CheckInconclusive),
            (answer(200, r#"{"data":[]}"#), Reason::CheckInconclusive),
            (answer(403, "{}"), Reason::CheckInconclusive),
        ] {
            let script = Script::new([answer(400, NO_SUCH_MODEL), list]);
            let outcome = with_call(&script, async |call| {
                OpenAiCompatible.test_model(call, &of("nope")).await
            })
            .await;
            assert_eq!(outcome.reason, reason);
            assert_eq!(asked(&script), ["/v1/chat/completions", "/v1/models"]);
        }
    }
}
