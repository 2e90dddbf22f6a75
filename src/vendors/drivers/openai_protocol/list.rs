//! Lists of models: what a page says, and how the next one is asked for.

use std::collections::HashSet;

use serde_json::Value;

use super::{dress, url};
use crate::{
    crd::reasons::Reason,
    vendors::{
        Call, ListedModel, ModelList,
        answers::{
            document,
            refusal::{self, Check, CodeTable},
            result::CheckResult,
        },
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

/// A successful answer as one page, or why it is none.
pub(in crate::vendors) fn read_page(
    answer: &Response,
    read: impl Fn(&Value) -> ListedModel,
) -> Result<Page, String> {
    let body = document::json(answer)?;
    let entries = entries(&body)?;
    let is_entry = |entry: &Value| entry.is_object() || entry.is_string();
    if !entries.is_empty() && !entries.iter().any(is_entry) {
        return Err("none of its entries is a model".to_owned());
    }
    Ok(Page {
        models: entries.iter().map(read).collect(),
        next: next(&body, entries),
    })
}

/// Names under which servers put their lists, `data` before all others (facts, 15.4).
const LISTS: [&str; 5] = ["data", "models", "items", "result", "results"];

/// The entries of a list: an array, or one under a name, or under two.
fn entries(body: &Value) -> Result<&[Value], String> {
    let object = match body {
        Value::Array(entries) => return Ok(entries),
        Value::Object(object) => object,
        _ => return Err("it is neither a list nor an object".to_owned()),
    };
    let mut found = None;
    for name in LISTS {
        match object.get(name) {
            Some(Value::Array(entries)) => return Ok(entries),
            // `"data": null` is how some servers say that there are none.
            Some(Value::Null) => found = found.or(Some(&[][..])),
            Some(Value::Object(inner)) => {
                let inner = LISTS.iter().find_map(|name| inner.get(*name)?.as_array());
                found = inner.map(Vec::as_slice).or(found);
            }
            _ => {}
        }
    }
    match (found, object.contains_key("data")) {
        (Some(entries), _) => Ok(entries),
        (None, true) => Err("its `data` is not a list".to_owned()),
        (None, false) => Err("it has no list `data`".to_owned()),
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

/// A successful answer as a whole list, or why it is none.
pub(in crate::vendors) fn read_list(
    answer: &Response,
    read: impl Fn(&Value) -> ListedModel,
) -> Result<ModelList, CheckResult> {
    let unreadable = |what: &str| refusal::unreadable(Check::List, answer, what);
    let page = read_page(answer, read).map_err(|what| unreadable(&what))?;
    match page.next {
        Next::None => Ok(collect(page.models.into_iter())),
        Next::After(_) | Next::Unnamed => Err(unreadable(MORE_PAGES)),
    }
}

const MORE_PAGES: &str = "it has further pages, and does not say how they are asked for";

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
    let id = match entry {
        // Servers that have nothing else to say of a model.
        Value::String(id) => Some(id.as_str()),
        entry => ["id", "name", "model", "model_id", "modelId", "model_name"]
            .iter()
            .find_map(|name| entry.get(*name)?.as_str()),
    };
    ListedModel {
        id: id.unwrap_or_default().to_owned(),
        ..ListedModel::default()
    }
}

/// A positive whole number of an entry, however it is written: `131072`, `131072.0` or `"131072"`.
pub(in crate::vendors) fn read_count(entry: &Value, name: &str) -> Option<i64> {
    // Above this a float no longer tells whole numbers apart.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let value = entry.get(name)?;
    let number = match value {
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| number.as_f64(), |n| Some(n as f64)),
        Value::String(text) => text.trim().replace([',', '_'], "").parse().ok(),
        _ => None,
    };
    let number = number.filter(|n: &f64| n.fract() == 0.0 && (1.0..=MOST).contains(n))?;
    Some(number as i64)
}

/// Lists models, page by page where there are several.
pub(in crate::vendors) async fn list(
    call: &Call<'_>,
    table: CodeTable,
    read: impl Fn(&Value) -> ListedModel + Send,
) -> Result<ModelList, CheckResult> {
    let mut models = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut url = url(call.base_url, &["models"]);
        if let Some(id) = &after {
            url.query_pairs_mut().append_pair("after", id);
        }
        let answer = refusal::ask(call, Check::List, dress(call, Request::get(url)), table).await?;
        let unreadable = |what: &str| refusal::unreadable(Check::List, &answer, what);
        let page = read_page(&answer, &read).map_err(|what| unreadable(&what))?;
        models.extend(page.models);
        after = match page.next {
            Next::None => return Ok(collect(models.into_iter())),
            Next::After(id) if after.as_ref() != Some(&id) => Some(id),
            Next::After(_) | Next::Unnamed => return Err(unreadable(MORE_PAGES)),
        };
    }
    let message = format!("the model list has more than {MAX_PAGES} pages");
    Err(CheckResult::new(Reason::SyncFailed, message))
}
