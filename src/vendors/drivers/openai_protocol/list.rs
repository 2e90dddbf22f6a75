//! Lists of models: what a page says, and how the next one is asked for.

use std::collections::HashSet;

use serde_json::Value;

use super::{ErrorBody, dress, outcome, send, url};
use crate::{
    crd::reasons::Reason,
    vendors::{
        Call, ListedModel, ModelList,
        answers::result::{CheckResult, Retry},
        http::client::{Request, Response},
    },
};

/// Pages that are read before a list counts as endless.
const MAX_PAGES: usize = 100;

/// Longest id of a model that is taken, in characters.
const MAX_ID_CHARS: usize = 256;

/// One page of a list; mostly there is no other.
pub(in crate::vendors) struct Page {
    pub models: Vec<ListedModel>,
    next: Next,
}

/// What a page says of the next one.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// This is the last.
    None,
    /// It begins after this id (facts, 3.1).
    After(String),
    /// There is one, and it is not said how it is asked for.
    Unnamed,
}

/// The list call's answer as one page, or why it is none.
pub(in crate::vendors) fn read_page(
    answer: &Response,
    read: impl Fn(&Value) -> ListedModel,
) -> Result<Page, CheckResult> {
    if !answer.status.is_success() || ErrorBody::read(answer).is_error {
        return Err(refused_list(answer));
    }
    let failed = |what: &str| Err(unreadable_list(answer, what));
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return failed("the answer is not JSON");
    };
    match body.get("data") {
        Some(Value::Array(entries)) => Ok(Page {
            models: entries.iter().map(read).collect(),
            next: next(&body, entries),
        }),
        // `"data": null` is how some servers say that there are none.
        Some(Value::Null) => Ok(Page {
            models: Vec::new(),
            next: next(&body, &[]),
        }),
        Some(_) => failed("`data` is not a list"),
        None => failed("the answer has no `data`"),
    }
}

fn next(body: &Value, entries: &[Value]) -> Next {
    let text = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    };
    if body.get("has_more") == Some(&Value::Bool(true)) {
        let last = entries.last().and_then(|entry| entry.get("id"));
        let last = text(body.get("last_id")).or_else(|| text(last));
        return last.map_or(Next::Unnamed, Next::After);
    }
    // Nobody's protocol says how these are followed.
    let named = ["next", "next_page_token", "nextPageToken", "next_page"];
    match named.iter().any(|name| text(body.get(*name)).is_some()) {
        true => Next::Unnamed,
        false => Next::None,
    }
}

/// The list call's answer as a whole list, or why it is none.
pub(in crate::vendors) fn read_list(
    answer: &Response,
    read: impl Fn(&Value) -> ListedModel,
) -> Result<ModelList, CheckResult> {
    let page = read_page(answer, read)?;
    match page.next {
        Next::None => Ok(collect(page.models.into_iter())),
        Next::After(_) | Next::Unnamed => Err(unreadable_list(answer, MORE_PAGES)),
    }
}

const MORE_PAGES: &str = "it has further pages, and does not say how they are asked for";

/// A refusal of the list call.
pub(in crate::vendors) fn refused_list(answer: &Response) -> CheckResult {
    let status = answer.status.as_u16();
    let message = format!("the model list could not be read: the vendor answered HTTP {status}");
    let retry = answer.retry_after().map_or(Retry::Backoff, Retry::After);
    outcome(answer, Reason::SyncFailed, message).with_retry(retry)
}

/// A successful answer that is no list.
pub(in crate::vendors) fn unreadable_list(answer: &Response, what: &str) -> CheckResult {
    let message = format!("the model list could not be read: {what}");
    outcome(answer, Reason::SyncFailed, message).with_retry(Retry::Backoff)
}

/// Each id once, and each capability of it once; what cannot be an id is counted.
pub(in crate::vendors) fn collect(models: impl Iterator<Item = ListedModel>) -> ModelList {
    let mut list = ModelList::default();
    let mut seen = HashSet::new();
    for mut model in models {
        if let Some(capabilities) = &mut model.capabilities {
            let mut named = HashSet::new();
            capabilities.retain(|capability| named.insert(capability.name));
        }
        let id = model.id.as_str();
        if id.is_empty() || id.chars().count() > MAX_ID_CHARS || id.chars().any(char::is_control) {
            list.skipped += 1;
        } else if seen.insert(model.id.clone()) {
            list.models.push(model);
        }
    }
    list
}

/// A list's entry of which nothing but the id is told.
pub(in crate::vendors) fn read_id(entry: &Value) -> ListedModel {
    let id = entry
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    ListedModel {
        id,
        ..ListedModel::default()
    }
}

/// A positive whole number of an entry.
pub(in crate::vendors) fn read_count(entry: &Value, name: &str) -> Option<i64> {
    entry.get(name).and_then(Value::as_i64).filter(|n| *n > 0)
}

/// Lists models, page by page where there are several.
pub(in crate::vendors) async fn list(
    call: &Call<'_>,
    read: impl Fn(&Value) -> ListedModel + Send,
) -> Result<ModelList, CheckResult> {
    let mut models = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut url = url(call.base_url, &["models"]);
        if let Some(id) = &after {
            url.query_pairs_mut().append_pair("after", id);
        }
        let answer = send(call, dress(call, Request::get(url)))
            .await
            .map_err(|error| CheckResult::from_http_error(&error, Reason::SyncFailed))?;
        let page = read_page(&answer, &read)?;
        models.extend(page.models);
        after = match page.next {
            Next::None => return Ok(collect(models.into_iter())),
            Next::After(id) if after.as_ref() != Some(&id) => Some(id),
            Next::After(_) | Next::Unnamed => return Err(unreadable_list(&answer, MORE_PAGES)),
        };
    }
    let message = format!("the model list has more than {MAX_PAGES} pages");
    Err(CheckResult::new(Reason::SyncFailed, message))
}
