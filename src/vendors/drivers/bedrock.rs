//! AWS Bedrock (facts, 5): a control host that lists, a runtime host that answers, one key for both.

mod answers;
mod hosts;
mod signing;

use std::{borrow::Cow, collections::BTreeMap};

use async_trait::async_trait;
use http::header;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use self::{answers::Availability, hosts::BedrockHost};
use super::openai_protocol as protocol;
use crate::vendors::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, KeyField, KeyFields, ModelList,
    TestedModel,
    answers::{
        health,
        model_list::ModelListBuilder,
        refusal::{self, Check, RefusalKind},
        result::{self, Retry},
    },
    http::client::{HttpError, Request, Response},
};
use crate::{crd::reasons::Reason, encryption::SecretFields};

pub(in crate::vendors) struct Bedrock;

/// The host of AWS's token service in a region.
pub(in crate::vendors) fn sts_host(region: Option<&str>) -> String {
    hosts::sts(region)
}

/// Pages of 1,000 profiles that are read before a list counts as endless.
const MAX_PAGES: usize = 20;
/// Base models behind one profile that are asked after. More than one is rare.
const MAX_BEHIND_PROFILE: usize = 8;
/// Said by a check; the endpoint's own status says more.
const NO_REGION: &str =
    "spec.region is missing, not known here, or another than the region of spec.baseUrl";
/// What a profile's id begins with: its models' regions.
const GEOGRAPHIES: [&str; 10] = [
    "us", "us-gov", "eu", "apac", "jp", "au", "ca", "sa", "cn", "global",
];

#[async_trait]
impl Driver for Bedrock {
    /// The runtime host, for that is what clients call.
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        hosts::runtime_url(region?)
    }

    fn no_default(&self, region: Option<&str>) -> String {
        hosts::no_region(region)
    }

    fn check_endpoint(&self, base_url: &Url, region: Option<&str>) -> Result<(), String> {
        hosts::place(base_url, region).map(|_| ())
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        hosts::fixed()
    }

    fn key_fields(&self) -> KeyFields {
        KeyFields::AccessKeyPairOrApiKey
    }

    fn check_key(&self, key: &SecretFields) -> Result<(), String> {
        let Some(api_key) = &key.api_key else {
            return Err(
                "an access token alone opens nothing at Bedrock: it goes with an access key id in \
                 apiKey and its secret key in secretKey; a Bedrock API key goes in apiKey"
                    .to_owned(),
            );
        };
        result::not_a_placeholder(key)?;
        let api_key = api_key.expose_secret();
        let is_id = |prefix: &str| {
            let rest = api_key.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric()))
        };
        match (&key.secret_key, &key.access_token) {
            (None, _) if is_id("AKIA") || is_id("ASIA") => Err(
                "apiKey holds an access key id, which needs its secret key: name the Secret's \
                 entry that holds it in spec.secretRef.keys.secretKey"
                    .to_owned(),
            ),
            (Some(_), None) if is_id("ASIA") => Err(
                "the access key is temporary and needs its session token: name the Secret's entry \
                 that holds it in spec.secretRef.keys.accessToken"
                    .to_owned(),
            ),
            (None, Some(_)) => Err(
                "a session token goes with an access key id and its secret key; a Bedrock API key \
                 goes alone, in apiKey"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// First the runtime host, which clients call, without a key; then the list.
    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let place = match hosts::place(call.base_url, call.region) {
            Ok(place) => place,
            Err(_) => return CheckResult::new(Reason::ProbeFailed, NO_REGION),
        };
        if place.runtime != place.control {
            let request = dressed(call, Request::get(place.runtime.clone()));
            match refusal::exchange(call, Ok(request), answers::read).await {
                Ok(asked) if answers::is_aws(&asked) => {}
                Ok(asked) => return health::judge(&asked, |_| Err("it is not AWS's".to_owned())),
                Err(error) => return CheckResult::from_http_error(&error, Reason::ProbeFailed),
            }
        }
        let is_own = |answer: &Response| answers::base_models(answer).map(drop);
        health::probe(call, short_list(call, &place), answers::read, is_own).await
    }

    /// By the shortest list that the vendor filters.
    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let said = async {
            let place = place(call, Check::Validate)?;
            let request = short_list(call, &place);
            let answer = ask(call, &place, Check::Validate, request).await?;
            let read = answers::base_models(&answer);
            read.map_err(|what| refusal::unreadable(Check::Validate, &answer, &what))?;
            Ok(CheckResult::of(
                &answer,
                Reason::KeyAccepted,
                "the vendor accepts the key",
            ))
        };
        said.await.unwrap_or_else(|outcome| outcome)
    }

    /// Base models and inference profiles: most newer models answer to a profile alone.
    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let place = place(call, Check::List)?;
        let request = control(call, &place, &["foundation-models"], &[]);
        let answer = ask_list(call, &place, request, "bedrock:ListFoundationModels").await?;
        let unreadable = |what: &str| refusal::unreadable(Check::List, &answer, what);
        let models = answers::base_models(&answer).map_err(|what| unreadable(&what))?;
        let mut list = ModelListBuilder::default();
        list.add(models).map_err(|why| unreadable(why.into()))?;
        let base = answers::ends(&answer);
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![("maxResults", "1000")];
            if let Some(token) = &token {
                query.push(("nextToken", token));
            }
            let request = control(call, &place, &["inference-profiles"], &query);
            let answer = ask_list(call, &place, request, "bedrock:ListInferenceProfiles").await?;
            let unreadable = |what: &str| refusal::unreadable(Check::List, &answer, what);
            let mut page = answers::profiles(&answer).map_err(|what| unreadable(&what))?;
            answers::complete(&mut page.models, &base);
            list.add(page.models)
                .map_err(|why| unreadable(why.into()))?;
            match page.next {
                None => return Ok(list.finish()),
                next if next == token => return Err(unreadable("a page names itself as the next")),
                next => token = next,
            }
        }
        let message = format!("the list of inference profiles has more than {MAX_PAGES} pages");
        Err(CheckResult::new(Reason::SyncFailed, message))
    }

    /// By what AWS says of the account's access to it, which spends nothing; where the key may not
    /// ask that, or what the id names has no such reading, by an answer of one token.
    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let test = Test {
            call,
            model_id: model.id,
        };
        test.run().await.unwrap_or_else(protocol::or_untestable)
    }

    fn spellings<'a>(&self, model_id: &'a str) -> Vec<Cow<'a, str>> {
        let listed = !model_id.starts_with("arn:");
        listed
            .then_some(Cow::Borrowed(model_id))
            .into_iter()
            .collect()
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        let mut kwargs = BTreeMap::from([
            (
                "timeout".to_owned(),
                json!(protocol::seconds(input.timeout)),
            ),
            ("max_retries".to_owned(), json!(input.retries)),
        ]);
        let place = hosts::place(input.base_url, input.region).ok();
        let runtime = place.as_ref().map_or(input.base_url, |p| &p.runtime);
        let runtime = runtime.as_str().trim_end_matches('/');
        let region = place.as_ref().map(|p| p.region.as_str()).or(input.region);
        if let Some(region) = region {
            kwargs.insert("region_name".to_owned(), json!(region));
        }
        // The client knows a region's usual host itself.
        if region.and_then(hosts::runtime_url).as_deref() != Some(runtime) {
            kwargs.insert("base_url".to_owned(), json!(runtime));
        }
        if !input.headers.is_empty() {
            kwargs.insert(
                "default_headers".to_owned(),
                protocol::headers(input.headers),
            );
        }
        let mut secret_kwargs = BTreeMap::new();
        match input.key {
            Some(key) if key.secret_key.is_some() => {
                secret_kwargs.insert("aws_access_key_id", KeyField::ApiKey);
                secret_kwargs.insert("aws_secret_access_key", KeyField::SecretKey);
                if key.access_token.is_some() {
                    secret_kwargs.insert("aws_session_token", KeyField::AccessToken);
                }
            }
            Some(_) => {
                secret_kwargs.insert("api_key", KeyField::ApiKey);
            }
            None => {}
        }
        ClientConfig {
            model_provider: "bedrock_converse",
            model: input.model_id.to_owned(),
            kwargs,
            secret_kwargs,
            callable_kwargs: &[],
        }
    }
}

fn place(call: &Call<'_>, check: Check) -> Result<BedrockHost, CheckResult> {
    hosts::place(call.base_url, call.region)
        .map_err(|_| CheckResult::new(check.inconclusive(), NO_REGION))
}

fn dressed(call: &Call<'_>, request: Request) -> Request {
    call.headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

/// The endpoint's headers, then the key.
fn with_key(call: &Call<'_>, place: &BedrockHost, request: Request) -> Result<Request, HttpError> {
    let request = dressed(call, request);
    match call.key {
        Some(key) => key.put_into(request, |request, fields| {
            signing::with_key(request, fields, &place.region, call.client.now())
        }),
        None => Ok(request),
    }
}

/// A read at the control host.
fn control(
    call: &Call<'_>,
    place: &BedrockHost,
    segments: &[&str],
    query: &[(&str, &str)],
) -> Result<Request, HttpError> {
    let mut url = signing::url(&place.control, segments);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    with_key(call, place, Request::get(url))
}

fn short_list(call: &Call<'_>, place: &BedrockHost) -> Result<Request, HttpError> {
    let filter = [("byOutputModality", "EMBEDDING")];
    control(call, place, &["foundation-models"], &filter)
}

/// Sends, and gives back a successful answer or what the refusal means.
async fn ask(
    call: &Call<'_>,
    place: &BedrockHost,
    check: Check,
    request: Result<Request, HttpError>,
) -> Result<Response, CheckResult> {
    match refusal::exchange(call, request, answers::read).await {
        Ok(asked) if !refusal::is_refusal(&asked.answer) => Ok(asked.answer),
        Ok(asked) => Err(answers::refused(
            check,
            &asked,
            &place.region,
            call.client.now(),
        )),
        Err(error) => Err(CheckResult::from_http_error(&error, check.inconclusive())),
    }
}

/// The same for one of the two lists: half of them is no list, so the right that lacks is named.
async fn ask_list(
    call: &Call<'_>,
    place: &BedrockHost,
    request: Result<Request, HttpError>,
    right: &str,
) -> Result<Response, CheckResult> {
    let asked = match refusal::exchange(call, request, answers::read).await {
        Ok(asked) => asked,
        Err(error) => return Err(CheckResult::from_http_error(&error, Reason::SyncFailed)),
    };
    if !refusal::is_refusal(&asked.answer) {
        return Ok(asked.answer);
    }
    let now = call.client.now();
    let outcome = answers::refused(Check::List, &asked, &place.region, now);
    Err(match asked.kind() {
        RefusalKind::Restricted => CheckResult {
            message: format!("the key is genuine, and its IAM policy lacks {right}"),
            ..outcome
        },
        _ => outcome,
    })
}

/// What a model's id names.
#[derive(Debug, PartialEq, Eq)]
enum ModelReference<'a> {
    /// A base model, by its id.
    Base(&'a str),
    /// An inference profile, by its id or ARN.
    Profile(&'a str),
    /// Bought throughput, an imported or tuned model, a router: what has no availability.
    Other,
}

fn named(model_id: &str) -> ModelReference<'_> {
    if let Some(base) = answers::base_id(model_id) {
        return ModelReference::Base(base);
    }
    if model_id.starts_with("arn:") {
        return match model_id.contains("inference-profile/") {
            true => ModelReference::Profile(model_id),
            false => ModelReference::Other,
        };
    }
    match model_id.split_once('.') {
        Some((first, rest)) if GEOGRAPHIES.contains(&first) && rest.contains('.') => {
            ModelReference::Profile(model_id)
        }
        Some(_) => ModelReference::Base(model_id),
        // An application's profile has an id of letters and digits.
        None => ModelReference::Profile(model_id),
    }
}

/// One test of a model.
struct Test<'a> {
    call: &'a Call<'a>,
    model_id: &'a str,
}

impl Test<'_> {
    async fn run(&self) -> Result<CheckResult, CheckResult> {
        let place = place(self.call, Check::Test)?;
        match named(self.model_id) {
            ModelReference::Other => self.converse(&place).await,
            ModelReference::Base(id) => {
                match self.read(&place, "foundation-model-availability", id).await {
                    Ok(answer) => self.judge(&place, &answer, self.model_id),
                    Err(refused) => self.or_converse(&place, refused).await,
                }
            }
            ModelReference::Profile(id) => {
                match self.read(&place, "inference-profiles", id).await {
                    Ok(answer) => self.profile(&place, &answer).await,
                    Err(refused) => self.or_converse(&place, refused).await,
                }
            }
        }
    }

    async fn read(
        &self,
        place: &BedrockHost,
        what: &str,
        id: &str,
    ) -> Result<Response, RefusedCall> {
        let request = control(self.call, place, &[what, id], &[]);
        match refusal::exchange(self.call, request, answers::read).await {
            Ok(asked) if !refusal::is_refusal(&asked.answer) => Ok(asked.answer),
            Ok(asked) => {
                let now = self.call.client.now();
                Err(RefusedCall {
                    // A denied reading says nothing of the model itself.
                    try_it: matches!(
                        asked.kind(),
                        RefusalKind::Restricted | RefusalKind::NoSuchPath
                    ),
                    outcome: answers::refused(Check::Test, &asked, &place.region, now),
                })
            }
            Err(error) => Err(RefusedCall {
                try_it: false,
                outcome: CheckResult::from_http_error(&error, Reason::CheckInconclusive),
            }),
        }
    }

    async fn profile(
        &self,
        place: &BedrockHost,
        answer: &Response,
    ) -> Result<CheckResult, CheckResult> {
        let unreadable = |what: &str| refusal::unreadable(Check::Test, answer, what);
        let body = answers::object(answer).map_err(|what| unreadable(&what))?;
        let behind = answers::behind_profile(&body).map_err(|what| unreadable(&what))?;
        let mut last = None;
        for id in behind.iter().take(MAX_BEHIND_PROFILE) {
            let outcome = match self.read(place, "foundation-model-availability", id).await {
                Ok(answer) => self.judge(place, &answer, id)?,
                Err(refused) => return self.or_converse(place, refused).await,
            };
            if outcome.reason != Reason::ModelListed {
                return Ok(outcome);
            }
            last = Some(outcome);
        }
        last.ok_or_else(|| unreadable("the profile names no model"))
    }

    fn judge(
        &self,
        place: &BedrockHost,
        answer: &Response,
        id: &str,
    ) -> Result<CheckResult, CheckResult> {
        let body = answers::object(answer)
            .map_err(|what| refusal::unreadable(Check::Test, answer, &what))?;
        let region = &place.region;
        let of = match id == self.model_id {
            true => "the model".to_owned(),
            false => "the model behind the profile".to_owned(),
        };
        Ok(match answers::availability(&body) {
            Availability::Granted => CheckResult::of(
                answer,
                Reason::ModelListed,
                format!("AWS lists {of} in {region} and grants it to the account"),
            ),
            Availability::Denied(why) => CheckResult::of(
                answer,
                Reason::ModelAccessDenied,
                format!("the account may not call {of}: {why}"),
            ),
            Availability::Elsewhere if id == self.model_id => CheckResult::of(
                answer,
                Reason::ModelNotFound,
                format!("AWS does not offer the model in {region}; choose another region or id"),
            ),
            // A profile's models may answer from other regions than the one that is asked.
            Availability::Elsewhere => CheckResult::of(
                answer,
                Reason::ModelListed,
                format!("AWS lists the profile in {region}, and {of} elsewhere"),
            ),
            Availability::Open(why) => CheckResult::of(
                answer,
                Reason::CheckInconclusive,
                format!("whether the account may call {of} is not certain: {why}"),
            )
            .with_retry(Retry::Backoff),
        })
    }

    async fn or_converse(
        &self,
        place: &BedrockHost,
        refused: RefusedCall,
    ) -> Result<CheckResult, CheckResult> {
        match refused.try_it {
            true => self.converse(place).await,
            false => Err(refused.outcome),
        }
    }

    /// The smallest answer there is (facts, 5.4).
    async fn converse(&self, place: &BedrockHost) -> Result<CheckResult, CheckResult> {
        let body = json!({
            "messages": [{ "role": "user", "content": [{ "text": "hi" }] }],
            "inferenceConfig": { "maxTokens": 1 },
        });
        let url = signing::url(&place.runtime, &["model", self.model_id, "converse"]);
        let request =
            Request::post_json(url, &body).header(header::ACCEPT.as_str(), "application/json");
        let request = with_key(self.call, place, request);
        let answer = ask(self.call, place, Check::Test, request).await?;
        match answers::object(&answer) {
            Ok(body) if body.get("output").is_some_and(Value::is_object) => Ok(CheckResult::of(
                &answer,
                Reason::ModelAnswered,
                "the model answers",
            )),
            Ok(_) => Err(refusal::unreadable(
                Check::Test,
                &answer,
                "it has no `output`",
            )),
            Err(what) => Err(refusal::unreadable(Check::Test, &answer, &what)),
        }
    }
}

/// A reading that was refused, and whether the model itself is to be asked in its place.
struct RefusedCall {
    try_it: bool,
    outcome: CheckResult,
}

#[cfg(test)]
#[path = "bedrock/driver_tests.rs"]
mod tests;
