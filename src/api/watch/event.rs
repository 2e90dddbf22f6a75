//! Server-sent events, as the HTML standard has them.
//!
//! An event's `id` is the revision that whoever has heard it holds: of the changes of one revision the last
//! one alone has it, so that nobody who comes back has lost a part of them.

use std::fmt::Write;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::json;

use crate::db::Revision;
use crate::snapshot::{Entry, RowChange, View};

/// Between which times a reader whose stream ended comes back: each at a moment of its own.
const RECONNECT: (u64, u64) = (500, 5_000);

/// When a reader is to come back.
pub(super) fn reconnect_after() -> Duration {
    Duration::from_millis(rand::random_range(RECONNECT.0..RECONNECT.1))
}

/// Says when to come back once this stream has ended, however it does.
pub(super) fn retry() -> Bytes {
    format!("retry: {}\n\n", reconnect_after().as_millis()).into()
}

/// The same, as the last words of a stream.
pub(super) fn farewell() -> Bytes {
    format!(
        ": this replica is ending\nretry: {}\n\n",
        reconnect_after().as_millis()
    )
    .into()
}

/// What is held is not known to be current: all that is there follows, up to the next `id`.
pub(super) fn reset(revision: Revision) -> Bytes {
    format!(
        "event: reset\ndata: {}\n\n",
        json!({ "revision": revision })
    )
    .into()
}

/// All up to this revision was told.
pub(super) fn heartbeat(revision: Revision) -> Bytes {
    let data = json!({ "revision": revision });
    format!("id: {revision}\nevent: heartbeat\ndata: {data}\n\n").into()
}

/// A row that is there, without `id`.
pub(super) fn write_row<V: View>(entry: &Entry<V>, to: &mut BytesMut) {
    let common = entry.view.common();
    to.extend_from_slice(b"event: upsert\ndata: ");
    let place = (&*common.namespace, &*common.name);
    let head = data_head(V::KIND.kubernetes(), common.id, place);
    to.extend_from_slice(head.as_bytes());
    to.extend_from_slice(&entry.json);
    to.extend_from_slice(b"}\n\n");
}

/// A change, with the revision that it was told at as its `id` where it is the last of those of this
/// reader.
pub(super) fn of_change(change: &RowChange, revision: Revision, is_last: bool) -> Bytes {
    let text = change.text(|change| write_change(change, revision));
    match is_last {
        true => text,
        false => {
            let id = text.iter().position(|byte| *byte == b'\n');
            text.slice(id.map_or(0, |end| end + 1)..)
        }
    }
}

fn write_change(change: &RowChange, revision: Revision) -> Bytes {
    let place = (&*change.namespace, &*change.name);
    let head = data_head(change.kind.kubernetes(), change.id, place);
    let (event, row) = match &change.row {
        Some(row) => ("upsert", row.as_ref()),
        None => ("delete", &b"null"[..]),
    };
    let mut text = BytesMut::with_capacity(64 + head.len() + row.len());
    // Writing to memory does not fail.
    let _ = write!(text, "id: {revision}\nevent: {event}\ndata: {head}");
    text.extend_from_slice(row);
    text.extend_from_slice(b"}\n\n");
    text.freeze()
}

/// An event's data up to its row. Neither a UID nor a word has to be escaped.
fn data_head(kind: &str, id: uuid::Uuid, (namespace, name): (&str, &str)) -> String {
    let (namespace, name) = (json!(namespace), json!(name));
    format!(r#"{{"kind":"{kind}","id":"{id}","namespace":{namespace},"name":{name},"row":"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::Kind;
    use crate::snapshot::ChangeBatch;

    #[test]
    fn a_change_is_written_once_and_told_with_its_id_or_without() {
        let batch = ChangeBatch::gone(Kind::Model, uuid::Uuid::nil(), ("team", "m"), Revision(7));
        let change = &batch.changes[0];
        let with_id = of_change(change, batch.to, true);
        let said = concat!(
            "id: 7\nevent: delete\ndata: {\"kind\":\"LlmModel\",",
            "\"id\":\"00000000-0000-0000-0000-000000000000\",",
            "\"namespace\":\"team\",\"name\":\"m\",\"row\":null}\n\n"
        );
        assert_eq!(with_id, said);
        let without = of_change(change, batch.to, false);
        assert_eq!(without, said.strip_prefix("id: 7\n").unwrap());
        assert_eq!(with_id[6..].as_ptr(), without.as_ptr(), "the same bytes");
    }
}
