//! What agents asked for, as `GET /needs` and `llmplane needs` tell it. Pure.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::read_resolve_request;
use crate::db::CountedNeed;
use crate::resolve::{Request, Tier};

/// Requests for one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedFor {
    /// Where it was looked for: lists of namespaces, those of a later list only where an earlier one has nothing.
    pub namespaces: Vec<Vec<String>>,
    /// The body of `POST /resolve` in one form.
    pub need: Value,
    /// How many requests.
    pub count: i64,
    /// The last day on which one came.
    #[serde(default)]
    pub last_day: Option<String>,
}

/// What was asked for in some days.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// All that was counted apart.
    pub items: Vec<AskedFor>,
    /// Requests beyond that, where it is known.
    #[serde(default)]
    pub counted_together: Option<i64>,
    /// Days that were counted.
    pub days: i32,
}

/// Why a file of needs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NeedsError {
    /// It is not what `llmplane needs` prints.
    #[error("is not what llmplane needs prints, or GET /needs answers: {0}")]
    Form(#[from] serde_json::Error),
    /// It holds one page of several.
    #[error(
        "is one page of several (next_cursor is not null): give all of them, each with a --needs of its own, or what \
         llmplane needs prints"
    )]
    Part,
}

impl Needs {
    /// Of the files' texts: each what `llmplane needs` prints, or a page of `GET /needs`.
    ///
    /// # Errors
    /// Where one is something else, or the last page is missing.
    pub fn read(texts: &[String]) -> Result<Self, NeedsError> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(flatten)]
            needs: Needs,
            next_cursor: Option<String>,
        }
        let mut all = Self::default();
        let mut is_whole = texts.is_empty();
        for text in texts {
            let page: Page = serde_json::from_str(text)?;
            all.items.extend(page.needs.items);
            all.days = all.days.max(page.needs.days);
            all.counted_together = all.counted_together.or(page.needs.counted_together);
            is_whole |= page.next_cursor.is_none();
        }
        match is_whole {
            true => Ok(all),
            false => Err(NeedsError::Part),
        }
    }

    /// How many requests, but for those that are counted together.
    pub fn requests(&self) -> i64 {
        self.items.iter().map(|asked| asked.count).sum()
    }
}

impl From<CountedNeed> for AskedFor {
    fn from(row: CountedNeed) -> Self {
        Self {
            namespaces: serde_json::from_value(row.namespaces).unwrap_or_default(),
            need: row.need,
            count: row.count,
            last_day: Some(row.last_day),
        }
    }
}

impl AskedFor {
    /// The request; `None`: it is one that this release does not know.
    pub fn request(&self) -> Option<Request> {
        let body = serde_json::to_vec(&self.need).ok()?;
        read_resolve_request(&body).ok().map(|read| read.asked)
    }

    /// Where it looks.
    pub fn tiers(&self) -> Vec<Tier> {
        let tier = |names: &Vec<String>| match names.iter().any(|name| name == "*") {
            true => Tier::All,
            false => Tier::Namespaces(names.iter().map(|name| Arc::from(name.as_str())).collect()),
        };
        self.namespaces.iter().map(tier).collect()
    }

    /// Where it looks, in a word or two.
    pub fn places(&self) -> String {
        let lists = self.namespaces.iter().map(|names| names.join(", "));
        match lists.collect::<Vec<_>>().join(", else ") {
            all if all == "*" => "all namespaces".to_owned(),
            names => names,
        }
    }

    /// What is asked for, in a line.
    pub fn title(&self) -> String {
        let (mut said, mut key) = (Vec::new(), "");
        for (field, value) in self.need.as_object().into_iter().flatten() {
            match field.as_str() {
                "with_secret" => key = ", with a key",
                "model" | "class" => said.push(format!("{field} {value}")),
                _ => said.push(format!("{field}: {value}")),
            }
        }
        format!("{}{key}", said.join(", "))
    }
}
