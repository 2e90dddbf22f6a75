//! Whose key a string is: for a key that was found where it should not be.

use secrecy::SecretString;
use subtle::{Choice, ConstantTimeEq};

use crate::db::{AuditAction, AuditActor, AuditEntry, AuditObject, StoredFingerprints};
use crate::encryption::{Fingerprint, FingerprintKey, SecretFields};

/// That someone asked, for the audit, whatever the answer: a row for each version that the string is, in
/// its own namespace; one where it is none, in the namespace that was searched (none: in all).
pub fn audited(
    actor: &AuditActor,
    namespace: Option<&str>,
    found: &[StoredFingerprints],
) -> Vec<AuditEntry> {
    let entry = |object| AuditEntry {
        action: AuditAction::WhoseKey,
        result: "Done".to_owned(),
        actor: actor.clone(),
        object,
        purpose: None,
        count: 1,
        detail: serde_json::json!({ "found": found.len() }),
    };
    if found.is_empty() {
        return vec![entry(AuditObject {
            namespace: namespace.map(str::to_owned),
            ..AuditObject::default()
        })];
    }
    found
        .iter()
        .map(|version| entry(version.audit_object()))
        .collect()
}

/// The stored versions whose key, or a field of whose key, this string is. Every version is compared,
/// and each in constant time, so that the time tells nothing of the string.
pub fn versions_with(
    key: &FingerprintKey,
    string: &SecretString,
    stored: Vec<StoredFingerprints>,
) -> Vec<StoredFingerprints> {
    let mut of_credential = None;
    let mut found = Vec::new();
    for version in stored {
        let uid = version.credential_uid;
        let (field, whole) = match of_credential {
            Some((of, fingerprints)) if of == uid => fingerprints,
            _ => {
                let fields = SecretFields {
                    api_key: Some(string.clone()),
                    ..SecretFields::default()
                };
                let fingerprints = (
                    Fingerprint::of_field(key, uid, string),
                    // Of versions that an earlier release stored, the whole key's alone is known.
                    Fingerprint::of(key, uid, &fields),
                );
                of_credential = Some((uid, fingerprints));
                fingerprints
            }
        };
        let mut is_it = matches(&version.fingerprint, whole);
        for fingerprint in &version.field_fingerprints {
            is_it |= matches(fingerprint, field);
        }
        if bool::from(is_it) {
            found.push(version);
        }
    }
    found
}

fn matches(stored: &str, fingerprint: Fingerprint) -> Choice {
    stored
        .parse::<Fingerprint>()
        .map_or(Choice::from(0), |stored| stored.ct_eq(&fingerprint))
}
