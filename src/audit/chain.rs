//! Hashes of rows, and anchors of the chain's head.

use std::fmt;
use std::str::FromStr;

use hex::encode as hex;
use sha2::{Digest, Sha256};

use crate::db::{AuditHead, AuditRow};
use crate::encryption::{KeyringHandle, MacKeyError};

/// SHA-256 of a row: the text `audit-row/1`, then each column as its length in bytes, a colon and
/// its text, or a dash for NULL. The same as `llmplane_fn.audit_hash` in `migrations/`.
pub fn row_hash(row: &AuditRow) -> [u8; 32] {
    let mut text = String::from("audit-row/1");
    let mut field = |value: Option<&str>| match value {
        Some(value) => {
            text.push_str(&value.len().to_string());
            text.push(':');
            text.push_str(value);
        }
        None => text.push('-'),
    };
    field(Some(&hex(&row.previous_hash)));
    field(Some(&row.seq.to_string()));
    field(Some(&row.at.as_microsecond().to_string()));
    field(Some(&row.action));
    field(Some(&row.result));
    field(Some(&row.actor));
    field(row.actor_uid.as_deref());
    field(Some(&row.actor_groups.len().to_string()));
    for group in &row.actor_groups {
        field(Some(group));
    }
    field(row.pod.as_deref());
    field(row.pod_uid.as_deref());
    field(row.node.as_deref());
    field(row.token_id.as_deref());
    field(row.namespace.as_deref());
    field(row.kind.as_deref());
    field(row.name.as_deref());
    field(row.object_uid.map(|uid| uid.to_string()).as_deref());
    field(
        row.credential_version
            .map(|version| version.to_string())
            .as_deref(),
    );
    field(row.fingerprint.as_deref());
    field(row.purpose.as_deref());
    field(Some(&row.count.to_string()));
    field(Some(&row.detail));
    Sha256::digest(text).into()
}

/// What the chain's head was at a moment, under a key that the database does not have. As text, in
/// the controller's log and on the command line: `POSITION:HASH:MAC`, the latter two in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Position of the head.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
    /// HMAC-SHA-256 of both under the keyring's `audit.key`.
    pub mac: Vec<u8>,
}

/// The anchor of this head.
///
/// # Errors
/// [`MacKeyError::AuditKeyMissing`], where this process was given no `audit.key`.
pub fn anchor(keyring: &KeyringHandle, head: &AuditHead) -> Result<Anchor, MacKeyError> {
    let mac = keyring.audit_mac(message(head.seq, &head.hash).as_bytes())?;
    Ok(Anchor {
        seq: head.seq,
        hash: head.hash.clone(),
        mac: mac.to_vec(),
    })
}

fn message(seq: i64, hash: &[u8]) -> String {
    format!("{seq}:{}", hex(hash))
}

impl Anchor {
    /// Whether it was made with this keyring's `audit.key`. Compared in constant time.
    ///
    /// # Errors
    /// [`MacKeyError::AuditKeyMissing`], where this process was given none.
    pub fn is_genuine(&self, keyring: &KeyringHandle) -> Result<bool, MacKeyError> {
        use subtle::ConstantTimeEq;
        let mac = keyring.audit_mac(message(self.seq, &self.hash).as_bytes())?;
        Ok(bool::from(mac[..].ct_eq(&self.mac)))
    }
}

impl From<crate::db::AuditAnchor> for Anchor {
    fn from(row: crate::db::AuditAnchor) -> Self {
        Self {
            seq: row.seq,
            hash: row.hash,
            mac: row.mac,
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.seq, hex(&self.hash), hex(&self.mac))
    }
}

/// A text that is no anchor.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an anchor is POSITION:HASH:MAC, as in the controller's log, with 64 hexadecimal digits each"
)]
pub struct NotAnAnchor;

impl FromStr for Anchor {
    type Err = NotAnAnchor;

    fn from_str(text: &str) -> Result<Self, NotAnAnchor> {
        let mut parts = text.trim().splitn(3, ':');
        let mut next = || parts.next().ok_or(NotAnAnchor);
        let seq = next()?.parse().map_err(|_| NotAnAnchor)?;
        let bytes = |part: &str| {
            let decoded = hex::decode(part).ok();
            decoded.filter(|bytes| bytes.len() == 32).ok_or(NotAnAnchor)
        };
        Ok(Self {
            seq,
            hash: bytes(next()?)?,
            mac: bytes(next()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_reads_as_it_is_written() {
        let anchor = Anchor {
            seq: 7,
            hash: vec![0xab; 32],
            mac: vec![1; 32],
        };
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        for wrong in ["", "7", "7:ab:01", "x:y:z", "7:é:01", "1::"] {
            assert_eq!(wrong.parse::<Anchor>(), Err(NotAnAnchor), "{wrong}");
        }
    }
}
