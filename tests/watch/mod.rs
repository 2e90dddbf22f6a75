//! `GET /watch`: what a reader is told, and when it no longer is.

mod ends;
mod events;
mod limits;
mod resume;

use reqwest::{Client, RequestBuilder};

use crate::support::api::{Caller, KINDS, TestApi};
use crate::support::events::{Event, Events, Held};

/// The kinds, in the order in which they are told.
const KIND_WORDS: [&str; 5] = [
    "LlmProvider",
    "LlmEndpoint",
    "LlmCredential",
    "LlmModel",
    "LlmModelClass",
];

fn watch(api: &TestApi, token: &str, query: &str) -> RequestBuilder {
    let url = format!("{}/api/v1/watch{query}", api.url);
    Client::new().get(url).bearer_auth(token)
}

/// A stream of somebody's, from its beginning or behind an id.
async fn open(api: &TestApi, token: &str, query: &str, last_id: Option<&str>) -> Events {
    let request = watch(api, token, query);
    Events::open(match last_id {
        Some(id) => request.header("last-event-id", id),
        None => request,
    })
    .await
}

async fn watcher(api: &TestApi) -> Caller<'_> {
    let verbs = ["get", "list", "watch"];
    api.account("watcher", &verbs, &KINDS).await
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// Follows a stream until it holds what is told up to a revision.
async fn follow(events: &mut Events, held: &mut Held, revision: i64) {
    let reached = |events: &Events| {
        let last = events.last_id.as_deref();
        last.is_some_and(|id| id.parse::<i64>().unwrap() >= revision)
    };
    while !reached(events) {
        let event = events.next().await.expect("the stream goes on");
        held.apply(&event);
    }
}
