//! A reader of `GET /watch`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::RequestBuilder;
use serde_json::Value;

/// Longest wait for an event: two heartbeats.
const SILENCE: Duration = Duration::from_secs(30);

/// An event, as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: Value,
}

/// A stream of events.
pub struct Events {
    bytes: BoxStream<'static, Vec<u8>>,
    held: String,
    /// The `retry` that was heard last, in milliseconds.
    pub retry: Option<u64>,
    /// The `id` that was heard last.
    pub last_id: Option<String>,
}

impl Events {
    /// Opens a stream, which is 200.
    pub async fn open(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let status = answer.status();
        if status != 200 {
            panic!("{status}: {}", answer.text().await.unwrap());
        }
        let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        let bytes = answer.bytes_stream();
        let bytes = bytes.take_while(|part| std::future::ready(part.is_ok()));
        Self {
            bytes: bytes.map(|part| part.unwrap().to_vec()).boxed(),
            held: String::new(),
            retry: None,
            last_id: None,
        }
    }

    /// The next event; none where the stream ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.held.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.held = rest;
                if let Some(event) = self.read(&block) {
                    return Some(event);
                }
            }
            let part = tokio::time::timeout(SILENCE, self.bytes.next());
            let part = part.await.expect("something comes at each heartbeat")?;
            self.held.push_str(std::str::from_utf8(&part).unwrap());
        }
    }

    /// As the standard has it: without data there is no event.
    fn read(&mut self, block: &str) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, String::new(), String::new());
        for line in block.lines() {
            let (field, value) = line.split_once(':').expect("a field");
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => id = Some(value.to_owned()),
                "event" => value.clone_into(&mut name),
                "data" => data.push_str(value),
                "retry" => self.retry = value.parse().ok(),
                // A comment.
                "" => {}
                _ => panic!("{line}"),
            }
        }
        // Who forgets everything forgets that too.
        if id.is_some() || name == "reset" {
            self.last_id.clone_from(&id);
        }
        (!data.is_empty()).then(|| Event {
            id,
            name,
            data: serde_json::from_str(&data).unwrap(),
        })
    }

    /// The next event that is no heartbeat.
    pub async fn change(&mut self) -> Option<Event> {
        loop {
            let event = self.next().await?;
            if event.name != "heartbeat" {
                return Some(event);
            }
        }
    }

    /// Reads on to the next event with an `id`; answers those on the way.
    pub async fn until_id(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("the stream goes on");
            let is_whole = event.id.is_some();
            events.push(event);
            if is_whole {
                return events;
            }
        }
    }

    /// Reads to the end of the stream.
    pub async fn until_end(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// What a reader holds, by kind and UID.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held(pub BTreeMap<(String, String), Value>);

impl Held {
    pub fn apply(&mut self, event: &Event) {
        let text = |field: &str| event.data[field].as_str().unwrap().to_owned();
        match event.name.as_str() {
            "upsert" => {
                let key = (text("kind"), text("id"));
                self.0.insert(key, event.data["row"].clone());
            }
            "delete" => {
                self.0.remove(&(text("kind"), text("id")));
            }
            "reset" => self.0.clear(),
            "heartbeat" => {}
            other => panic!("no such event: {other}"),
        }
    }

    /// Names of the rows of a kind, in order.
    pub fn names(&self, kind: &str) -> Vec<String> {
        let of_kind = self.0.iter().filter(|((of, _), _)| of == kind);
        let name = |row: &Value| row["name"].as_str().unwrap().to_owned();
        let mut names: Vec<_> = of_kind.map(|(_, row)| name(row)).collect();
        names.sort();
        names
    }
}
