//! Azure OpenAI and Foundry (facts, 6). A deployment is not a model: calls name deployments, and a
//! `modelId` here is a deployment's name.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use http::HeaderName;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::openai_protocol as protocol;
use crate::crd::reasons::Reason;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyField, KeyFields, ListedModel,
    ModelList, TestedModel,
    answers::{
        document,
        error_body::ErrorBody,
        health, moment,
        refusal::{self, Check, RefusalKind},
        result::Retry,
    },
    base_url,
    http::client::{HttpError, Request, Response},
};

pub(in crate::vendors) struct AzureOpenAi;

const API_KEY: HeaderName = HeaderName::from_static("api-key");
/// The last version that was seen to list deployments by API key (facts, 6).
const DEPLOYMENTS_VERSION: &str = "2023-03-15-preview";
/// For how long a new deployment may not be found yet (facts, 6).
const SETTLING: Duration = Duration::from_secs(300);

#[async_trait]
impl Driver for AzureOpenAi {
    /// Every resource has a host of its own.
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
        let is_own = |answer: &Response| protocol::read_page(answer, protocol::read_id).map(drop);
        health::probe(call, catalog_request(call), read, is_own).await
    }

    /// By the catalog of base models, which proves the key and no deployment.
    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        match refusal::ask(call, Check::Validate, catalog_request(call), read).await {
            Ok(answer) => match protocol::read_page(&answer, protocol::read_id) {
                Ok(_) => CheckResult::of(
                    &answer,
                    Reason::KeyAccepted,
                    "the resource accepts the key; its catalog answers, which proves no deployment",
                ),
                Err(what) => refusal::unreadable(Check::Validate, &answer, &what),
            },
            Err(outcome) if outcome.reason == Reason::KeyRejected => CheckResult {
                message: "the resource rejects the key: it is wrong, or another resource's"
                    .to_owned(),
                ..outcome
            },
            Err(outcome) => outcome,
        }
    }

    /// Deployments, where the resource still lists them by key. The catalog is never taken for
    /// them: nobody can call a model that is not deployed.
    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let mut url = protocol::url(&root(call.base_url), &["openai", "deployments"]);
        url.query_pairs_mut()
            .append_pair("api-version", DEPLOYMENTS_VERSION);
        let request = dress(call, Request::get(url));
        let asked = match refusal::exchange(call, request, read).await {
            Ok(asked) => asked,
            Err(error) => return Err(CheckResult::from_http_error(&error, Reason::SyncFailed)),
        };
        if !refusal::is_refusal(&asked.answer) {
            let mut list = protocol::read_list(&asked.answer, deployment)?;
            if list.models.iter().any(|model| model.base_model.is_some()) {
                complete(&mut list, &ends(call).await);
            }
            return Ok(list);
        }
        Err(match asked.kind() {
            RefusalKind::RateLimited
            | RefusalKind::Down
            | RefusalKind::BadKey
            | RefusalKind::Caller
            | RefusalKind::Page => asked.refused(Check::List),
            _ => CheckResult::of(
                &asked.answer,
                Reason::Unverifiable,
                "this resource does not list its deployments by key, only the catalog of base models; \
                 declare an LlmModel for each deployment",
            ),
        })
    }

    /// By the smallest call: a key alone has no free way to ask for a deployment. Types without one
    /// are asked for a chat, whose refusal says at no cost whether the deployment is there.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let mut smallest =
            protocol::smallest_call(model.type_).unwrap_or_else(protocol::smallest_chat);
        let root = root(call.base_url);
        let url = match dated(call.api_version) {
            Some(version) => {
                let deployment = protocol::url(&root, &["openai", "deployments", model.id]);
                let mut url = protocol::url(&deployment, smallest.path);
                url.query_pairs_mut().append_pair("api-version", version);
                url
            }
            None => {
                smallest.body["model"] = json!(model.id);
                protocol::url(&protocol::url(&root, &["openai", "v1"]), smallest.path)
            }
        };
        let request = |body: &Value| dress(call, Request::post_json(url.clone(), body));
        match protocol::ask_model(call, read, &smallest.body, request).await {
            Ok(answer) => match document::unreadable(&answer, &smallest.fields) {
                Some(what) => refusal::unreadable(Check::Test, &answer, &what),
                None => CheckResult::of(&answer, Reason::ModelAnswered, "the deployment answers"),
            },
            Err(outcome) if outcome.reason == Reason::ModelNotFound => {
                missing(outcome, model.tested_for)
            }
            Err(outcome) => outcome,
        }
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        let root = root(input.base_url);
        let Some(version) = dated(input.api_version) else {
            let base_url = protocol::url(&root, &["openai", "v1", ""]);
            return protocol::client_config(&ClientInput {
                base_url: &base_url,
                ..*input
            });
        };
        let mut kwargs = BTreeMap::from([
            ("azure_endpoint".to_owned(), json!(root.as_str())),
            ("azure_deployment".to_owned(), json!(input.model_id)),
            ("api_version".to_owned(), json!(version)),
            (
                "timeout".to_owned(),
                json!(protocol::seconds(input.timeout)),
            ),
            ("max_retries".to_owned(), json!(input.retries)),
        ]);
        if !input.headers.is_empty() {
            kwargs.insert(
                "default_headers".to_owned(),
                protocol::headers(input.headers),
            );
        }
        let secret_kwargs = match input.key {
            Some(key) if key.api_key.is_some() => BTreeMap::from([("api_key", KeyField::ApiKey)]),
            Some(_) => BTreeMap::from([("azure_ad_token", KeyField::AccessToken)]),
            None => {
                // Without one the client takes OPENAI_API_KEY from its surroundings (facts, 11).
                kwargs.insert("api_key".to_owned(), json!("none"));
                BTreeMap::new()
            }
        };
        ClientConfig {
            model_provider: "azure_openai",
            model: input.model_id.to_owned(),
            kwargs,
            secret_kwargs,
            callable_kwargs: &["azure_ad_token_provider"],
        }
    }
}

/// A deployment that is not there: a new one may only not be there yet.
fn missing(outcome: CheckResult, tested_for: Duration) -> CheckResult {
    if tested_for < SETTLING {
        return CheckResult {
            reason: Reason::CheckInconclusive,
            message: "the resource has no such deployment yet; a new one may take 5 minutes, and \
                      modelId has to be a deployment's name"
                .to_owned(),
            retry: Retry::After(SETTLING),
            ..outcome
        };
    }
    CheckResult {
        message: "the resource has no such deployment; check modelId, which is a deployment's \
                  name here"
            .to_owned(),
        ..outcome
    }
}

/// The dated API's version, or nothing for v1, which needs none.
fn dated(api_version: Option<&str>) -> Option<&str> {
    api_version.filter(|v| v.starts_with(|c: char| c.is_ascii_digit()))
}

/// The resource's URL, without the path of either API, or of a deployment's call as the portal shows it.
fn root(base: &Url) -> Url {
    let path = base.path();
    let calls = ["/openai/deployments/", "/openai/v1/"];
    if let Some(at) = calls.iter().find_map(|api| path.rfind(api)) {
        let mut root = base.clone();
        root.set_path(&path[..at]);
        return root;
    }
    base_url::without(&base_url::without(base, &["/v1"]), &["/openai"])
}

fn catalog_request(call: &Call<'_>) -> Result<Request, HttpError> {
    let root = root(call.base_url);
    let url = match dated(call.api_version) {
        Some(version) => {
            let mut url = protocol::url(&root, &["openai", "models"]);
            url.query_pairs_mut().append_pair("api-version", version);
            url
        }
        None => protocol::url(&root, &["openai", "v1", "models"]),
    };
    dress(call, Request::get(url))
}

fn dress(call: &Call<'_>, mut request: Request) -> Result<Request, HttpError> {
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let Some(key) = call.key else {
        return Ok(request);
    };
    key.put_into(request, |request, fields| {
        match (&fields.api_key, &fields.access_token) {
            (Some(key), _) => request.secret_header(API_KEY, key.expose_secret()),
            (None, Some(token)) => request.bearer(token),
            (None, None) => Ok(request),
        }
    })
}

/// The code is often the status as a string (facts, 6).
fn read(_: &Response, body: &ErrorBody) -> Option<RefusalKind> {
    match body.code.as_deref()? {
        "OperationNotSupported" => Some(RefusalKind::OtherOperation),
        "401" | "invalid_api_key" => Some(RefusalKind::BadKey),
        "PermissionDenied" => Some(RefusalKind::Restricted),
        "DeploymentNotFound" | "model_not_found" => Some(RefusalKind::NoModel),
        "insufficient_quota" => Some(RefusalKind::Quota),
        _ => None,
    }
}

fn deployment(entry: &Value) -> ListedModel {
    let model = entry.get("model").and_then(Value::as_str);
    ListedModel {
        display_name: model.map(str::to_owned),
        base_model: model.map(str::to_owned),
        ..protocol::read_id(entry)
    }
}

/// The end of each base model by the resource's catalog; empty where that does not answer, for a list of
/// deployments is whole without it.
async fn ends(call: &Call<'_>) -> BTreeMap<String, Timestamp> {
    let answer = refusal::ask(call, Check::List, catalog_request(call), read).await;
    let list = answer.and_then(|answer| protocol::read_list(&answer, base_model));
    let models = list.map(|list| list.models).unwrap_or_default();
    let end = |model: ListedModel| Some((model.id, model.retires_at?));
    models.into_iter().filter_map(end).collect()
}

/// `inference` is when calls end; `fine_tune` ends earlier and stops no call (facts, 6).
fn base_model(entry: &Value) -> ListedModel {
    let deprecation = entry.get("deprecation");
    ListedModel {
        retires_at: deprecation.and_then(|ends| moment::read(ends, "inference")),
        ..protocol::read_id(entry)
    }
}

fn complete(deployments: &mut ModelList, ends: &BTreeMap<String, Timestamp>) {
    for deployment in &mut deployments.models {
        let end = deployment.base_model.as_ref().and_then(|id| ends.get(id));
        deployment.retires_at = end.copied();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::testing::{answer, holds, is_careful};
    use crate::vendors::http::script::{Script, testing::with_call};

    #[test]
    fn every_documented_error_has_its_reason() {
        use Reason::{CheckInconclusive as Unsure, *};
        holds(
            read,
            &[
                (
                    401,
                    r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#,
                    KeyRejected,
                    Unsure,
                ),
                (
                    404,
                    r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
                    Unsure,
                    ModelNotFound,
                ),
                (
                    404,
                    r#"{"error":{"code":"404","message":"Resource not found"}}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    429,
                    r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit"}}"#,
                    Unsure,
                    Unsure,
                ),
                (500, "", Unsure, Unsure),
            ],
        );
        is_careful(read);
    }

    #[tokio::test]
    async fn a_deployment_ends_with_the_model_behind_it() {
        let deployments = r#"{"data":[{"id":"chat","model":"gpt-4o"},{"id":"other","model":"gpt-x"},{"id":"bare"}]}"#;
        let catalog = r#"{"data":[{"id":"gpt-4o","deprecation":{"fine_tune":1700000000,"inference":1801353600}},{"id":"gpt-x"}]}"#;
        let list = async |answers: [Response; 2]| {
            let script = Script::new(answers);
            with_call(&script, async |call| AzureOpenAi.list_models(call).await).await
        };
        let listed = list([answer(200, deployments), answer(200, catalog)]).await;
        let models = listed.expect("a list").models;
        let told = |number: usize| {
            (
                models[number].base_model.as_deref(),
                models[number].retires_at,
            )
        };
        let end = "2027-01-31T00:00:00Z".parse().ok();
        assert_eq!(told(0), (Some("gpt-4o"), end));
        assert_eq!(told(1), (Some("gpt-x"), None));
        assert_eq!(told(2), (None, None));
        // The list of deployments is whole without the catalog.
        let listed = list([answer(200, deployments), answer(500, "")]).await;
        assert_eq!(listed.expect("a list").models.len(), 3);
    }

    #[test]
    fn a_client_without_a_credential_takes_no_other_vendors_key() {
        let base_url = Url::parse("https://r.openai.azure.com").expect("a URL");
        for (api_version, provider) in [(Some("2024-10-21"), "azure_openai"), (None, "openai")] {
            let config = AzureOpenAi.client_config(&ClientInput {
                model_id: "chat",
                base_url: &base_url,
                region: None,
                api_version,
                headers: &[],
                timeout: std::time::Duration::from_secs(60),
                retries: 2,
                key: None,
            });
            assert_eq!(config.model_provider, provider);
            assert_eq!(config.kwargs.get("api_key"), Some(&json!("none")));
            assert!(config.secret_kwargs.is_empty());
        }
    }

    #[test]
    fn both_forms_of_the_base_url_name_one_resource() {
        for base in [
            "https://r.openai.azure.com",
            "https://r.openai.azure.com/openai/v1/",
            "https://r.openai.azure.com/openai",
            // As the portal shows where a deployment is called.
            "https://r.openai.azure.com/openai/deployments/chat",
            "https://r.openai.azure.com/openai/deployments/chat/chat/completions",
            "https://r.openai.azure.com/openai/v1/responses",
        ] {
            assert_eq!(
                root(&Url::parse(base).expect("a URL")).as_str(),
                "https://r.openai.azure.com/"
            );
        }
        assert_eq!(dated(Some("v1")), None);
        assert_eq!(dated(Some("preview")), None);
        assert_eq!(dated(Some("2024-10-21")), Some("2024-10-21"));
    }
}
