//! One stream, from where its reader begins to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::{ResumedChanges, WatchPlace, event};
use crate::api::ApiState;
use crate::api::auth::Scope;
use crate::api::read::list_query;
use crate::crd::Kind;
use crate::db::Revision;
use crate::snapshot::{ChangeBatch, ChangeCursor, NextChange, RowChange, Snapshot, Table, View};

/// Time between two events of a stream at most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Time between two looks at the reader's rights, at most. With the ten seconds that an answer of the
/// kube-apiserver counts, a stream ends within fifteen of the right's end.
const RIGHTS_LOOK: Duration = Duration::from_millis(4_000);
/// How much earlier it may be: streams that began together do not stay together.
const RIGHTS_SPREAD: u64 = 1_000;
/// Bytes of rows that are written out at once while all that is there is told.
const CHUNK: usize = 32 << 10;
/// How long a reader may take for all that is there, or for the changes of a batch: so long it holds rows
/// that nobody else may.
const TELL_TIMEOUT: Duration = Duration::from_secs(60);

/// Who reads, and what of.
pub struct Watcher {
    /// The namespaces.
    pub scope: Scope,
    /// The kinds, parents first.
    pub kinds: Vec<Kind>,
    /// What it came with; asked about again while the stream is open.
    pub token: SecretString,
    /// Where it came from.
    pub address: IpAddr,
    /// Its place among the streams.
    pub place: WatchPlace,
}

/// Where a stream begins.
pub enum Beginning {
    /// With a reset, and all that is there.
    Whole,
    /// Behind what the reader has heard already.
    Behind(ChangeCursor),
    /// With these changes first.
    With(ResumedChanges),
}

/// The body of a stream.
pub fn stream(state: ApiState, watcher: Watcher, beginning: Beginning) -> Body {
    Body::from_stream(events(state, watcher, beginning))
}

fn events(
    state: ApiState,
    watcher: Watcher,
    beginning: Beginning,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let stream = Box::new(OpenStream::new(state, watcher, beginning));
    futures::stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok(bytes), stream))
    })
}

struct OpenStream {
    state: ApiState,
    watcher: Watcher,
    revisions: watch::Receiver<Revision>,
    telling: Telling,
    /// When something must be said.
    heartbeat_at: Instant,
    /// Whether the reader, who came back, has heard no `id` yet: it does not know that it is up to date.
    owes_id: bool,
    /// When the reader's rights are looked at.
    rights_at: Instant,
    is_over: bool,
}

/// What is being told.
enum Telling {
    /// When to come back; then what begins.
    Hello(Beginning),
    /// All that is there.
    Whole(Box<WholeState>),
    /// The changes of a batch.
    Batch(BatchState),
    /// What happens next.
    Changes(ChangeCursor),
}

/// The rows of a moment, on their way.
struct WholeState {
    snapshot: Arc<Snapshot>,
    cursor: ChangeCursor,
    /// Kinds that are left, the next one last.
    left: Vec<Kind>,
    /// Where the next kind goes on.
    key: String,
    until: Instant,
}

/// A batch, on its way.
struct BatchState {
    batch: Arc<ChangeBatch>,
    /// Its room, where it was read for those who came back.
    _room: Option<Arc<OwnedSemaphorePermit>>,
    /// Where the reader is who has heard all of it.
    after: ChangeCursor,
    /// Where among its changes the next one is looked for.
    from: usize,
    until: Instant,
}

/// What a look for something to tell comes to.
enum Told {
    Bytes(Bytes),
    Nothing,
    Over,
}

impl OpenStream {
    fn new(state: ApiState, watcher: Watcher, beginning: Beginning) -> Self {
        let now = Instant::now();
        Self {
            revisions: state.store.revisions(),
            state,
            watcher,
            owes_id: !matches!(beginning, Beginning::Whole),
            telling: Telling::Hello(beginning),
            heartbeat_at: now + HEARTBEAT,
            rights_at: now + until_rights(),
            is_over: false,
        }
    }

    /// The next bytes; none at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let drain = self.watcher.place.watches.0.drain.clone();
        loop {
            if drain.is_cancelled() {
                self.is_over = true;
                return Some(event::farewell());
            }
            // First: nobody is told anything after its right has ended.
            if Instant::now() >= self.rights_at {
                if !self.still_may().await {
                    return None;
                }
                self.rights_at = Instant::now() + until_rights();
            }
            self.revisions.mark_unchanged();
            match self.tell() {
                Told::Bytes(bytes) => {
                    self.heartbeat_at = Instant::now() + HEARTBEAT;
                    return Some(bytes);
                }
                Told::Over => return None,
                Told::Nothing => {}
            }
            tokio::select! {
                () = drain.cancelled() => {}
                changed = self.revisions.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.heartbeat_at.min(self.rights_at)) => {}
            }
        }
    }

    /// Something to tell, where there is something now.
    fn tell(&mut self) -> Told {
        loop {
            match &mut self.telling {
                Telling::Hello(beginning) => {
                    let beginning = std::mem::replace(beginning, Beginning::Whole);
                    let hello = event::retry();
                    self.telling = match beginning {
                        Beginning::Whole => return self.begin(&hello),
                        Beginning::Behind(cursor) => Telling::Changes(cursor),
                        Beginning::With(ResumedChanges {
                            cursor,
                            batch,
                            room,
                        }) => Telling::Batch(BatchState::new(cursor, batch, Some(room))),
                    };
                    return Told::Bytes(hello);
                }
                Telling::Whole(whole) => {
                    let told = whole.next(&self.watcher);
                    if let Told::Nothing = told {
                        let cursor = whole.cursor;
                        self.telling = Telling::Changes(cursor);
                        return Told::Bytes(event::heartbeat(cursor.revision));
                    }
                    return told;
                }
                Telling::Batch(batch) => match batch.next(&self.watcher) {
                    Told::Nothing => self.telling = Telling::Changes(batch.after),
                    told => {
                        // The last of them has one.
                        self.owes_id = false;
                        return told;
                    }
                },
                Telling::Changes(cursor) => match self.state.store.next(*cursor) {
                    NextChange::Batch(batch) => {
                        self.telling = Telling::Batch(BatchState::new(*cursor, batch, None));
                    }
                    NextChange::None if self.owes_id || Instant::now() >= self.heartbeat_at => {
                        self.owes_id = false;
                        return Told::Bytes(event::heartbeat(cursor.revision));
                    }
                    NextChange::None => return Told::Nothing,
                    NextChange::Reset => return self.begin(&[]),
                    NextChange::Lost => {
                        self.watcher.place.watches.0.counts.lost.inc();
                        return Told::Over;
                    }
                },
            }
        }
    }

    /// A reset, and all that is there behind it.
    fn begin(&mut self, before: &[u8]) -> Told {
        // There is one: a stream is not opened before.
        let Some((snapshot, cursor)) = self.state.store.begin() else {
            return Told::Over;
        };
        let mut left = self.watcher.kinds.clone();
        left.reverse();
        let whole = WholeState {
            snapshot,
            cursor,
            left,
            key: list_query::prefix(&self.watcher.scope),
            until: Instant::now() + TELL_TIMEOUT,
        };
        self.telling = Telling::Whole(Box::new(whole));
        let mut text = BytesMut::from(before);
        text.extend_from_slice(&event::reset(cursor.revision));
        Told::Bytes(text.freeze())
    }

    /// Whether the reader still is who it was and may watch what it watches, as far as the kube-apiserver
    /// says so.
    async fn still_may(&self) -> bool {
        let (auth, watcher) = (&self.state.auth, &self.watcher);
        let token = watcher.token.expose_secret();
        let Ok(caller) = auth.caller_of(token, watcher.address).await else {
            return false;
        };
        for kind in &watcher.kinds {
            let may = watcher.scope.require_watch(auth, &caller, *kind).await;
            if may.is_err() {
                return false;
            }
        }
        true
    }
}

impl Watcher {
    /// The end, where the reader took longer than until then.
    fn over_at(&self, until: Instant) -> Option<Told> {
        (Instant::now() >= until).then(|| {
            self.place.watches.0.counts.lost.inc();
            Told::Over
        })
    }

    fn is_concerned_by(&self, change: &RowChange) -> bool {
        self.kinds.contains(&change.kind) && self.scope.holds(&change.namespace)
    }
}

impl BatchState {
    fn new(
        reader: ChangeCursor,
        batch: Arc<ChangeBatch>,
        room: Option<Arc<OwnedSemaphorePermit>>,
    ) -> Self {
        Self {
            after: reader.at(batch.to),
            batch,
            _room: room,
            from: 0,
            until: Instant::now() + TELL_TIMEOUT,
        }
    }

    /// The next change that concerns this reader; nothing where all were told.
    fn next(&mut self, watcher: &Watcher) -> Told {
        if let Some(over) = watcher.over_at(self.until) {
            return over;
        }
        let changes = &self.batch.changes;
        let mut left =
            (self.from..changes.len()).filter(|place| watcher.is_concerned_by(&changes[*place]));
        let Some(next) = left.next() else {
            return Told::Nothing;
        };
        let is_last = left.next().is_none();
        self.from = next + 1;
        Told::Bytes(event::of_change(&changes[next], self.batch.to, is_last))
    }
}

impl WholeState {
    /// The next rows; nothing where all were told.
    fn next(&mut self, watcher: &Watcher) -> Told {
        if let Some(over) = watcher.over_at(self.until) {
            return over;
        }
        let prefix = list_query::prefix(&watcher.scope);
        let mut text = BytesMut::new();
        while let Some(kind) = self.left.last() {
            let snapshot = &self.snapshot;
            let next = match kind {
                Kind::Provider => write(&snapshot.providers, &self.key, &prefix, &mut text),
                Kind::Endpoint => write(&snapshot.endpoints, &self.key, &prefix, &mut text),
                Kind::Credential => write(&snapshot.credentials, &self.key, &prefix, &mut text),
                Kind::Model => write(&snapshot.models, &self.key, &prefix, &mut text),
                Kind::ModelClass => write(&snapshot.model_classes, &self.key, &prefix, &mut text),
            };
            match next {
                Some(next) => {
                    self.key = next;
                    break;
                }
                None => {
                    self.left.pop();
                    self.key.clone_from(&prefix);
                }
            }
        }
        match text.is_empty() {
            true => Told::Nothing,
            false => Told::Bytes(text.freeze()),
        }
    }
}

/// Writes rows of a kind out from this key on, as many as are told at once; answers where the rest begins,
/// if there is one.
fn write<V: View>(
    table: &Table<V>,
    key: &str,
    prefix: &str,
    text: &mut BytesMut,
) -> Option<String> {
    let rows = table.from_key(key);
    for entry in rows.take_while(|entry| entry.key.starts_with(prefix)) {
        event::write_row(entry, text);
        if text.len() >= CHUNK {
            return Some(format!("{}\0", entry.key));
        }
    }
    None
}

/// How long a look at the reader's rights serves.
fn until_rights() -> Duration {
    RIGHTS_LOOK - Duration::from_millis(rand::random_range(0..RIGHTS_SPREAD))
}
