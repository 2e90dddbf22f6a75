//! What is stored is what was said.

use std::time::Duration;

use futures::FutureExt;
use llmplane::crd::Kind;
use llmplane::crd::credential::VersionState;
use llmplane::db::{Db, DbError, DeclaredModel, Epoch, UpsertedRow, WriteResult};
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::rows;

async fn store(db: &Db, epoch: Epoch, model: DeclaredModel) -> WriteResult<UpsertedRow> {
    db.write(epoch, |tx| async move { tx.upsert(&model).await }.boxed())
        .await
}

async fn provider(db: &Db, epoch: Epoch) -> Uuid {
    let provider = rows::provider("p");
    let uid = provider.uid;
    db.write(epoch, |tx| {
        async move { tx.upsert(&provider).await }.boxed()
    })
    .await
    .unwrap();
    uid
}

#[tokio::test]
async fn a_row_is_read_as_it_was_stored() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = rows::provider("p");
    let endpoint = rows::endpoint(provider.uid, "e");
    let credential = rows::credential(provider.uid, "c");
    let model = rows::model(provider.uid, "m");
    let all = (
        provider.clone(),
        endpoint.clone(),
        credential.clone(),
        model.clone(),
    );
    db.write(epoch, |tx| {
        async move {
            tx.upsert(&all.0).await?;
            tx.upsert(&all.1).await?;
            tx.upsert(&all.2).await?;
            tx.upsert(&all.3).await
        }
        .boxed()
    })
    .await
    .unwrap();

    let row = db.provider_row(provider.uid).await.unwrap().unwrap();
    assert_eq!((&row.declared, row.deleted_at), (&provider, None));
    let of_provider = db
        .endpoint_rows_of_providers(&[provider.uid])
        .await
        .unwrap();
    assert_eq!(of_provider.len(), 1);
    assert_eq!(of_provider[0].declared, endpoint);
    let row = db.credential_row(credential.uid).await.unwrap().unwrap();
    assert_eq!(row.declared, credential);
    let row = db.model_row(model.uid).await.unwrap().unwrap();
    assert_eq!(row.declared, model);
}

#[tokio::test]
async fn a_name_used_again_is_a_new_row() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = provider(&db, epoch).await;
    let former = rows::model(provider, "m");
    let next = rows::model(provider, "m");
    store(&db, epoch, former.clone()).await.unwrap();
    let (stored, _) = store(&db, epoch, next.clone()).await.unwrap();
    assert_eq!(
        stored.replaced,
        [former.uid],
        "its checks are to be forgotten"
    );

    let gone = db.model_row(former.uid).await.unwrap().unwrap();
    assert!(gone.deleted_at.is_some());
    let live = db.live_objects(Kind::Model, None).await.unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].uid, next.uid);

    // The very object again, as after a restore: its row lives on.
    db.write(epoch, move |tx| {
        async move { tx.soft_delete(Kind::Model, &[next.uid]).await }.boxed()
    })
    .await
    .unwrap();
    store(&db, epoch, former.clone()).await.unwrap();
    let back = db.model_row(former.uid).await.unwrap().unwrap();
    assert_eq!(back.deleted_at, None);
}

#[tokio::test]
async fn models_that_swap_their_ids_are_stored_in_either_order() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = provider(&db, epoch).await;
    let (mut a, mut b) = (rows::model(provider, "a"), rows::model(provider, "b"));
    store(&db, epoch, a.clone()).await.unwrap();
    store(&db, epoch, b.clone()).await.unwrap();
    std::mem::swap(&mut a.model_id, &mut b.model_id);

    let (stored, revision) = store(&db, epoch, a.clone()).await.unwrap();
    assert_eq!(stored.displaced, ["b"], "it is to be reconciled");
    let other = db.model_row(b.uid).await.unwrap().unwrap();
    assert!(!other.is_active && other.deleted_at.is_none());
    assert_eq!(Some(other.revision), revision.map(|r| r.0), "readers learn");

    let (stored, _) = store(&db, epoch, b.clone()).await.unwrap();
    assert_eq!(stored.displaced, [""; 0]);
    for model in [a, b] {
        let row = db.model_row(model.uid).await.unwrap().unwrap();
        assert_eq!((row.is_active, &row.model_id), (true, &model.model_id));
    }
}

#[tokio::test]
async fn live_objects_are_told_by_namespace() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = provider(&db, epoch).await;
    store(&db, epoch, rows::model(provider, "m")).await.unwrap();

    let of = async |namespaces: Option<&[String]>| {
        db.live_objects(Kind::Model, namespaces)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(of(None).await, 1);
    assert_eq!(of(Some(&["team".to_owned()])).await, 1);
    assert_eq!(of(Some(&["other".to_owned()])).await, 0);
}

#[tokio::test]
async fn of_two_models_of_one_id_the_one_stored_last_is_in_force() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = provider(&db, epoch).await;
    let older = rows::model(provider, "older");
    let mut newer = rows::model(provider, "newer");
    newer.model_id.clone_from(&older.model_id);
    let active = async |uid| db.model_row(uid).await.unwrap().unwrap().is_active;
    store(&db, epoch, older.clone()).await.unwrap();

    store(&db, epoch, newer.clone()).await.unwrap();
    assert!(!active(older.uid).await && active(newer.uid).await);
    newer.is_active = false;
    store(&db, epoch, newer.clone()).await.unwrap();
    assert!(!active(older.uid).await && !active(newer.uid).await);
    store(&db, epoch, older.clone()).await.unwrap();
    assert!(active(older.uid).await && !active(newer.uid).await);
}

#[tokio::test]
async fn a_child_of_an_unknown_provider_is_a_conflict() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let refused = store(&db, epoch, rows::model(Uuid::new_v4(), "orphan")).await;
    assert!(matches!(refused, Err(DbError::Conflict(_))), "{refused:?}");
}

#[tokio::test]
async fn a_nul_character_is_refused_and_harms_nothing_else() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let provider = provider(&db, epoch).await;
    let mut in_text = rows::model(provider, "text");
    in_text.display_name = Some("a\0b".to_owned());
    let mut in_json = rows::model(provider, "json");
    in_json.default_parameters = serde_json::json!({ "stop": "\0" }).as_object().cloned();

    for bad in [in_text, in_json] {
        let refused = store(&db, epoch, bad).await;
        assert!(
            matches!(refused, Err(DbError::Unstorable(_))),
            "{refused:?}"
        );
    }
    store(&db, epoch, rows::model(provider, "good"))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_deleted_long_ago_is_removed_for_good_once_no_reader_can_miss_it() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let (provider, kept) = (rows::provider("p"), rows::provider("kept"));
    let endpoint = rows::endpoint(provider.uid, "e");
    let credential = rows::credential(provider.uid, "c");
    let model = rows::model(provider.uid, "m");
    let (p, k, e, c, m) = (
        provider.uid,
        kept.uid,
        endpoint.uid,
        credential.uid,
        model.uid,
    );
    let version = rows::key_version(c, 1, VersionState::Current);
    db.write(epoch, move |tx| {
        async move {
            tx.upsert(&provider).await?;
            tx.upsert(&kept).await?;
            tx.upsert(&endpoint).await?;
            tx.upsert(&credential).await?;
            tx.credential_version_insert(&version).await?;
            tx.upsert(&model).await?;
            let list = [("m".to_owned(), serde_json::json!({}))].into();
            tx.listed_models_replace(e, "https://a.example", &list)
                .await?;
            for (kind, uid) in [
                (Kind::Model, m),
                (Kind::Credential, c),
                (Kind::Endpoint, e),
                (Kind::Provider, p),
                (Kind::Provider, k),
            ] {
                tx.soft_delete(kind, &[uid]).await?;
            }
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap();
    let purged = async || {
        let mut removed = 0;
        loop {
            let batch = db.write_unversioned(epoch, |tx| tx.deleted_purge(1).boxed());
            match batch.await.unwrap() {
                0 => break removed,
                rows => removed += rows,
            }
        }
    };
    assert_eq!(purged().await, 1, "the deleted endpoint's model list");
    let mut owner = database.connect("llmplane_owner").await;
    for table in ["providers", "endpoints", "credentials", "models"] {
        let age = format!(
            "UPDATE {table} SET deleted_at = now() - interval '31 days' WHERE name <> 'kept'"
        );
        sqlx::query(sqlx::AssertSqlSafe(age))
            .execute(&mut owner)
            .await
            .unwrap();
    }
    assert_eq!(purged().await, 0, "a reader may still resume from before");
    let newer = rows::provider("newer");
    db.write(epoch, |tx| async move { tx.upsert(&newer).await }.boxed())
        .await
        .unwrap();
    db.write_unversioned(epoch, |tx| {
        tx.changes_compact(Duration::ZERO, 1, 1000).boxed()
    })
    .await
    .unwrap();
    let before = db.feed_state().await.unwrap();
    assert_eq!(purged().await, 5);
    assert_eq!(db.provider_row(p).await.unwrap(), None);
    assert_eq!(db.endpoint_row(e).await.unwrap(), None);
    assert_eq!(db.credential_row(c).await.unwrap(), None);
    assert_eq!(db.model_row(m).await.unwrap(), None);
    assert!(db.provider_row(k).await.unwrap().is_some());
    assert_eq!(db.feed_state().await.unwrap(), before, "no revision");
}

#[tokio::test]
async fn keys_destroyed_long_ago_are_forgotten_but_for_the_newest() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let credential = rows::credential(provider(&db, epoch).await, "c");
    let c = credential.uid;
    db.write(epoch, move |tx| {
        async move {
            tx.upsert(&credential).await?;
            for version in 1..=3 {
                let state = match version {
                    2 => VersionState::Current,
                    _ => VersionState::Pending,
                };
                tx.credential_version_insert(&rows::key_version(c, version, state))
                    .await?;
            }
            for version in [1, 3] {
                tx.credential_version_state_set(c, version, VersionState::Destroyed, None)
                    .await?;
            }
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap();
    let mut owner = database.connect("llmplane_owner").await;
    for age in [
        "UPDATE credential_versions SET since = now() - interval '31 days'",
        "UPDATE credentials SET version = 2",
    ] {
        sqlx::query(age).execute(&mut owner).await.unwrap();
    }
    let purge = db.write_unversioned(epoch, |tx| tx.deleted_purge(10).boxed());
    assert_eq!(purge.await.unwrap(), 1);
    let left = db.credential_version_rows(&[c]).await.unwrap();
    let left: Vec<_> = left.iter().map(|row| row.version).collect();
    assert_eq!(left, [3, 2], "a number is never used twice");
}
