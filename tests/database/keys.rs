//! Versions of keys.

use futures::FutureExt;
use llmplane::crd::Kind;
use llmplane::crd::credential::VersionState;
use llmplane::crd::reasons::Reason;
use llmplane::db::{Changes, Db, DbError, DeclaredCredential, Epoch, NewVersion, WriteResult};
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

#[tokio::test]
async fn a_data_key_is_wrapped_anew_unless_another_was_faster() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = credential(&db, epoch).await.uid;
    let before = db.feed_state().await.unwrap().revision;
    let new_kek = "8899aabbccddeeff";
    let old = db.sealed_versions_not_under(new_kek, 10).await.unwrap();
    assert_eq!(old.len(), 1);

    let rewrap = |wrap: &'static [u8]| {
        let old = old[0].clone();
        db.write_unversioned(epoch, move |tx| {
            async move { tx.credential_version_rewrap(&old, new_kek, wrap).await }.boxed()
        })
    };
    assert!(rewrap(&[9, 9]).await.unwrap());
    assert!(!rewrap(&[8, 8]).await.unwrap(), "the old wrap is gone");

    let sealed = db.sealed_version(uid, 1).await.unwrap().unwrap();
    assert_eq!(sealed.wrapped_key, [9, 9]);
    assert_eq!(sealed.payload, old[0].payload);
    assert_eq!(db.sealed_versions_not_under(new_kek, 10).await.unwrap(), []);
    assert_eq!(db.feed_state().await.unwrap().revision, before);
    assert!(!format!("{sealed:?}").contains("[4, 5, 6]"));
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
