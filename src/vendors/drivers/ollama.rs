//! Ollama, on a machine of one's own or at ollama.com (facts, 9).

use std::{borrow::Cow, collections::BTreeMap};

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyField, KeyFields, ListedModel,
    ModelList, TestedModel,
    answers::{
        document, health,
        refusal::{self, Check},
    },
    base_url,
    http::client::{HttpError, Request, Response},
};
use crate::{
    crd::{
        model::{Capability, ModelCapability, ModelType},
        reasons::Reason,
    },
    encryption::SecretFields,
};

pub(in crate::vendors) struct Ollama;

/// What `/api/show` tells (facts, 9).
const DESCRIPTION: [&str; 3] = ["details", "model_info", "capabilities"];

#[async_trait]
impl Driver for Ollama {
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        region
            .is_none()
            .then(|| "http://localhost:11434".to_owned())
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        &["ollama.com"]
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKey
    }

    /// A proxy in front of a server of one's own may have any word for a key.
    fn check_key(&self, _key: &SecretFields) -> Result<(), String> {
        Ok(())
    }

    /// By the server's version, then by its list: others tell a version at that path too, as Open WebUI
    /// does in front of an Ollama.
    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let is_own = |answer: &Response| match document::unreadable(answer, &["version"]) {
            Some(what) => Err(what),
            None => Ok(()),
        };
        let version = native(call, &["api", "version"]);
        let told = health::probe(call, version, refusal::common, is_own).await;
        if told.reason != Reason::ProbeSucceeded {
            return told;
        }
        let list = native(call, &["api", "tags"]);
        let empty = describe(call, &json!({}));
        protocol::probe_list_or(call, refusal::common, list, is_list, empty).await
    }

    /// Only ollama.com, or a proxy, looks at a key; a local server answers everyone.
    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let request = native(call, &["api", "tags"]);
        match refusal::ask(call, Check::Validate, request, refusal::common).await {
            Ok(answer) => {
                let read = is_list(&answer);
                protocol::accepted(&answer, read)
            }
            Err(said) => said,
        }
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let request = native(call, &["api", "tags"]);
        let answer = refusal::ask(call, Check::List, request, refusal::common).await?;
        protocol::read_list(&answer, read_model)
    }

    /// A name without a tag means `:latest` (facts, 9).
    fn spellings<'a>(&self, model_id: &'a str) -> Vec<Cow<'a, str>> {
        let name = model_id.rsplit('/').next().unwrap_or(model_id);
        vec![match name.contains(':') {
            true => Cow::Borrowed(model_id),
            false => Cow::Owned(format!("{model_id}:latest")),
        }]
    }

    /// By `POST /api/show`, which reads the model's file and does not load it.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let request = describe(call, &json!({ "model": model.id }));
        let read = |answer: &Response| protocol::described(answer, &DESCRIPTION);
        protocol::test_by_description(call, self, model.id, (request, refusal::common), read).await
    }

    /// `ChatOllama` takes no key, timeout or retries of its own: they go through `client_kwargs`
    /// (facts, 11).
    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        let mut client_kwargs = json!({ "timeout": protocol::seconds(input.timeout) });
        if !input.headers.is_empty() {
            client_kwargs["headers"] = protocol::headers(input.headers);
        }
        let kwargs = BTreeMap::from([
            (
                "base_url".to_owned(),
                json!(native_root(input.base_url).as_str()),
            ),
            ("client_kwargs".to_owned(), client_kwargs),
        ]);
        let secret_kwargs = match input.key {
            Some(_) => BTreeMap::from([("client_kwargs.headers.Authorization", KeyField::ApiKey)]),
            None => BTreeMap::new(),
        };
        ClientConfig {
            model_provider: "ollama",
            model: input.model_id.to_owned(),
            kwargs,
            secret_kwargs,
            callable_kwargs: &[],
        }
    }
}

fn native(call: &Call<'_>, segments: &[&str]) -> Result<Request, HttpError> {
    let root = native_root(call.base_url);
    protocol::get(
        &Call {
            base_url: &root,
            ..*call
        },
        segments,
    )
}

/// The call that describes the model that its body names.
fn describe(call: &Call<'_>, body: &Value) -> Result<Request, HttpError> {
    let root = native_root(call.base_url);
    let at_root = Call {
        base_url: &root,
        ..*call
    };
    protocol::post(&at_root, &["api", "show"], body)
}

fn is_list(answer: &Response) -> Result<(), String> {
    protocol::read_page(answer, read_model).map(drop)
}

/// People write the root, `/api` or `/v1`; the native calls stand at the root.
fn native_root(base: &Url) -> Url {
    base_url::without(base, &["/v1", "/api"])
}

fn read_model(entry: &Value) -> ListedModel {
    let id = entry
        .get("model")
        .or_else(|| entry.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let capabilities = entry
        .get("capabilities")
        .and_then(Value::as_array)
        .map(|words| {
            let mut names: Vec<Capability> = words
                .iter()
                .filter_map(Value::as_str)
                .flat_map(capability)
                .copied()
                .collect();
            names.sort_unstable();
            names.dedup();
            names
                .into_iter()
                .map(|name| ModelCapability { name, score: None })
                .collect::<Vec<_>>()
        });
    let embeds = capabilities
        .as_ref()
        .is_some_and(|c| c.iter().any(|c| c.name == Capability::Embedding));
    ListedModel {
        id: id.to_owned(),
        context_window: entry
            .get("details")
            .and_then(|d| protocol::read_count(d, "context_length")),
        type_: capabilities.as_ref().map(|_| {
            if embeds {
                ModelType::Embedding
            } else {
                ModelType::Chat
            }
        }),
        capabilities,
        ..ListedModel::default()
    }
}

fn capability(word: &str) -> &'static [Capability] {
    match word {
        "completion" => &[
            Capability::TextGeneration,
            Capability::Chat,
            Capability::Streaming,
        ],
        "tools" => &[Capability::FunctionCalling],
        "vision" => &[Capability::Vision],
        "embedding" => &[Capability::Embedding],
        "thinking" => &[Capability::Reasoning],
        "audio" => &[Capability::AudioInput],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::{
        answers::refusal::testing::answer,
        http::script::{Script, testing::with_call},
    };

    /// Open WebUI has a version at this path too, and its Ollama at another.
    #[tokio::test]
    async fn a_version_alone_is_no_ollama() {
        let list = || answer(200, r#"{"models":[]}"#);
        let not_here = || answer(404, r#"{"detail":"Not Found"}"#);
        for (answers, reason) in [
            ([list(), not_here()], Reason::ProbeSucceeded),
            (
                [answer(401, "Unauthorized"), not_here()],
                Reason::ProbeSucceeded,
            ),
            (
                [not_here(), answer(400, r#"{"error":"model is required"}"#)],
                Reason::ProbeSucceeded,
            ),
            ([not_here(), answer(405, "")], Reason::ProbeFailed),
            (
                [answer(200, "<!doctype html>"), not_here()],
                Reason::ProbeFailed,
            ),
        ] {
            let version = answer(200, r#"{"version":"0.6.5"}"#);
            let script = Script::new([version].into_iter().chain(answers));
            let said = with_call(&script, async |call| Ollama.probe(call).await).await;
            assert_eq!(said.reason, reason, "{said:?}");
        }
    }

    #[test]
    fn a_name_without_a_tag_is_the_latest() {
        for (written, listed) in [
            ("llama3", "llama3:latest"),
            ("llama3:8b", "llama3:8b"),
            ("me/llama3", "me/llama3:latest"),
            ("host:5000/me/llama3", "host:5000/me/llama3:latest"),
        ] {
            assert_eq!(Ollama.spellings(written), [listed]);
        }
    }

    #[test]
    fn the_native_root_is_found_however_it_was_written() {
        for base in [
            "http://h:1",
            "http://h:1/",
            "http://h:1/v1",
            "http://h:1/api",
            "http://h:1/v1/",
        ] {
            let base = Url::parse(base).expect("a URL");
            assert_eq!(
                protocol::url(&native_root(&base), &["api", "tags"]).as_str(),
                "http://h:1/api/tags"
            );
        }
        let proxied = Url::parse("http://h:1/ollama/v1").expect("a URL");
        assert_eq!(
            protocol::url(&native_root(&proxied), &["api", "tags"]).as_str(),
            "http://h:1/ollama/api/tags"
        );
    }

    #[test]
    fn a_models_window_and_capabilities_are_read() {
        let entry = json!({
            "model": "llama3.2:3b",
            "details": { "context_length": 131_072 },
            "capabilities": ["completion", "tools", "insert"],
        });
        let model = read_model(&entry);
        assert_eq!(
            (model.id.as_str(), model.context_window),
            ("llama3.2:3b", Some(131_072))
        );
        let names: Vec<_> = model
            .capabilities
            .expect("told")
            .iter()
            .map(|c| c.name)
            .collect();
        assert!(names.contains(&Capability::FunctionCalling) && names.contains(&Capability::Chat));
        assert_eq!(read_model(&json!({ "name": "old" })).capabilities, None);
    }
}
