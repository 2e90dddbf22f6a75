//! Lists of models: what a page says, and how the next one is asked for.

use serde_json::Value;

use super::{dress, url};
use crate::{
    crd::reasons::Reason,
    vendors::{
        Call, ListedModel, ModelList,
        answers::{
            document,
            model_list::ModelListBuilder,
            refusal::{self, Check, CodeTable},
            result::CheckResult,
        },
        http::client::{Request, Response},
    },
};

/// Pages that are read before a list counts as endless.
const MAX_PAGES: usize = 100;

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
    let nested = LISTS.map(|name| LISTS.map(|inner| [name, inner]));
    let direct = LISTS.iter().map(std::slice::from_ref);
    let paths: Vec<&[&str]> = direct
        .chain(nested.iter().flatten().map(|path| &path[..]))
        .collect();
    let is_entry = |entry: &Value| entry.is_object() || entry.is_string();
    let list = document::list(answer, &paths, |entry| (is_entry(entry), read(entry)))?;
    let Some(entries) = list.entries else {
        return without_list(&list.document);
    };
    if !entries.is_empty() && !entries.iter().any(|(is_entry, _)| *is_entry) {
        return Err("none of its entries is a model".to_owned());
    }
    let models: Vec<_> = entries.into_iter().map(|(_, model)| model).collect();
    Ok(Page {
        next: next(&list.document, models.last()),
        models,
    })
}

/// Names under which servers put their lists, `data` before all others (facts, 15.4): an array, or
/// an object with an array under one of these names.
const LISTS: [&str; 5] = ["data", "models", "items", "result", "results"];

/// What a document says in which there is no list.
fn without_list(document: &Value) -> Result<Page, String> {
    let Value::Object(object) = document else {
        return Err("it is neither a list nor an object".to_owned());
    };
    // `"data": null` is how some servers say that there are none.
    if LISTS
        .iter()
        .any(|name| object.get(*name) == Some(&Value::Null))
    {
        return Ok(Page {
            models: Vec::new(),
            next: next(document, None),
        });
    }
    Err(match object.contains_key("data") {
        true => "its `data` is not a list".to_owned(),
        false => "it has no list `data`".to_owned(),
    })
}

fn next(body: &Value, last: Option<&ListedModel>) -> Next {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).and_then(some);
    if body.get("has_more") == Some(&Value::Bool(true)) {
        let last = text(body.get("last_id")).or_else(|| some(&last?.id));
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
        Next::None => {
            let mut list = ModelListBuilder::default();
            list.add(page.models)
                .map_err(|why| unreadable(why.into()))?;
            Ok(list.finish())
        }
        Next::After(_) | Next::Unnamed => Err(unreadable(MORE_PAGES)),
    }
}

const MORE_PAGES: &str = "it has further pages, and does not say how they are asked for";

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
    let mut list = ModelListBuilder::default();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut url = url(call.base_url, &["models"]);
        if let Some(id) = &after {
            url.query_pairs_mut().append_pair("after", id);
        }
        let answer = refusal::ask(call, Check::List, dress(call, Request::get(url)), table).await?;
        let unreadable = |what: &str| refusal::unreadable(Check::List, &answer, what);
        let page = read_page(&answer, &read).map_err(|what| unreadable(&what))?;
        list.add(page.models)
            .map_err(|why| unreadable(why.into()))?;
        after = match page.next {
            Next::None => return Ok(list.finish()),
            Next::After(id) if after.as_ref() != Some(&id) => Some(id),
            Next::After(_) | Next::Unnamed => return Err(unreadable(MORE_PAGES)),
        };
    }
    let message = format!("the model list has more than {MAX_PAGES} pages");
    Err(CheckResult::new(Reason::SyncFailed, message))
}
