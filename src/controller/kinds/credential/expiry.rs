//! Whether a credential's time is up. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    controller::kinds::identity,
    crd::{
        LlmCredential,
        conditions::{self, ConditionType},
        reasons::Reason,
    },
    db::CredentialRow,
};

/// When it expires, if it does.
pub fn expires_at(object: &LlmCredential) -> Option<Timestamp> {
    object.spec.expires_at.as_ref().map(|t| t.0)
}

/// The moment at which it has expired, if it has. What was said once of the same moment stays so: a clock that
/// goes back brings no key back.
pub fn expired_at(
    object: &LlmCredential,
    row: Option<&CredentialRow>,
    now: Timestamp,
) -> Option<Timestamp> {
    let end = expires_at(object)?;
    let of_row = row.is_some_and(|row| {
        let same = |at: Timestamp| at.as_microsecond() == end.as_microsecond();
        row.expires_at.is_some_and(same) && says_expired(&row.conditions)
    });
    // A database that was restored may not know.
    let of_status = object.status.as_ref().is_some_and(|status| {
        let generation = identity::generation(object);
        status.observed_generation == Some(generation) && says_expired(&status.conditions)
    });
    (end <= now || of_row || of_status).then_some(end)
}

fn says_expired(conditions: &[Condition]) -> bool {
    let valid = conditions::find(conditions, ConditionType::Valid);
    valid.is_some_and(|valid| valid.reason == Reason::Expired.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::{DeclaredCredential, FoundCredential, ObjectColumns};

    const END: &str = "2027-01-31T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn valid(reason: Reason) -> serde_json::Value {
        json!([{
            "type": "Valid", "status": reason.status().as_str(), "reason": reason.as_str(),
            "message": "", "lastTransitionTime": END,
        }])
    }

    /// The second generation, whose status tells of `generation`.
    fn object(end: &str, generation: i64, said: Reason) -> LlmCredential {
        serde_json::from_value(json!({
            "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmCredential",
            "metadata": { "name": "c", "namespace": "team", "generation": 2 },
            "spec": {
                "providerRef": { "name": "p" }, "secretRef": { "name": "s" }, "expiresAt": end,
            },
            "status": { "observedGeneration": generation, "conditions": valid(said) },
        }))
        .unwrap()
    }

    fn row(end: &str, said: Reason) -> CredentialRow {
        CredentialRow {
            declared: DeclaredCredential {
                object: ObjectColumns {
                    conditions: serde_json::from_value(valid(said)).unwrap(),
                    ..ObjectColumns::default()
                },
                expires_at: Some(at(end)),
                ..DeclaredCredential::default()
            },
            found: FoundCredential::default(),
            updated_at: Timestamp::UNIX_EPOCH,
            deleted_at: None,
            revision: 1,
        }
    }

    #[test]
    fn a_credential_that_has_expired_stays_so_when_the_clock_goes_back() {
        let (before, after) = (at("2027-01-30T00:00:00Z"), at("2027-01-31T01:00:00Z"));
        let fresh = object(END, 2, Reason::KeyAccepted);
        let said = row(END, Reason::Expired);
        assert_eq!(expired_at(&fresh, None, before), None);
        assert_eq!(expired_at(&fresh, None, after), Some(at(END)));
        assert_eq!(expired_at(&fresh, Some(&said), before), Some(at(END)));
        // Where the database forgot it, the status tells.
        let told = object(END, 2, Reason::Expired);
        assert_eq!(expired_at(&told, None, before), Some(at(END)));
    }

    #[test]
    fn another_moment_is_judged_anew() {
        let now = at("2027-01-31T01:00:00Z");
        let moved = object("2027-02-28T00:00:00Z", 1, Reason::Expired);
        assert_eq!(
            expired_at(&moved, Some(&row(END, Reason::Expired)), now),
            None
        );
        let known = row("2027-02-28T00:00:00Z", Reason::KeyAccepted);
        assert_eq!(expired_at(&moved, Some(&known), now), None);
    }
}
