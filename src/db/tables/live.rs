//! What is live of a kind, and how it is removed: softly, and with its key material.

use sqlx::PgConnection;
use uuid::Uuid;

use super::object::statements_of;
use crate::crd::Kind;
use crate::db::{Db, DbError, WriteTx};

/// A live object's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LiveObject {
    /// Its UID.
    pub uid: Uuid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Db {
    /// The live objects of a kind, in these namespaces or (`None`) in all.
    pub async fn live_objects(
        &self,
        kind: Kind,
        namespaces: Option<&[String]>,
    ) -> Result<Vec<LiveObject>, DbError> {
        self.in_time(async { live(&mut *self.pool.acquire().await?, kind, namespaces).await })
            .await
    }
}

pub(in crate::db) async fn live(
    connection: &mut PgConnection,
    kind: Kind,
    namespaces: Option<&[String]>,
) -> Result<Vec<LiveObject>, DbError> {
    macro_rules! live {
        ($table:literal) => {
            sqlx::query_as!(
                LiveObject,
                "SELECT uid, namespace, name FROM "
                    + $table
                    + " WHERE deleted_at IS NULL AND ($1::text[] IS NULL OR namespace = ANY ($1))
                            ORDER BY namespace, name",
                namespaces as Option<&[String]>,
            )
            .fetch_all(connection)
            .await?
        };
    }
    Ok(match kind {
        Kind::Provider => live!("providers"),
        Kind::Endpoint => live!("endpoints"),
        Kind::Credential => live!("credentials"),
        Kind::Model => live!("models"),
        Kind::ModelClass => live!("model_classes"),
    })
}

impl WriteTx {
    /// Marks live objects as deleted, forgets what checks found of them, and destroys the key material
    /// of credentials among them.
    /// Answers how many there were.
    pub async fn soft_delete(&mut self, kind: Kind, uids: &[Uuid]) -> Result<usize, DbError> {
        let gone: Vec<Uuid> = sqlx::query_scalar(&*statements_of(kind).delete)
            .bind(uids)
            .fetch_all(&mut *self.tx)
            .await?;
        self.removed(kind, &gone).await
    }

    /// Sees to what else the deletion of these takes. Answers how many they are.
    pub(in crate::db) async fn removed(
        &mut self,
        kind: Kind,
        gone: &[Uuid],
    ) -> Result<usize, DbError> {
        if kind == Kind::Credential && !gone.is_empty() {
            self.key_material_destroy(gone).await?;
        }
        for uid in gone {
            self.changed(kind, *uid);
        }
        Ok(gone.len())
    }
}
