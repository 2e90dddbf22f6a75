//! What changed of late: for whoever follows the snapshot, and for whoever comes back to it.
//!
//! One log for all readers, each of which knows the revision that it has reached. It holds rows that the
//! snapshot holds too, and of older ones a bounded number of bytes: a reader who is further behind is told
//! that it lost some.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use uuid::Uuid;

use super::{Snapshot, Table, View};
use crate::crd::Kind;
use crate::db::{ChangedObject, ChangedRows, DeclaredRow, ObjectRow, Revision};

/// Bytes that are kept, about; the newest changes are kept whatever they take.
const MAX_BYTES: usize = 4 << 20;
/// Bytes of a change beside its row, about.
const CHANGE_BYTES: usize = 256;

/// An object that changed.
#[derive(Debug)]
pub struct RowChange {
    /// Which kind.
    pub kind: Kind,
    /// Its UID.
    pub id: Uuid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its row as JSON; none: it is gone.
    pub row: Option<Bytes>,
    text: OnceLock<Bytes>,
}

impl RowChange {
    fn new(kind: Kind, id: Uuid, (namespace, name): (&str, &str), row: Option<Bytes>) -> Self {
        Self {
            kind,
            id,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            row,
            text: OnceLock::new(),
        }
    }

    /// The change as readers are told of it: written once, by the first of them.
    pub fn text(&self, write: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.text.get_or_init(|| write(self)).clone()
    }

    fn bytes(&self) -> usize {
        // The row, and the text that is made of it.
        CHANGE_BYTES + 2 * self.row.as_ref().map_or(0, Bytes::len)
    }
}

/// All that changed up to a revision, since the one that the batch before ends with.
#[derive(Debug)]
pub struct ChangeBatch {
    /// The revision.
    pub to: Revision,
    /// The objects, each once, as they are at that revision: those that are gone first, for their names may
    /// be another's, then parents before children.
    pub changes: Vec<RowChange>,
}

impl ChangeBatch {
    /// What these rows changed: `after` holds them, and `before` what is not among them any more.
    pub fn new(before: &Snapshot, after: &Snapshot, rows: &ChangedRows) -> Self {
        let mut changes = Vec::new();
        note(&mut changes, &rows.providers, &after.providers);
        note(&mut changes, &rows.endpoints, &after.endpoints);
        note(&mut changes, &rows.credentials, &after.credentials);
        note(&mut changes, &rows.models, &after.models);
        note(&mut changes, &rows.model_classes, &after.model_classes);
        for (kind, id) in &rows.unreadable {
            if let Some((namespace, name)) = before.place(*kind, *id) {
                changes.push(RowChange::new(*kind, *id, (namespace, name), None));
            }
        }
        Self::ordered(after.revision, changes)
    }

    /// What became of these objects up to a snapshot, whose rows it shares; none where somebody is gone of
    /// whom no row tells any more, or where it is more than is kept for anybody.
    pub fn of_objects(snapshot: &Snapshot, mut objects: Vec<ChangedObject>) -> Option<Self> {
        objects.sort_by_key(|object| object.kind as usize);
        let mut changes = Vec::with_capacity(objects.len());
        for ChangedObject { kind, uid, place } in objects {
            let row = snapshot.json(kind, uid);
            let (namespace, name) = match snapshot.place(kind, uid) {
                Some(here) => here,
                None => place
                    .as_ref()
                    .map(|(namespace, name)| (&**namespace, &**name))?,
            };
            changes.push(RowChange::new(kind, uid, (namespace, name), row));
        }
        let batch = Self::ordered(snapshot.revision, changes);
        (batch.bytes() <= MAX_BYTES).then_some(batch)
    }

    fn ordered(to: Revision, changes: Vec<RowChange>) -> Self {
        let (mut ordered, live): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.row.is_none());
        ordered.extend(live);
        let changes = ordered;
        Self { to, changes }
    }

    /// One model, with a row of so many bytes.
    #[cfg(test)]
    pub(crate) fn of_bytes(to: Revision, bytes: usize) -> Self {
        let row = Some(vec![b' '; bytes].into());
        let change = RowChange::new(Kind::Model, Uuid::from_u128(1), ("a", "m"), row);
        Self {
            to,
            changes: vec![change],
        }
    }

    /// One object that is gone.
    #[cfg(test)]
    pub(crate) fn gone(kind: Kind, id: Uuid, place: (&str, &str), to: Revision) -> Self {
        Self {
            to,
            changes: vec![RowChange::new(kind, id, place, None)],
        }
    }

    /// Bytes that it takes, about, with what is written of it.
    pub fn bytes(&self) -> usize {
        self.changes.iter().map(RowChange::bytes).sum()
    }
}

fn note<D: DeclaredRow, V: View>(
    changes: &mut Vec<RowChange>,
    rows: &[ObjectRow<D>],
    table: &Table<V>,
) {
    changes.extend(rows.iter().map(|row| {
        let json = table.by_uid(row.uid).map(|entry| entry.json.clone());
        RowChange::new(V::KIND, row.uid, (&row.namespace, &row.name), json)
    }));
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeCursor {
    /// Which log: another one is begun where the snapshot was read anew.
    log: u64,
    /// The revision that it has reached.
    pub revision: Revision,
}

impl ChangeCursor {
    /// The same reader, at a later revision.
    pub fn at(self, revision: Revision) -> Self {
        Self { revision, ..self }
    }
}

/// What a reader is told next.
#[derive(Clone, Debug)]
pub enum NextChange {
    /// This happened.
    Batch(Arc<ChangeBatch>),
    /// Nothing yet.
    None,
    /// It fell behind what is kept.
    Lost,
    /// The snapshot was read anew: what happened between is not known.
    Reset,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct ChangeLog {
    log: u64,
    /// The revision that the oldest batch begins after.
    from: Revision,
    head: Revision,
    batches: VecDeque<Arc<ChangeBatch>>,
    bytes: usize,
}

impl ChangeLog {
    /// Begins anew at this revision.
    pub(super) fn reset(&mut self, revision: Revision) {
        *self = Self {
            log: self.log + 1,
            from: revision,
            head: revision,
            ..Self::default()
        };
    }

    /// Notes what happened; forgets what is too much.
    pub(super) fn push(&mut self, batch: ChangeBatch) {
        self.head = batch.to;
        self.bytes += batch.bytes();
        self.batches.push_back(Arc::new(batch));
        while self.bytes > MAX_BYTES
            && self.batches.len() > 1
            && let Some(oldest) = self.batches.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.from = oldest.to;
        }
    }

    /// Where the newest revision's reader is.
    pub(super) fn head(&self) -> ChangeCursor {
        ChangeCursor {
            log: self.log,
            revision: self.head,
        }
    }

    /// Where a reader is who has reached exactly this revision; none where that is not one of those which
    /// are known here.
    pub(super) fn cursor(&self, revision: Revision) -> Option<ChangeCursor> {
        let is_known = revision == self.from
            || self
                .batches
                .binary_search_by_key(&revision, |batch| batch.to)
                .is_ok();
        is_known.then_some(ChangeCursor {
            log: self.log,
            revision,
        })
    }

    /// What that reader is told next.
    pub(super) fn next(&self, reader: ChangeCursor) -> NextChange {
        if reader.log != self.log {
            return NextChange::Reset;
        }
        if reader.revision < self.from {
            return NextChange::Lost;
        }
        let next = self
            .batches
            .partition_point(|batch| batch.to <= reader.revision);
        match self.batches.get(next) {
            Some(batch) => NextChange::Batch(batch.clone()),
            None => NextChange::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(to: i64, bytes: usize) -> ChangeBatch {
        ChangeBatch::of_bytes(Revision(to), bytes)
    }

    fn told(log: &ChangeLog, reader: ChangeCursor) -> Option<i64> {
        match log.next(reader) {
            NextChange::Batch(batch) => Some(batch.to.0),
            _ => None,
        }
    }

    #[test]
    fn a_reader_is_told_of_everything_after_its_revision_in_order() {
        let mut log = ChangeLog::default();
        log.reset(Revision(10));
        let begin = log.cursor(Revision(10)).expect("it begins there");
        for to in [12, 15, 20] {
            log.push(batch(to, 1));
        }
        assert_eq!(told(&log, begin), Some(12));
        assert_eq!(told(&log, begin.at(Revision(12))), Some(15));
        // One that another replica knows, between two of this one: all of the next batch.
        assert_eq!(told(&log, begin.at(Revision(13))), Some(15));
        assert!(matches!(log.next(log.head()), NextChange::None));
        assert!(matches!(log.next(begin.at(Revision(99))), NextChange::None));
        for unknown in [9, 11, 13, 21] {
            assert_eq!(log.cursor(Revision(unknown)), None, "{unknown}");
        }
    }

    #[test]
    fn what_is_too_much_is_forgotten_from_its_beginning_on() {
        let mut log = ChangeLog::default();
        log.reset(Revision(0));
        let slow = log.head();
        for to in 1..=100 {
            log.push(batch(to, MAX_BYTES / 20));
            assert!(log.bytes <= MAX_BYTES);
        }
        assert!(matches!(log.next(slow), NextChange::Lost));
        let oldest = log.from;
        let reader = log
            .cursor(oldest)
            .expect("what was forgotten last is its end");
        assert_eq!(told(&log, reader), Some(oldest.0 + 1));
        log.push(batch(101, 2 * MAX_BYTES));
        assert_eq!(log.batches.len(), 1, "the newest is kept, however large");
    }

    #[test]
    fn a_reader_of_what_was_before_is_told_to_begin_anew() {
        let mut log = ChangeLog::default();
        log.reset(Revision(10));
        let reader = log.head();
        log.reset(Revision(20));
        assert!(matches!(log.next(reader), NextChange::Reset));
        assert!(matches!(log.next(log.head()), NextChange::None));
        assert_eq!(log.cursor(Revision(10)), None);
    }

    #[test]
    fn who_comes_back_is_told_what_the_snapshot_holds_and_who_is_gone() {
        let object = |kind, uid: u128, place: Option<(&str, &str)>| ChangedObject {
            kind,
            uid: Uuid::from_u128(uid),
            place: place.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
        };
        let told = |objects| ChangeBatch::of_objects(&Snapshot::default(), objects);
        let gone = told(vec![
            object(Kind::Model, 1, Some(("a", "m"))),
            object(Kind::Provider, 2, Some(("a", "p"))),
        ]);
        let gone = gone.expect("each is known by its name").changes;
        let kinds: Vec<_> = gone
            .iter()
            .map(|gone| (gone.kind, gone.row.is_none()))
            .collect();
        assert_eq!(kinds, [(Kind::Provider, true), (Kind::Model, true)]);
        assert!(told(vec![object(Kind::Model, 1, None)]).is_none());
        let many = MAX_BYTES / CHANGE_BYTES + 1;
        let many = vec![object(Kind::Model, 1, Some(("a", "m"))); many];
        assert!(told(many).is_none(), "it is more than is kept for anybody");
    }
}
