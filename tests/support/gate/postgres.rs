//! A proxy in front of PostgreSQL that reads along: the frontend's messages say what is run, the
//! backend's say whether that is inside a transaction, so that the moments at which something
//! becomes durable are seen: each COMMIT, and each writing statement outside a transaction.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};
use url::Url;

use super::Gate;

/// A running proxy; it ends when dropped.
pub struct PostgresProxy {
    url: String,
    executed: Executed,
    altered: Altered,
    task: JoinHandle<()>,
}

/// What the server's answers say, and what is passed on in its place: as many bytes.
type Altered = Arc<Mutex<Option<(Vec<u8>, Vec<u8>)>>>;

/// The statements that were executed, as text.
type Executed = Arc<Mutex<Vec<String>>>;

impl PostgresProxy {
    /// In front of the server that this URL names; without TLS, for it reads along.
    pub async fn start(gate: Arc<Gate>, url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        assert!(url.query().unwrap_or_default().contains("sslmode=disable"));
        let upstream = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port()))
            .unwrap();
        let executed = Executed::default();
        let record = executed.clone();
        let altered = Altered::default();
        let alter = altered.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Ok(server) = TcpStream::connect(&upstream).await else {
                    continue;
                };
                let session = (record.clone(), alter.clone());
                tokio::spawn(carry(gate.clone(), session, client, server));
            }
        });
        Self {
            url: url.to_string(),
            executed,
            altered,
            task,
        }
    }

    /// From now on the server's answers say `to` where they would say `from`.
    pub fn alter(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len(), "messages keep their lengths");
        *self.altered.lock().unwrap() = Some((from.into(), to.into()));
    }

    /// The URL of whoever is to go through here.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every statement that was executed, in the order of arrival.
    pub fn executed(&self) -> Vec<String> {
        self.executed.lock().unwrap().clone()
    }
}

impl Drop for PostgresProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of a session.
#[derive(Default)]
struct Session {
    in_transaction: bool,
    statements: HashMap<String, String>,
    portals: HashMap<String, String>,
    /// The tables that the open transaction has written to.
    wrote: Vec<String>,
    /// The write whose answer is awaited.
    awaited: Option<usize>,
}

/// Both directions, until one of them ends or the process is dead; both connections end with it, so
/// that the server undoes what was not committed.
async fn carry(
    gate: Arc<Gate>,
    (executed, altered): (Executed, Altered),
    client: TcpStream,
    server: TcpStream,
) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let session = Arc::new(Mutex::new(Session::default()));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = forth(&gate, &session, &executed, from_client, to_server) => {}
        _ = back(&gate, &session, &altered, from_server, to_client) => {}
        () = gate.killed() => {}
    }
}

/// Errors end the connection; `None` is one.
async fn forth(
    gate: &Gate,
    session: &Mutex<Session>,
    executed: &Mutex<Vec<String>>,
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) -> Option<()> {
    let mut from = BufReader::new(from);
    // The first message has no type.
    let start = body(&mut from).await?;
    to.write_all(&start).await.ok()?;
    loop {
        let (kind, message) = message(&mut from).await?;
        let text = session.lock().unwrap().executes(kind, &message[5..]);
        if let Some(text) = text {
            let durable = session.lock().unwrap().made_durable_by(&text);
            executed.lock().unwrap().push(text);
            if let Some(what) = durable {
                let number = gate.arrive(what).await?;
                session.lock().unwrap().awaited = Some(number);
            }
        }
        to.write_all(&message).await.ok()?;
    }
}

async fn back(
    gate: &Gate,
    session: &Mutex<Session>,
    altered: &Mutex<Option<(Vec<u8>, Vec<u8>)>>,
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) -> Option<()> {
    let mut from = BufReader::new(from);
    let mut held = Vec::new();
    loop {
        let (kind, mut message) = message(&mut from).await?;
        if let Some((from, to)) = &*altered.lock().unwrap() {
            alter(&mut message, from, to);
        }
        held.extend_from_slice(&message);
        // ReadyForQuery: what was asked for is done, and it says whether a transaction is open.
        if kind == b'Z' {
            let answered = {
                let mut session = session.lock().unwrap();
                session.in_transaction = message[5] != b'I';
                if !session.in_transaction {
                    session.wrote.clear();
                }
                session.awaited.take()
            };
            if let Some(number) = answered
                && !gate.answered(number)
            {
                return None;
            }
        } else if session.lock().unwrap().awaited.is_some() {
            continue;
        }
        to.write_all(&held).await.ok()?;
        held.clear();
    }
}

impl Session {
    /// The statement that this message executes, if it does.
    fn executes(&mut self, kind: u8, body: &[u8]) -> Option<String> {
        let mut words = body.split(|byte| *byte == 0);
        let mut word = || String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
        match kind {
            b'P' => {
                let (name, text) = (word(), word());
                self.statements.insert(name, text);
                None
            }
            b'B' => {
                let (portal, name) = (word(), word());
                let text = self.statements.get(&name).cloned().unwrap_or_default();
                self.portals.insert(portal, text);
                None
            }
            b'Q' => Some(word()),
            b'E' => self.portals.get(&word()).cloned(),
            _ => None,
        }
    }

    fn made_durable_by(&mut self, text: &str) -> Option<String> {
        if text.trim().eq_ignore_ascii_case("COMMIT") {
            let words = ["COMMIT"].into_iter();
            let words: Vec<_> = words.chain(self.wrote.iter().map(String::as_str)).collect();
            return Some(words.join(" "));
        }
        // The names of the project's functions that write.
        let writes = ["INSERT ", "UPDATE ", "DELETE ", "maintain_partitions("];
        if !writes.iter().any(|word| text.contains(word)) {
            return None;
        }
        if self.in_transaction {
            self.wrote.extend(table(text));
            return None;
        }
        let words: Vec<_> = text.split_whitespace().take(4).collect();
        Some(words.join(" "))
    }
}

/// The first table that a statement writes to.
fn table(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    words.find(|word| ["INTO", "UPDATE", "FROM"].contains(word))?;
    words.next().map(str::to_owned)
}

fn alter(message: &mut [u8], from: &[u8], to: &[u8]) {
    let found = message.windows(from.len()).position(|part| part == from);
    if let Some(at) = found {
        message[at..at + to.len()].copy_from_slice(to);
    }
}

/// The next message with its type and length, whole.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let kind = from.read_u8().await.ok()?;
    let mut message = vec![kind];
    message.extend(body(from).await?);
    Some((kind, message))
}

/// Length, which counts itself, and what follows.
async fn body(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut body = length.to_be_bytes().to_vec();
    body.resize(length as usize, 0);
    from.read_exact(&mut body[4..]).await.ok()?;
    Some(body)
}
