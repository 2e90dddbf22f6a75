//! A generator of load over keep-alive HTTP/1.1: one thread, requests written out beforehand, and
//! of an answer only what is needed to know that it is whole. It shares the machine with what it
//! measures, so that what it costs must be little; wrk, oha and their like are programs of their
//! own, and none of them follows a hundred tokens and a schedule at once.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::figures::Times;

/// Connections while a server is saturated, where nothing else is said.
const CONNECTIONS: usize = 16;
/// Connections of a paced load: enough that a slow answer delays no later request.
const PACED_CONNECTIONS: usize = 64;
/// Longest answer that one read takes in.
const READ: usize = 1 << 18;
/// Longest wait for any answer at all.
const STALLED: Duration = Duration::from_secs(5);
/// Where to ask, and what: one request after another, again from the first.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub requests: Vec<Vec<u8>>,
    /// How many connections saturate the server.
    connections: usize,
    /// Where the server cannot do without.
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// `GET` of this path, once with each token.
    pub fn new(address: SocketAddr, path: &str, tokens: &[String]) -> Self {
        let request = |token: &String| {
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\naccept: application/json\r\n\r\n")
                .into_bytes()
        };
        Self {
            address,
            requests: tokens.iter().map(request).collect(),
            connections: CONNECTIONS,
            tls: None,
        }
    }

    /// `GET` of this path, once with each token, by whoever has the answer of this `ETag` already.
    pub fn conditional(address: SocketAddr, path: &str, etag: &str, tokens: &[String]) -> Self {
        let mut target = Self::new(address, path, tokens);
        let condition = format!("if-none-match: {etag}\r\n\r\n");
        for request in &mut target.requests {
            request.truncate(request.len() - 2);
            request.extend_from_slice(condition.as_bytes());
        }
        target
    }

    /// `POST` of this JSON to this path, once with each token.
    pub fn posting(address: SocketAddr, path: &str, body: &str, tokens: &[String]) -> Self {
        let length = body.len();
        let request = |token: &String| {
            format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
                .into_bytes()
        };
        Self {
            address,
            requests: tokens.iter().map(request).collect(),
            connections: CONNECTIONS,
            tls: None,
        }
    }

    /// The same over so many connections: a server whose answers wait for a disk is not saturated by few.
    pub fn with_connections(self, connections: usize) -> Self {
        Self {
            connections,
            ..self
        }
    }

    /// The same over TLS.
    pub fn over(self, tls: Arc<ClientConfig>) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }
}

/// Asks again and again for this long, each connection as soon as it is answered. Answers per
/// second.
pub fn saturate(target: &Target, time: Duration) -> Result<f64> {
    let mut clients = Clients::connect(target, target.connections)?;
    let start = Instant::now();
    let mut answered = 0_u64;
    for index in 0..target.connections {
        clients.send(index, start)?;
    }
    let mut ready = Vec::new();
    while start.elapsed() < time {
        clients.wait(STALLED, &mut ready)?;
        ensure!(!ready.is_empty(), "the server does not answer");
        for index in ready.drain(..) {
            if clients.receive(index)?.is_some() {
                answered += 1;
                clients.send(index, start)?;
            }
        }
    }
    Ok(answered as f64 / start.elapsed().as_secs_f64())
}

/// What was to be sent in a piece of time.
#[derive(Debug)]
pub struct Window {
    /// Since the load began.
    pub from: Duration,
    pub begin: Instant,
    pub end: Instant,
    pub times: Times,
}

/// Asks so many times a second, whatever becomes of the answers, and measures each from the moment
/// at which it was to be sent. What was to be sent in the same one of these windows stands together.
pub fn paced(
    target: &Target,
    per_second: f64,
    time: Duration,
    window: Duration,
) -> Result<Vec<Window>> {
    // Otherwise a sleep may take 50 µs more than it should, and what is due then comes in a heap.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut clients = Clients::connect(target, PACED_CONNECTIONS)?;
    let mut idle: VecDeque<usize> = (0..PACED_CONNECTIONS).collect();
    let mut late: VecDeque<Instant> = VecDeque::new();
    let windows = time.div_duration_f64(window).ceil() as usize;
    let each = (per_second * window.as_secs_f64()) as usize + 1;
    let mut taken: Vec<_> = (0..windows).map(|_| Vec::with_capacity(each)).collect();
    let mut ready = Vec::new();
    let start = Instant::now();
    let mut sent = 0_u32;
    let due = |number: u32| start + Duration::from_secs_f64(f64::from(number) / per_second);
    loop {
        let now = Instant::now();
        while due(sent) <= now && now < start + time {
            late.push_back(due(sent));
            sent += 1;
        }
        for _ in 0..late.len().min(idle.len()) {
            if let (Some(intended), Some(index)) = (late.pop_front(), idle.pop_front()) {
                clients.send(index, intended)?;
            }
        }
        let over = now >= start + time && late.is_empty();
        if over && idle.len() == PACED_CONNECTIONS {
            let mut end = start;
            let windows = taken.into_iter().map(|taken| {
                let begin = end;
                end += window;
                Window {
                    from: begin - start,
                    begin,
                    end,
                    times: Times::new(taken),
                }
            });
            return Ok(windows.collect());
        }
        ensure!(now < start + time + STALLED, "the server does not answer");
        let rest = due(sent).saturating_duration_since(Instant::now());
        clients.wait(rest, &mut ready)?;
        for index in ready.drain(..) {
            if let Some(intended) = clients.receive(index)? {
                let number = (intended - start).div_duration_f64(window) as usize;
                taken[number.min(windows - 1)].push(intended.elapsed());
                idle.push_back(index);
            }
        }
    }
}

/// One connection: what it waits for.
struct Client {
    stream: TcpStream,
    tls: Option<ClientConnection>,
    asked_at: Instant,
    /// The beginning of an answer whose head is not whole.
    head: Vec<u8>,
    /// What of the body has not come; none before the head is whole.
    missing: Option<Missing>,
}

/// What is missing of a body.
enum Missing {
    /// So many bytes.
    Bytes(usize),
    /// The last chunk; these are the last bytes that came.
    LastChunk(Vec<u8>),
}

const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

struct Clients<'t> {
    target: &'t Target,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    clients: Vec<Client>,
    next: usize,
    buffer: Vec<u8>,
}

impl<'t> Clients<'t> {
    fn connect(target: &'t Target, count: usize) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut clients = Vec::with_capacity(count);
        for index in 0..count {
            let mut stream = TcpStream::connect(target.address)?;
            stream.set_nodelay(true)?;
            let tls = match &target.tls {
                Some(config) => Some(handshake(config, target.address, &mut stream)?),
                None => None,
            };
            stream.set_nonblocking(true)?;
            let (what, when) = (
                epoll::EventData::new_u64(index as u64),
                epoll::EventFlags::IN | epoll::EventFlags::ET,
            );
            epoll::add(&epoll, &stream, what, when)?;
            clients.push(Client {
                stream,
                tls,
                asked_at: Instant::now(),
                head: Vec::new(),
                missing: None,
            });
        }
        Ok(Self {
            target,
            epoll,
            events: Vec::with_capacity(count),
            clients,
            next: 0,
            buffer: vec![0; READ],
        })
    }

    /// Sends the next request; its latency counts from `asked_at`.
    fn send(&mut self, index: usize, asked_at: Instant) -> Result<()> {
        let request = &self.target.requests[self.next];
        self.next = (self.next + 1) % self.target.requests.len();
        let client = &mut self.clients[index];
        client.asked_at = asked_at;
        // The connection is idle: its buffer has room for a request of a kilobyte.
        let sent = match &mut client.tls {
            None => client.stream.write(request)?,
            Some(tls) => {
                let taken = tls.writer().write(request)?;
                while tls.wants_write() {
                    tls.write_tls(&mut client.stream)?;
                }
                taken
            }
        };
        ensure!(sent == request.len(), "a request was sent in part");
        Ok(())
    }

    /// Waits until there is something to read, and adds the connections that have it.
    fn wait(&mut self, at_most: Duration, ready: &mut Vec<usize>) -> Result<()> {
        let at_most = Timespec::try_from(at_most)?;
        self.events.clear();
        let events = spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, events, Some(&at_most)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| event.data.u64() as usize));
        Ok(())
    }

    /// Reads what has come. When the answer is whole: since when it was waited for.
    fn receive(&mut self, index: usize) -> Result<Option<Instant>> {
        let client = &mut self.clients[index];
        loop {
            let count = match client.read(&mut self.buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if client.take(&self.buffer[..count])? {
                client.missing = None;
                return Ok(Some(client.asked_at));
            }
        }
    }
}

impl Client {
    /// Reads what there is, decrypted.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(std::io::Error::other)?;
        }
    }

    /// Takes bytes of an answer in; answers whether it is whole.
    fn take(&mut self, bytes: &[u8]) -> Result<bool> {
        if let Some(missing) = &mut self.missing {
            return missing.take(bytes);
        }
        let held = !self.head.is_empty();
        if held {
            self.head.extend_from_slice(bytes);
        }
        let whole = if held { &self.head[..] } else { bytes };
        let Some((head_len, mut missing)) = head(whole)? else {
            if !held {
                self.head.extend_from_slice(bytes);
            }
            return Ok(false);
        };
        let is_whole = missing.take(&whole[head_len..])?;
        self.head.clear();
        self.missing = Some(missing);
        Ok(is_whole)
    }
}

impl Missing {
    /// Takes bytes of a body in; answers whether it is whole.
    fn take(&mut self, bytes: &[u8]) -> Result<bool> {
        match self {
            Self::Bytes(missing) => {
                *missing = missing
                    .checked_sub(bytes.len())
                    .context("an answer is longer than its Content-Length")?;
                Ok(*missing == 0)
            }
            Self::LastChunk(last) => {
                last.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..]);
                last.drain(..last.len().saturating_sub(LAST_CHUNK.len()));
                Ok(last == LAST_CHUNK)
            }
        }
    }
}

fn handshake(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    stream: &mut TcpStream,
) -> Result<ClientConnection> {
    let mut tls = ClientConnection::new(config.clone(), ServerName::from(address.ip()))?;
    while tls.is_handshaking() {
        tls.complete_io(stream)?;
    }
    Ok(tls)
}

/// Length of a whole head, and what its body has; none where the head goes on.
fn head(bytes: &[u8]) -> Result<Option<(usize, Missing)>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    if bytes.starts_with(b"HTTP/1.1 304 ") {
        return Ok(Some((end + 4, Missing::Bytes(0))));
    }
    ensure!(
        bytes.starts_with(b"HTTP/1.1 200 "),
        "an answer is not 200: {}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(600)])
    );
    let value = |name: &[u8]| {
        let at = bytes[..end]
            .windows(name.len())
            .position(|window| window.eq_ignore_ascii_case(name))?;
        Some(&bytes[at + name.len()..end])
    };
    let Some(length) = value(b"\r\ncontent-length: ") else {
        value(b"\r\ntransfer-encoding: chunked").context("an answer does not say where it ends")?;
        return Ok(Some((end + 4, Missing::LastChunk(Vec::new()))));
    };
    let length = length
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    Ok(Some((end + 4, Missing::Bytes(length))))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
