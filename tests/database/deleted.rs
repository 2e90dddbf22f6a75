//! Deleted rows, read by range and of one moment.

use futures::FutureExt;
use llmplane::crd::Kind;
use llmplane::crd::credential::VersionState;
use llmplane::db::{Db, DeletedRange, Epoch};
use sqlx::{Connection, Executor};
use uuid::Uuid;

use crate::support::database::{TestDatabase, soon};
use crate::support::plane::eventually;
use crate::support::rows;

/// The UIDs of a range, read so many at once.
async fn read(db: &Db, mut range: DeletedRange, at_most: usize) -> Vec<Uuid> {
    let mut uids = Vec::new();
    loop {
        let read = db.deleted_rows(Kind::Model, &range, at_most).await.unwrap();
        let mut rows = read.rows.models;
        assert!(rows.len() <= at_most);
        rows.sort_by(|a, b| (&a.namespace, &a.name, a.uid).cmp(&(&b.namespace, &b.name, b.uid)));
        uids.extend(rows.iter().map(|row| row.uid));
        match read.reached {
            Some(reached) => {
                assert_eq!(rows.last().map(|row| row.uid), Some(reached.uid));
                range = range.behind(reached);
            }
            None => return uids,
        }
    }
}

#[tokio::test]
async fn a_range_of_deleted_rows_is_read_in_the_order_of_bytes_from_where_one_left_off() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let (one, other) = (rows::provider("one"), rows::provider("other"));
    let providers = [one.uid, other.uid];
    let names = ["a", "ab", "a-b", "a.b", "b"];
    let mut models = Vec::new();
    for namespace in ["team", "team-b", "tea", "teams"] {
        for provider in providers {
            for name in names {
                let mut model = rows::model(provider, name);
                model.namespace = namespace.to_owned();
                models.push(model);
            }
        }
    }
    let live = rows::model(one.uid, "live");
    let deleted = models.clone();
    db.write(epoch, move |tx| {
        async move {
            tx.upsert(&one).await?;
            tx.upsert(&other).await?;
            tx.upsert(&live).await?;
            for model in &deleted {
                tx.upsert(model).await?;
                tx.soft_delete(Kind::Model, &[model.uid]).await?;
            }
            Ok(())
        }
        .boxed()
    })
    .await
    .unwrap();
    models.sort_by(|a, b| (&a.namespace, &a.name, a.uid).cmp(&(&b.namespace, &b.name, b.uid)));

    let everywhere = DeletedRange::everywhere();
    let team = DeletedRange::of_namespace("team");
    let named = DeletedRange::of_name("team", "a");
    let none = DeletedRange::of_name("team", "live");
    for (range, namespace, name, provider) in [
        (everywhere.clone(), None, None, None),
        (team.clone(), Some("team"), None, None),
        (named.clone(), Some("team"), Some("a"), None),
        (none, Some("team"), Some("live"), None),
        (
            everywhere.of_provider(Some(providers[0])),
            None,
            None,
            Some(providers[0]),
        ),
        (
            team.of_provider(Some(providers[1])),
            Some("team"),
            None,
            Some(providers[1]),
        ),
        (
            named.of_provider(Some(providers[1])),
            Some("team"),
            Some("a"),
            Some(providers[1]),
        ),
    ] {
        let expected: Vec<_> = models
            .iter()
            .filter(|model| namespace.is_none_or(|wanted| wanted == model.namespace))
            .filter(|model| name.is_none_or(|wanted| wanted == model.name))
            .filter(|model| provider.is_none_or(|wanted| wanted == model.provider_uid))
            .map(|model| model.uid)
            .collect();
        for at_most in [1, 3, 40, 100] {
            let found = read(&db, range.clone(), at_most).await;
            assert_eq!(found, expected, "{range:?}, {at_most} at once");
        }
    }
}

/// A deleted credential with one version.
async fn deleted_credential(db: &Db, epoch: Epoch) -> Uuid {
    let provider = rows::provider("p");
    let credential = rows::credential(provider.uid, "key");
    let uid = credential.uid;
    db.write(epoch, move |tx| {
        async move {
            tx.upsert(&provider).await?;
            tx.upsert(&credential).await?;
            let version = rows::key_version(uid, 1, VersionState::Current);
            tx.credential_version_insert(&version).await?;
            tx.soft_delete(Kind::Credential, &[uid]).await
        }
        .boxed()
    })
    .await
    .unwrap();
    uid
}

#[tokio::test]
async fn a_deleted_credential_and_its_versions_are_of_one_moment() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let uid = deleted_credential(&db, epoch).await;
    let mut owner = database.connect("llmplane_owner").await;
    let observer = database.controller().await;
    for reading in ["a range", "a name", "a UID"] {
        let mut change = owner.begin().await.unwrap();
        change
            .execute("LOCK TABLE credential_versions IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        let (db, kind) = (db.clone(), Kind::Credential);
        let read = tokio::spawn(async move {
            match reading {
                "a range" => {
                    let range = DeletedRange::everywhere();
                    db.deleted_rows(kind, &range, 1).await.map(|read| read.rows)
                }
                "a name" => db.deleted_row_of_name(kind, "team", "key").await,
                _ => db.object_row(kind, uid).await,
            }
        });
        // It has the credential and waits for the versions, of which another appears meanwhile.
        eventually("the reader waits", async || {
            let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'credential_versions'::regclass)";
            sqlx::query_scalar(waits).fetch_one(observer.pool()).await.unwrap()
        })
        .await;
        change
            .execute(
                "INSERT INTO credential_versions (credential_uid, version, state, fingerprint, masked_key, provider_type, allowed_hosts, kek_id)
                 SELECT credential_uid, max(version) + 1, 'Destroyed', 'f', 'm', 'OpenAI', '{}', 'k' FROM credential_versions GROUP BY 1",
            )
            .await
            .unwrap();
        let before: i64 = sqlx::query_scalar("SELECT count(*) - 1 FROM credential_versions")
            .fetch_one(&mut *change)
            .await
            .unwrap();
        change.commit().await.unwrap();
        let rows = soon(read).await.unwrap().unwrap();
        assert_eq!(rows.credentials.len(), 1, "{reading}");
        assert_eq!(rows.credential_versions.len() as i64, before, "{reading}");
    }
}

#[tokio::test]
async fn the_one_that_was_deleted_last_is_found_by_name() {
    let database = TestDatabase::migrated().await;
    let (db, epoch) = database.leader().await;
    let find = async || {
        let found = db.deleted_row_of_name(Kind::Provider, "team", "p");
        let rows = found.await.unwrap().providers;
        assert!(rows.len() <= 1);
        rows.first().map(|row| row.uid)
    };
    assert_eq!(find().await, None);
    let mut last = None;
    for _ in 0..5 {
        let row = rows::provider("p");
        let uid = row.uid;
        db.write(epoch, move |tx| {
            async move { tx.upsert(&row).await }.boxed()
        })
        .await
        .unwrap();
        assert_eq!(find().await, last, "it is live yet");
        db.write(epoch, move |tx| {
            async move { tx.soft_delete(Kind::Provider, &[uid]).await }.boxed()
        })
        .await
        .unwrap();
        last = Some(uid);
        assert_eq!(find().await, last);
    }
}
