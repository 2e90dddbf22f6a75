//! Versions of keys.

use futures::FutureExt;
use llmplane::crd::Kind;
use llmplane::crd::credential::VersionState;
use llmplane::crd::reasons::Reason;
use llmplane::db::{
    Changes, Db, DbError, DeclaredCredential, Epoch, NewVersion, NewWrap, WrappedVersion,
    WriteResult,
};
use sqlx::Row;
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::rows;

async fn credential(db: &Db, epoch: Epoch) -> DeclaredCredential {
    let provider = rows::provider("p");
    let credential = rows::credential(provider.uid, "c");
    let (stored, version) = (
        credential.clone(),
        rows::key_version(credential.uid, 1, VersionState::Current),
    );
    db.write(epoch, |tx| {
        async move {
            tx.upsert(&provider).await?;
            tx.upsert(&stored).await?;
            tx.credential_version_insert(&version).await
        }
        .boxed()
    })
    .await
    .unwrap();
    credential
}

async fn insert(db: &Db, epoch: Epoch, version: NewVersion) -> WriteResult<()> {
    db.write(epoch, |tx| {
        async move { tx.credential_version_insert(&version).await }.boxed()
    })
    .await
}

async fn key_bytes(database: &TestDatabase, credential: Uuid) -> i64 {
    let mut owner = database.connect("llmplane_owner").await;
    sqlx::query(
        "SELECT count(*) FILTER (WHERE payload IS NOT NULL OR wrapped_key IS NOT NULL)
         FROM credential_versions WHERE credential_uid = $1",
    )
    .bind(credential)
    .fetch_one(&mut owner)
    .await
    .unwrap()
    .get(0)
}

#[tokio::test]
async fn a_deleted_credentials_key_material_is_destroyed() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;
    assert!(db.sealed_version(uid, 1).await.unwrap().is_some());
    let before = db.feed_state().await.unwrap().revision;

    let delete = || {
        db.write(epoch, move |tx| {
            async move { tx.soft_delete(Kind::Credential, &[uid]).await }.boxed()
        })
    };
    assert_eq!(delete().await.unwrap().0, 1);

    assert_eq!(db.sealed_version(uid, 1).await.unwrap(), None);
    assert_eq!(key_bytes(&database, uid).await, 0);
    let Changes::Rows { rows, .. } = db.read_changes(before).await.unwrap() else {
        panic!("the feed holds {before}");
    };
    assert!(rows.credentials[0].deleted_at.is_some());
    assert!(!rows.credentials[0].is_active);
    assert_eq!(rows.credential_versions[0].state, VersionState::Destroyed);
    assert_eq!(delete().await.unwrap(), (0, None), "it is gone already");
    assert!(db.read_all().await.unwrap().rows.credentials.is_empty());
}

#[tokio::test]
async fn a_credentials_name_used_again_destroys_the_former_ones_key() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let former = credential(&db, epoch).await;
    let mut next = former.clone();
    next.uid = Uuid::new_v4();

    let successor = next.uid;
    db.write(epoch, |tx| async move { tx.upsert(&next).await }.boxed())
        .await
        .unwrap();

    assert_eq!(key_bytes(&database, former.uid).await, 0);
    let live = db.live_objects(Kind::Credential, None).await.unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].uid, successor);
    let all = db.credential_rows_all(true).await.unwrap();
    assert_eq!(all.len(), 2, "both rows are there");
}

#[tokio::test]
async fn a_destroyed_version_never_comes_back() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;
    let set = |state| {
        db.write(epoch, move |tx| {
            tx.credential_version_state_set(uid, 1, state, None).boxed()
        })
    };

    assert!(!set(VersionState::Current).await.unwrap().0);
    assert!(set(VersionState::Destroyed).await.unwrap().0);
    assert_eq!(key_bytes(&database, uid).await, 0);
    assert_eq!(set(VersionState::Current).await.unwrap(), (false, None));
}

#[tokio::test]
async fn only_one_version_is_current() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;

    let refused = insert(&db, epoch, rows::key_version(uid, 2, VersionState::Current)).await;
    assert!(matches!(refused, Err(DbError::Conflict(_))), "{refused:?}");
    let pending = rows::key_version(uid, 2, VersionState::Pending);
    insert(&db, epoch, pending).await.unwrap();
    let grace = "2030-01-01T00:00:00Z".parse().unwrap();
    db.write(epoch, move |tx| {
        async move {
            tx.credential_version_state_set(uid, 1, VersionState::Previous, Some(grace))
                .await?;
            tx.credential_version_state_set(uid, 2, VersionState::Current, Some(grace))
                .await
        }
        .boxed()
    })
    .await
    .unwrap();

    let versions = db.credential_version_rows(&[uid]).await.unwrap();
    let states: Vec<_> = versions
        .iter()
        .map(|row| (row.version, row.state, row.grace_until))
        .collect();
    assert_eq!(
        states,
        [
            (2, VersionState::Current, Some(grace)),
            (1, VersionState::Previous, Some(grace))
        ]
    );
}

const OLD_KEK: &str = "0011223344556677";
const NEW_KEK: &str = "8899aabbccddeeff";

/// Replaces the wrap that was read by this one.
async fn rewrap(db: &Db, epoch: Epoch, read: &WrappedVersion, new: &'static [u8]) -> u64 {
    let wrap = NewWrap {
        credential_uid: read.credential_uid,
        version: read.version,
        old: read.wrapped_key.clone(),
        new: new.to_vec(),
    };
    db.write_unversioned(epoch, move |tx| {
        async move { tx.wraps_replace(OLD_KEK, NEW_KEK, &[wrap]).await }.boxed()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_data_key_is_wrapped_anew_unless_another_was_faster() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;
    let before = db.feed_state().await.unwrap().revision;
    let old = db.wrapped_versions(OLD_KEK, None, 10).await.unwrap();
    assert_eq!(old.len(), 1);
    assert_eq!(
        (old[0].namespace.as_str(), old[0].name.as_str()),
        ("team", "c")
    );
    let payload = db.sealed_version(uid, 1).await.unwrap().unwrap().payload;

    assert_eq!(rewrap(&db, epoch, &old[0], &[9, 9]).await, 1);
    assert_eq!(
        rewrap(&db, epoch, &old[0], &[8, 8]).await,
        0,
        "the old wrap is gone"
    );

    let sealed = db.sealed_version(uid, 1).await.unwrap().unwrap();
    assert_eq!(
        (sealed.kek_id.as_str(), &sealed.wrapped_key[..]),
        (NEW_KEK, &[9, 9][..])
    );
    assert_eq!(sealed.payload, payload);
    assert_eq!(db.wrapped_versions(OLD_KEK, None, 10).await.unwrap(), []);
    assert_eq!(db.feed_state().await.unwrap().revision, before);
    assert!(!format!("{sealed:?} {old:?}").contains("[4, 5, 6]"));
    assert!(!format!("{old:?}").contains("[1, 2, 3]"));
}

#[tokio::test]
async fn a_destroyed_key_is_not_wrapped_anew_and_one_that_is_being_written_is_not_waited_for() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;
    let old = db.wrapped_versions(OLD_KEK, None, 10).await.unwrap();
    let mut other = database.connect("llmplane_owner").await;
    sqlx::raw_sql("BEGIN; SELECT FROM credential_versions FOR UPDATE")
        .execute(&mut other)
        .await
        .unwrap();
    assert_eq!(rewrap(&db, epoch, &old[0], &[9, 9]).await, 0);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    db.write(epoch, move |tx| {
        async move {
            tx.credential_version_state_set(uid, 1, VersionState::Destroyed, None)
                .await
        }
        .boxed()
    })
    .await
    .unwrap();
    assert_eq!(rewrap(&db, epoch, &old[0], &[9, 9]).await, 0);
    assert_eq!(key_bytes(&database, uid).await, 0);
    assert_eq!(db.keks_in_use().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn the_keys_in_use_are_counted_and_paged_through() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;
    for version in 2..=5 {
        let mut new = rows::key_version(uid, version, VersionState::Previous);
        new.sealed.kek_id = if version == 5 { NEW_KEK } else { OLD_KEK }.to_owned();
        insert(&db, epoch, new).await.unwrap();
    }
    assert_eq!(db.keks_in_use().await.unwrap(), [OLD_KEK, NEW_KEK]);
    let uses = db.kek_uses().await.unwrap();
    let uses: Vec<_> = uses
        .iter()
        .map(|u| (u.kek_id.as_str(), u.versions))
        .collect();
    assert_eq!(uses, [(OLD_KEK, 4), (NEW_KEK, 1)]);
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = db.wrapped_versions(OLD_KEK, after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.credential_uid, last.version));
        seen.extend(page.iter().map(|row| row.version));
    }
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[tokio::test]
async fn another_active_key_begins_the_rewrap_anew_and_its_end_is_noted_once() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    assert_eq!(db.rewrap_state().await.unwrap(), None);
    let activate = async |kek: &'static str| {
        let write = db.write_unversioned(epoch, move |tx| {
            async move { tx.rewrap_activate(kek).await }.boxed()
        });
        write.await.unwrap()
    };
    let start = async || {
        let write =
            db.write_unversioned(epoch, |tx| async move { tx.rewrap_start().await }.boxed());
        write.await.unwrap()
    };
    let end = async || {
        let write = db.write_unversioned(epoch, |tx| async move { tx.rewrap_end().await }.boxed());
        write.await.unwrap()
    };
    assert!(activate(OLD_KEK).await);
    assert!(!activate(OLD_KEK).await);
    assert_eq!(end().await, None, "it has not begun");
    assert!(start().await);
    assert!(!start().await, "it has begun already");
    assert!(db.rewrap_state().await.unwrap().unwrap().is_under_way());
    assert!(activate(NEW_KEK).await);
    assert!(!db.rewrap_state().await.unwrap().unwrap().is_under_way());
    assert!(start().await);
    assert_eq!(end().await, Some(0));
    assert_eq!(end().await, None);
    assert!(start().await, "there is something to be moved again");
}

#[tokio::test]
async fn a_keys_verdict_is_written_again_only_when_it_says_something_else() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;
    let (here, there) = (Uuid::new_v4(), Uuid::new_v4());
    let set = |endpoint, verdict| {
        db.write_unversioned(epoch, move |tx| {
            async move {
                tx.credential_version_verdict_set(uid, 1, endpoint, &verdict)
                    .await
            }
            .boxed()
        })
    };
    let accepted = rows::verdict(Reason::KeyAccepted, "accepted");
    let mut again = accepted.clone();
    again.request_id = Some("req-2".to_owned());

    assert!(set(here, accepted.clone()).await.unwrap());
    assert!(!set(here, again).await.unwrap());
    let rejected = rows::verdict(Reason::KeyRejected, "rejected");
    assert!(set(there, rejected.clone()).await.unwrap());

    let stored = db.credential_version_rows(&[uid]).await.unwrap();
    assert_eq!(
        stored[0].verdicts,
        [(here, accepted), (there, rejected)].into()
    );
}
