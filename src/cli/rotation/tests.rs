use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::look::untaken;
use super::*;
use crate::db::{CredentialRow, DeclaredCredential, FoundCredential, ObjectColumns};

fn version(version: i32, state: VersionState, holders: &[&str]) -> VersionStatus {
    VersionStatus {
        version,
        state: state.as_str().to_owned(),
        since: Some(Timestamp::UNIX_EPOCH),
        grace_until: None,
        last_given_at: None,
        holders: holders
            .iter()
            .map(|pod| Holder {
                user: "agent".to_owned(),
                pod: Some((*pod).to_owned()),
                pod_uid: None,
                node: None,
                given_at: Timestamp::UNIX_EPOCH,
            })
            .collect(),
    }
}

#[test]
fn a_rotation_is_over_when_the_new_version_is_current_and_nobody_holds_a_former_one() {
    use VersionState::{Current, Destroyed, Pending, Previous};
    let of = |versions: &[VersionStatus]| left(versions);
    assert_eq!(of(&[version(1, Current, &["a"])]), None);
    assert!(of(&[version(1, Current, &["a"]), version(2, Pending, &[])]).is_some());
    let held = of(&[
        version(1, Previous, &["a", "b"]),
        version(2, Current, &["c"]),
    ]);
    assert_eq!(
        held.as_deref(),
        Some("version 1 is held by pod a of agent, pod b of agent")
    );
    // A destroyed version is one that a pod may still have in memory.
    assert!(of(&[version(1, Destroyed, &["a"]), version(2, Current, &[])]).is_some());
    assert_eq!(
        of(&[version(1, Destroyed, &[]), version(2, Current, &["a"])]),
        None
    );
    assert!(of(&[version(1, Previous, &[])]).is_some());
}

#[test]
fn a_key_that_the_controller_has_not_seen_is_waited_for() {
    let uid = uuid::Uuid::from_u128(7);
    let object = |generation| ObjectMeta {
        uid: Some(uid.to_string()),
        generation: Some(generation),
        ..ObjectMeta::default()
    };
    let secret = |uid: &str, version: &str| {
        let held = ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        Some(("s", held))
    };
    let row = CredentialRow {
        declared: DeclaredCredential {
            object: ObjectColumns {
                uid,
                generation: 2,
                ..ObjectColumns::default()
            },
            secret_uid: Some("u".to_owned()),
            secret_resource_version: Some("10".to_owned()),
            ..DeclaredCredential::default()
        },
        found: FoundCredential::default(),
        updated_at: Timestamp::UNIX_EPOCH,
        deleted_at: None,
        revision: 1,
    };
    let waits = |object, secret| untaken(Some(&row), &object, secret).is_some();
    assert!(!waits(object(2), secret("u", "10")));
    assert!(
        !waits(object(2), None),
        "a token's credential has no Secret"
    );
    assert!(waits(object(2), secret("u", "11")), "another key, perhaps");
    assert!(waits(object(2), secret("v", "10")), "made anew");
    assert!(waits(object(2), Some(("s", ObjectMeta::default()))));
    assert!(
        waits(object(3), secret("u", "10")),
        "another Secret, perhaps"
    );
    assert!(untaken(None, &object(2), secret("u", "10")).is_some());
}

#[test]
fn times_are_told_in_their_largest_unit() {
    let at = Timestamp::from_second(1_000_000).unwrap();
    let told = |seconds: i64| span(Timestamp::from_second(1_000_000 + seconds).unwrap(), at);
    assert_eq!((told(5), told(7_300)), ("5 s".to_owned(), "2 h".to_owned()));
}
