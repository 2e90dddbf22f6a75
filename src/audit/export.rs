//! A row of the audit outside: one JSON object a line, with the field names of the Elastic Common
//! Schema where it has one for the thing, and `llmplane.*` where it has none.

use hex::encode as hex;
use serde_json::{Map, Value, json};

use crate::db::AuditRow;

/// Results that mean that what was asked for was done.
const DONE: [&str; 2] = ["Done", "Disclosed"];

/// One row as a line of JSON, without its line break. What a row does not say is left out.
pub fn export_line(row: &AuditRow) -> String {
    let detail: Value = serde_json::from_str(&row.detail).unwrap_or(Value::Null);
    let line = json!({
        "@timestamp": row.at,
        "ecs": { "version": "8.11.0" },
        "event": {
            "kind": "event",
            "dataset": "llmplane.audit",
            "action": row.action,
            "outcome": if DONE.contains(&row.result.as_str()) { "success" } else { "failure" },
            "reason": row.result,
            "sequence": row.seq,
            "hash": hex(&row.hash),
        },
        "user": {
            "name": row.actor,
            "id": row.actor_uid,
            "roles": row.actor_groups,
        },
        "orchestrator": {
            "type": "kubernetes",
            "namespace": row.namespace,
            "resource": {
                "type": row.kind,
                "name": row.name,
                "id": row.object_uid,
            },
        },
        "kubernetes": {
            "pod": { "name": row.pod, "uid": row.pod_uid },
            "node": { "name": row.node },
        },
        "llmplane": {
            "token_id": row.token_id,
            "credential_version": row.credential_version,
            "fingerprint": row.fingerprint,
            "purpose": row.purpose,
            "count": row.count,
            "detail": detail,
            "unreadable": row.unreadable,
            "previous_hash": hex(&row.previous_hash),
        },
    });
    without_nothing(line).unwrap_or_default().to_string()
}

/// A value without nulls, and without objects and lists that hold nothing.
fn without_nothing(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, without_nothing(value)?)))
                .collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        Value::Array(items) if items.is_empty() => None,
        value => Some(value),
    }
}
