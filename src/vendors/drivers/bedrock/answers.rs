//! What Bedrock's answers say (facts, 5.1 and 5.3).

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    crd::model::{Modality, ModelType},
    public_lists::modalities,
    vendors::{
        ListedModel,
        answers::{
            document,
            error_body::{ErrorBody, Form},
            moment,
            refusal::{Check, Exchanged, RefusalKind},
            result::{CheckResult, Retry},
        },
        http::{client::Response, redaction},
    },
};

/// Seconds by which clocks may differ before a refused signature is blamed on them. AWS's services
/// take 5 or 15 minutes.
const CLOCK_TOLERANCE: i64 = 5 * 60;

/// An error as AWS writes it: the code in a header or in the body, the text in either spelling.
struct AwsError {
    code: Option<String>,
    text: String,
}

impl AwsError {
    fn read(answer: &Response) -> Self {
        let body = document::json(answer).unwrap_or_default();
        let member = |name: &str| body.get(name).and_then(Value::as_str);
        let code = answer
            .header("x-amzn-errortype")
            .or_else(|| member("code"))
            .or_else(|| member("__type"))
            .map(bare)
            .filter(|code| !code.is_empty());
        let text = member("message").or_else(|| member("Message"));
        Self {
            code: code.map(str::to_owned),
            text: text.unwrap_or_default().to_ascii_lowercase(),
        }
    }

    fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    fn says(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// A bearer key that is no key comes without a code, or with that of a denial.
    fn refuses_the_key(&self) -> bool {
        self.says("authentication failed")
            || self.says("bearer token has expired")
            || self.says("security token included in the request is")
    }

    fn blames_the_clock(&self) -> bool {
        self.says("signature expired") || self.says("signature not yet current")
    }
}

/// The code without its namespace (`com.amazon...#`) and what follows a colon.
fn bare(code: &str) -> &str {
    let code = code.split(':').next().unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default().trim()
}

/// AWS's codes, which may stand in a header alone.
pub(super) fn read(answer: &Response, _: &ErrorBody) -> Option<RefusalKind> {
    let error = AwsError::read(answer);
    let status = answer.status.as_u16();
    Some(match error.code.as_deref() {
        // A gateway's page may well speak of a clock or of authentication, and is no JSON.
        _ if error.blames_the_clock() => RefusalKind::Unclear,
        Some("AccessDeniedException" | "AccessDenied") | None
            if status == 403 && error.refuses_the_key() =>
        {
            RefusalKind::BadKey
        }
        Some(
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "IncompleteSignature"
            | "IncompleteSignatureException",
        ) => RefusalKind::BadKey,
        Some("AccessDeniedException" | "AccessDenied" | "FTUFormNotFilled") => {
            RefusalKind::Restricted
        }
        Some("ResourceNotFoundException") => RefusalKind::NoModel,
        Some("ValidationException") if names_no_model(&error) => RefusalKind::NoModel,
        Some("ServiceQuotaExceededException") => RefusalKind::Quota,
        Some(
            "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "ModelNotReadyException",
        ) => RefusalKind::RateLimited,
        Some(
            "InternalServerException"
            | "InternalFailure"
            | "ServiceUnavailableException"
            | "ServiceUnavailable"
            | "ModelTimeoutException"
            | "ModelErrorException",
        ) => RefusalKind::Down,
        Some("UnknownOperationException") => RefusalKind::NoSuchPath,
        Some("RequestExpired" | "RequestTimeTooSkewed" | "ValidationException") => {
            RefusalKind::Unclear
        }
        None if status == 403 && error.says("is not authorized to perform") => {
            RefusalKind::Restricted
        }
        // What AWS says to a request without a key.
        Some("MissingAuthenticationToken" | "MissingAuthenticationTokenException") => {
            RefusalKind::Unclear
        }
        _ if error.says("missing authentication token") => RefusalKind::Unclear,
        _ => return None,
    })
}

/// Whether an answer is AWS's own, a refusal included: the runtime host has nothing at its root.
pub(super) fn is_aws(asked: &Exchanged) -> bool {
    let answer = &asked.answer;
    let marked = ["x-amzn-requestid", "x-amzn-errortype"];
    let is_marked = marked.iter().any(|name| answer.header(name).is_some());
    match asked.kind() {
        RefusalKind::Down | RefusalKind::Page => false,
        _ => is_marked || ErrorBody::read(answer).form == Form::Json,
    }
}

fn names_no_model(error: &AwsError) -> bool {
    error.says("on-demand throughput") || error.says("model identifier is invalid")
}

/// What a refusal means, in words that name what to fix; `region` is the endpoint's, `now` this
/// machine's time.
pub(super) fn refused(
    check: Check,
    asked: &Exchanged,
    region: &str,
    now: Timestamp,
) -> CheckResult {
    let answer = &asked.answer;
    let error = AwsError::read(answer);
    let outcome = asked.refused(check);
    let outcome = outcome.with_code(error.code.as_deref().and_then(redaction::word));
    if let Some(message) = clock(&error, answer, now) {
        return CheckResult {
            reason: check.inconclusive(),
            message,
            ..outcome.with_retry(Retry::Backoff)
        };
    }
    let message = match (asked.kind(), error.code.as_deref()) {
        (RefusalKind::BadKey, Some("UnrecognizedClientException" | "InvalidClientTokenId")) => {
            "AWS does not know the access key id, or does not take its session token; put a valid \
             key in the Secret"
                .to_owned()
        }
        (RefusalKind::BadKey, Some("InvalidSignatureException" | "SignatureDoesNotMatch")) => {
            "the secret key does not belong to the access key id; put a valid pair in the Secret"
                .to_owned()
        }
        (RefusalKind::BadKey, Some("ExpiredTokenException" | "ExpiredToken")) => {
            "the session token has expired; put fresh keys in the Secret".to_owned()
        }
        (RefusalKind::BadKey, _) if error.refuses_the_key() => format!(
            "AWS rejects the API key: it is wrong, expired, or for another region than {region}"
        ),
        (RefusalKind::Restricted, Some("FTUFormNotFilled")) => {
            "the model's vendor wants its use-case form filled in first, in the Bedrock console"
                .to_owned()
        }
        (RefusalKind::Restricted, _) if check == Check::Validate => {
            "the key is genuine, and may not list models: its IAM policy lacks \
             bedrock:ListFoundationModels"
                .to_owned()
        }
        (RefusalKind::NoModel, _) if error.says("on-demand throughput") => {
            "the model answers only by an inference profile; write the profile's id, for example \
             with us. or global. before the model's, in modelId"
                .to_owned()
        }
        (RefusalKind::NoModel, _) if check == Check::Test => {
            format!("Bedrock has no such model in {region}, or none any more; check modelId")
        }
        _ => outcome.message.clone(),
    };
    CheckResult { message, ..outcome }
}

/// Where a signature is refused for its time: whose clock is off, and by how much.
fn clock(error: &AwsError, answer: &Response, now: Timestamp) -> Option<String> {
    let of_signatures = error.is("InvalidSignatureException") || error.is("SignatureDoesNotMatch");
    let of_time = error.is("RequestExpired") || error.is("RequestTimeTooSkewed");
    let theirs = answer.header("date").and_then(|date| {
        jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(date)
            .ok()
    });
    let ahead = theirs.map(|theirs| now.as_second() - theirs.as_second());
    let off = ahead.is_some_and(|seconds| seconds.abs() > CLOCK_TOLERANCE);
    if !(error.blames_the_clock() || of_time || of_signatures && off) {
        return None;
    }
    let by = match ahead.filter(|_| off) {
        Some(seconds) => format!(
            "about {} minutes {} AWS's",
            (seconds.abs() + 30) / 60,
            if seconds > 0 { "ahead of" } else { "behind" }
        ),
        None if error.says("not yet current") => "ahead of AWS's".to_owned(),
        None if error.says("signature expired") => "behind AWS's".to_owned(),
        None => "too far from AWS's".to_owned(),
    };
    Some(format!(
        "AWS refuses the signature's time, which says nothing of the key: this machine's clock is \
         {by}; set it (NTP)"
    ))
}

/// An answer's JSON object.
pub(super) fn object(answer: &Response) -> Result<Value, String> {
    match document::json(answer)? {
        body @ Value::Object(_) => Ok(body),
        _ => Err("it is not a JSON object".to_owned()),
    }
}

/// The entries of a list under its name, and the document around it; `null` is how an empty one may
/// be written.
fn entries<T>(
    answer: &Response,
    name: &str,
    read: impl Fn(&Value) -> T,
) -> Result<(Vec<T>, Value), String> {
    let list = document::list(answer, &[&[name]], read)?;
    match (list.entries, list.document.get(name)) {
        (Some(entries), Some(_)) => Ok((entries, list.document)),
        (None, Some(Value::Null)) => Ok((Vec::new(), list.document)),
        (_, Some(_)) => Err(format!("its `{name}` is not a list")),
        (_, None) if list.document.is_object() => Err(format!("it has no list `{name}`")),
        (_, None) => Err("it is not a JSON object".to_owned()),
    }
}

/// The base models that can be called by their own ids. One that only a profile or bought
/// throughput reaches is not among them. One that is `LEGACY` is: it answers until its end.
pub(super) fn base_models(answer: &Response) -> Result<Vec<ListedModel>, String> {
    let on_demand = |entry: &Value| match entry.get("inferenceTypesSupported") {
        Some(Value::Array(types)) => types.iter().any(|t| t.as_str() == Some("ON_DEMAND")),
        _ => true,
    };
    let read = |entry: &Value| on_demand(entry).then(|| base_model(entry));
    let (models, _) = entries(answer, "modelSummaries", read)?;
    Ok(models.into_iter().flatten().collect())
}

/// Kinds are open words here; of text alone nobody knows whether it chats or ranks.
fn base_model(entry: &Value) -> ListedModel {
    let outputs = entry.get("outputModalities").and_then(Value::as_array);
    let only = match outputs.map(Vec::as_slice) {
        Some([one]) => one.as_str(),
        _ => None,
    };
    ListedModel {
        id: text(entry, "modelId").unwrap_or_default(),
        display_name: text(entry, "modelName"),
        type_: match only {
            Some("EMBEDDING") => Some(ModelType::Embedding),
            Some("IMAGE") => Some(ModelType::Image),
            _ => None,
        },
        modalities: modalities(entry, ["/inputModalities", "/outputModalities"], form),
        deprecated_at: of_life(entry, "legacyTime"),
        retires_at: of_life(entry, "endOfLifeTime"),
        ..ListedModel::default()
    }
}

fn of_life(entry: &Value, name: &str) -> Option<Timestamp> {
    moment::read(entry.get("modelLifecycle")?, name)
}

/// An embedding is no form that is known here.
fn form(word: &str) -> Option<Modality> {
    match word {
        "TEXT" => Some(Modality::Text),
        "IMAGE" => Some(Modality::Image),
        "VIDEO" => Some(Modality::Video),
        "AUDIO" | "SPEECH" => Some(Modality::Audio),
        _ => None,
    }
}

/// The end of each base model that is told of, also of those that are not called by their own ids: a profile's
/// is that of the model behind it.
pub(super) fn ends(answer: &Response) -> HashMap<String, ListedModel> {
    let (models, _) = entries(answer, "modelSummaries", base_model).unwrap_or_default();
    let models = models.into_iter();
    models.map(|model| (model.id.clone(), model)).collect()
}

/// Gives profiles what is said of the models behind them.
pub(super) fn complete(profiles: &mut [ListedModel], base: &HashMap<String, ListedModel>) {
    for profile in profiles {
        let behind = profile.base_model.as_ref().and_then(|id| base.get(id));
        if let Some(model) = behind {
            profile.modalities = model.modalities.clone();
            profile.type_ = model.type_;
            profile.deprecated_at = model.deprecated_at;
            profile.retires_at = model.retires_at;
        }
    }
}

/// One page of inference profiles.
pub(super) struct Profiles {
    pub models: Vec<ListedModel>,
    pub next: Option<String>,
}

/// The profiles of a page that are active, and the token of the next page.
pub(super) fn profiles(answer: &Response) -> Result<Profiles, String> {
    let is_active = |entry: &Value| !matches!(entry.get("status").and_then(Value::as_str), Some(status) if status != "ACTIVE");
    let (models, body) = entries(answer, "inferenceProfileSummaries", |entry| {
        is_active(entry).then(|| ListedModel {
            id: text(entry, "inferenceProfileId").unwrap_or_default(),
            display_name: text(entry, "inferenceProfileName"),
            base_model: one_base(entry),
            ..ListedModel::default()
        })
    })?;
    let models = models.into_iter().flatten().collect();
    let next = text(&body, "nextToken").filter(|token| !token.is_empty());
    Ok(Profiles { models, next })
}

/// The one base model behind a profile, however many regions it is served in.
fn one_base(entry: &Value) -> Option<String> {
    let models = entry.get("models").and_then(Value::as_array)?;
    let mut ids = models
        .iter()
        .map(|model| base_id(model.get("modelArn")?.as_str()?));
    let first = ids.next()??;
    ids.all(|id| id == Some(first)).then(|| first.to_owned())
}

/// The base models behind an active profile, each once.
pub(super) fn behind_profile(body: &Value) -> Result<Vec<String>, String> {
    if text(body, "status").is_some_and(|status| status != "ACTIVE") {
        return Err("the profile is not active".to_owned());
    }
    let models = body.get("models").and_then(Value::as_array);
    let mut ids: Vec<String> = (models.ok_or("it has no list `models`")?.iter())
        .filter_map(|model| base_id(model.get("modelArn")?.as_str()?).map(str::to_owned))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Err("the profile names no model".to_owned());
    }
    Ok(ids)
}

/// The id in a base model's ARN.
pub(super) fn base_id(arn: &str) -> Option<&str> {
    let (_, id) = arn.split_once(":foundation-model/")?;
    (arn.starts_with("arn:") && !id.is_empty()).then_some(id)
}

/// What an availability answer says of a base model.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// All four words are good.
    Granted,
    /// The account may not call it, and why.
    Denied(&'static str),
    /// Not in this region.
    Elsewhere,
    /// Nothing certain yet, and why.
    Open(&'static str),
}

pub(super) fn availability(body: &Value) -> Availability {
    use Availability::{Denied, Elsewhere, Granted, Open};
    let word = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    match word("/regionAvailability") {
        Some("AVAILABLE") => {}
        Some("NOT_AVAILABLE") => return Elsewhere,
        _ => return Open("its answer has no regionAvailability that is known"),
    }
    match word("/agreementAvailability/status") {
        Some("AVAILABLE") => {}
        Some("NOT_AVAILABLE") => return Denied("its agreement is not accepted"),
        Some("PENDING") => return Open("its agreement is being made"),
        Some("ERROR") => return Open("its agreement failed; see the Bedrock console"),
        _ => return Open("its answer has no agreementAvailability that is known"),
    }
    match word("/authorizationStatus") {
        Some("AUTHORIZED") => {}
        Some("NOT_AUTHORIZED") => return Denied("the account is not authorised for it"),
        _ => return Open("its answer has no authorizationStatus that is known"),
    }
    match word("/entitlementAvailability") {
        Some("AVAILABLE") => Granted,
        Some("NOT_AVAILABLE") => Denied("the account is not entitled to it"),
        _ => Open("its answer has no entitlementAvailability that is known"),
    }
}

fn text(entry: &Value, name: &str) -> Option<String> {
    entry.get(name).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
