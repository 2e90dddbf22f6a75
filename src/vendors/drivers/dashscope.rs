//! Alibaba DashScope, also called Model Studio (facts, 7).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use super::openai_protocol as protocol;
use crate::crd::{
    model::{Capability, ModelCapability, ModelType},
    names::did_you_mean,
    reasons::Reason,
};
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyFields, ListedModel, ModelList,
    TestedBy, TestedModel,
    answers::{
        document,
        error_body::ErrorBody,
        health,
        model_list::ModelListBuilder,
        refusal::{self, Check, RefusalKind},
    },
    base_url,
    http::client::{HttpError, Request, Response},
};

pub(in crate::vendors) struct DashScope;

/// Hosts by region (facts, 2). Keys are per region.
const REGIONS: [(&str, &str); 4] = [
    ("cn-beijing", "dashscope.aliyuncs.com"),
    ("ap-southeast-1", "dashscope-intl.aliyuncs.com"),
    ("us-east-1", "dashscope-us.aliyuncs.com"),
    ("cn-hongkong", "cn-hongkong.dashscope.aliyuncs.com"),
];
const PAGE_SIZE: usize = 100;
/// Pages that are read before a list counts as endless; 500 models were seen.
const MAX_PAGES: usize = 100;

#[async_trait]
impl Driver for DashScope {
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        let region = region.unwrap_or("cn-beijing");
        REGIONS
            .iter()
            .find(|(name, _)| *name == region)
            .map(|(_, host)| format!("https://{host}"))
    }

    fn no_default(&self, region: Option<&str>) -> String {
        let said = region.unwrap_or_default();
        let known = REGIONS.map(|(name, _)| name);
        format!(
            "spec.baseUrl is required: there is no fixed host for the region {said}{}; those with one \
             are {}",
            did_you_mean(said, known),
            known.join(", ")
        )
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        const HOSTS: [&str; 4] = [REGIONS[0].1, REGIONS[1].1, REGIONS[2].1, REGIONS[3].1];
        &HOSTS
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::ApiKey
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let is_own = |answer: &Response| page(answer).map(drop);
        health::probe(call, list_request(call, 1, 1, None), read, is_own).await
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let request = list_request(call, 1, 1, None);
        match refusal::ask(call, Check::Validate, request, read).await {
            Ok(answer) => protocol::accepted(&answer, page(&answer).map(drop)),
            Err(outcome) if outcome.reason == Reason::KeyRejected => {
                match sibling_that_accepts(call).await {
                    Some(region) => CheckResult {
                        message: format!(
                            "the vendor rejects the key here; it belongs to the region {region}"
                        ),
                        ..outcome
                    },
                    None => CheckResult {
                        message: "the vendor rejects the key here: it is wrong, or belongs to \
                                  another region, workspace or plan"
                            .to_owned(),
                        ..outcome
                    },
                }
            }
            Err(outcome) => outcome,
        }
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let mut list = ModelListBuilder::default();
        // What an earlier page had too is no further model: the list moved while it was read.
        let mut earlier: HashSet<String> = HashSet::new();
        let mut counted = 0;
        for number in 1..=MAX_PAGES {
            let request = list_request(call, number, PAGE_SIZE, None);
            let answer = refusal::ask(call, Check::List, request, read).await?;
            let unreadable = |what: &str| refusal::unreadable(Check::List, &answer, what);
            let page = page(&answer).map_err(|what| unreadable(&what))?;
            let is_last = page.models.is_empty();
            let new = page.models.iter().filter(|m| !earlier.contains(&m.id));
            counted += new.count();
            let named = page.models.iter().filter(|m| !m.id.is_empty());
            earlier.extend(named.map(|m| m.id.clone()));
            list.add(page.models)
                .map_err(|why| unreadable(why.into()))?;
            match page.total {
                Some(total) if counted >= total => return Ok(list.finish()),
                Some(_) if is_last => {
                    return Err(unreadable("it holds fewer models than it counts"));
                }
                None if is_last => return Ok(list.finish()),
                _ => {}
            }
        }
        let message = format!("the model list has more than {MAX_PAGES} pages");
        Err(CheckResult::new(Reason::SyncFailed, message))
    }

    fn tested_by(&self, _type: Option<ModelType>) -> TestedBy {
        TestedBy::List
    }

    /// By the list with this id alone: listed, which is not yet granted.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let request = list_request(call, 1, 1, Some(model.id));
        match protocol::ask_test(call, request, read).await {
            Ok(answer) => match page(&answer) {
                Ok(page) if page.models.iter().any(|m| m.id == model.id) => {
                    CheckResult::of(&answer, Reason::ModelListed, "the vendor lists the model")
                }
                Ok(_) => CheckResult::of(
                    &answer,
                    Reason::ModelNotFound,
                    "the vendor does not list the model; check modelId",
                ),
                Err(what) => refusal::unreadable(Check::Test, &answer, &what),
            },
            Err(outcome) => outcome,
        }
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        let base_url = protocol::url(&root(input.base_url), &["compatible-mode", "v1"]);
        protocol::client_config(&ClientInput {
            base_url: &base_url,
            ..*input
        })
    }
}

/// The base URL without the path of one of the vendor's protocols.
fn root(base: &Url) -> Url {
    const PATHS: [&str; 4] = [
        "/compatible-mode/v1",
        "/api/v1",
        "/apps/anthropic",
        "/compatible-api/v1",
    ];
    base_url::without(base, &PATHS)
}

fn list_request(
    call: &Call<'_>,
    number: usize,
    size: usize,
    model: Option<&str>,
) -> Result<Request, HttpError> {
    let mut url = protocol::url(&root(call.base_url), &["api", "v1", "models"]);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("page_no", &number.to_string());
        query.append_pair("page_size", &size.to_string());
        if let Some(id) = model {
            query.append_pair("model", id);
        }
    }
    protocol::dress(call, Request::get(url))
}

/// The region whose host takes the key, asked once each where the key was refused at a fixed host
/// of the vendor's (facts, 7.4). A Secret of this type trusts all of these.
async fn sibling_that_accepts(call: &Call<'_>) -> Option<&'static str> {
    let host = call.base_url.host_str()?;
    let is_own = call.base_url.scheme() == "https"
        && call.base_url.port().is_none()
        && REGIONS.iter().any(|(_, own)| *own == host);
    if !is_own {
        return None;
    }
    for (region, sibling) in REGIONS.iter().filter(|(_, own)| *own != host) {
        let Ok(base_url) = Url::parse(&format!("https://{sibling}")) else {
            continue;
        };
        let there = Call {
            base_url: &base_url,
            headers: &[],
            ..*call
        };
        let request = list_request(&there, 1, 1, None);
        if refusal::ask(&there, Check::Validate, request, read)
            .await
            .is_ok()
        {
            return Some(region);
        }
    }
    None
}

/// Codes come in two spellings and two envelopes (facts, 7.4); arrears are a 400.
fn read(_: &Response, body: &ErrorBody) -> Option<RefusalKind> {
    match body.code.as_deref()? {
        "InvalidApiKey" | "invalid_api_key" => Some(RefusalKind::BadKey),
        "AccessDenied" | "access_denied" => Some(RefusalKind::Restricted),
        "ModelNotFound" | "model_not_found" => Some(RefusalKind::NoModel),
        "NotFound" => Some(RefusalKind::NoSuchPath),
        "Arrearage" | "insufficient_quota" => Some(RefusalKind::Quota),
        code if code.starts_with("Throttling") => Some(RefusalKind::RateLimited),
        _ => None,
    }
}

struct Page {
    models: Vec<ListedModel>,
    total: Option<usize>,
}

fn page(answer: &Response) -> Result<Page, String> {
    let list = document::list(answer, &[&["output", "models"]], model)?;
    let output = list.document.get("output").ok_or("it has no `output`")?;
    let models = match (list.entries, output.get("models")) {
        (Some(models), Some(_)) => models,
        (None, Some(Value::Null)) => Vec::new(),
        _ => return Err("it has no list `output.models`".to_owned()),
    };
    let total = output
        .get("total")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok());
    Ok(Page { models, total })
}

/// Prices are left out: their unit is a text that differs by host (facts, 7.1).
fn model(entry: &Value) -> ListedModel {
    let known: BTreeMap<&str, Capability> = BTreeMap::from([
        ("TG", Capability::TextGeneration),
        ("Reasoning", Capability::Reasoning),
        ("VU", Capability::Vision),
    ]);
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let info = entry.get("model_info").unwrap_or(&Value::Null);
    let capabilities = entry
        .get("capabilities")
        .and_then(Value::as_array)
        .map(|names| {
            let said: BTreeSet<Capability> = names
                .iter()
                .filter_map(|n| known.get(n.as_str()?).copied())
                .collect();
            said.into_iter()
                .map(|name| ModelCapability { name, score: None })
                .collect()
        });
    ListedModel {
        id: text("model").unwrap_or_default(),
        display_name: text("name"),
        context_window: protocol::read_count(info, "context_window"),
        max_output_tokens: protocol::read_count(info, "max_output_tokens"),
        capabilities,
        ..ListedModel::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::answers::refusal::testing::{answer, holds, is_careful};

    #[test]
    fn every_documented_error_has_its_reason() {
        use Reason::{CheckInconclusive as Unsure, *};
        holds(
            read,
            &[
                (
                    401,
                    r#"{"code":"InvalidApiKey","message":"Invalid API-key provided.","request_id":"01415ff3"}"#,
                    KeyRejected,
                    Unsure,
                ),
                (
                    401,
                    r#"{"error":{"code":"invalid_api_key"},"request_id":"1"}"#,
                    KeyRejected,
                    Unsure,
                ),
                (
                    403,
                    r#"{"code":"AccessDenied","message":"m"}"#,
                    KeyRestricted,
                    ModelAccessDenied,
                ),
                (
                    403,
                    r#"{"error":{"code":"access_denied"}}"#,
                    KeyRestricted,
                    ModelAccessDenied,
                ),
                (
                    404,
                    r#"{"code":"ModelNotFound","message":"m"}"#,
                    Unsure,
                    ModelNotFound,
                ),
                (404, r#"{"code":"NotFound","message":"m"}"#, Unsure, Unsure),
                (
                    404,
                    r#"{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"model_not_found"},"request_id":"1"}"#,
                    Unsure,
                    ModelNotFound,
                ),
                (
                    400,
                    r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
                    QuotaExhausted,
                    QuotaExhausted,
                ),
                (
                    429,
                    r#"{"code":"Throttling.RateQuota","message":"m"}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    429,
                    r#"{"code":"Throttling.AllocationQuota","message":"m"}"#,
                    Unsure,
                    Unsure,
                ),
                (
                    429,
                    r#"{"error":{"code":"insufficient_quota"}}"#,
                    QuotaExhausted,
                    QuotaExhausted,
                ),
                (503, "", Unsure, Unsure),
                (504, "", Unsure, Unsure),
            ],
        );
        is_careful(read);
    }

    #[test]
    fn the_list_tells_windows() {
        let body = r#"{"success":true,"output":{"total":2,"page_no":1,"page_size":20,"models":[{"model":"qwen3-max","name":"Qwen3","capabilities":["TG","Reasoning","VU","New"],"model_info":{"context_window":262144,"max_output_tokens":65536}}]}}"#;
        let page = page(&answer(200, body)).expect("a page");
        assert_eq!(page.total, Some(2));
        assert_eq!(page.models[0].context_window, Some(262_144));
        assert_eq!(page.models[0].capabilities.as_ref().map(Vec::len), Some(3));
        let failed = answer(200, r#"{"success":false,"output":{}}"#);
        assert!(refusal::is_refusal(&failed) && super::page(&failed).is_err());
    }

    #[test]
    fn regions_have_their_hosts_and_paths_come_off() {
        assert_eq!(
            DashScope.default_base_url(Some("us-east-1")).as_deref(),
            Some("https://dashscope-us.aliyuncs.com")
        );
        assert_eq!(DashScope.default_base_url(Some("moon")), None);
        let base = Url::parse("https://dashscope.aliyuncs.com/compatible-mode/v1/").expect("a URL");
        assert_eq!(root(&base).as_str(), "https://dashscope.aliyuncs.com/");
    }
}
