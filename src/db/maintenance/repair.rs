//! Rows that cannot be read: a column holds what no release of this project wrote. What can be derived
//! again is emptied, so that the row reads, and its object's reconcile writes it anew.

use uuid::Uuid;

use crate::crd::{Kind, ProviderType};
use crate::db::LiveObject;
use crate::db::tables::object::statements_of;
use crate::db::{Db, DbError, WriteTx};

impl Db {
    /// The live rows that cannot be read, found by reading all of them.
    pub async fn unreadable_rows(&self) -> Result<Vec<(Kind, Uuid)>, DbError> {
        Ok(self.read_all().await?.rows.unreadable)
    }

    /// Namespace and name of the providers that these endpoints hang on; of rows that cannot be read
    /// as well.
    pub async fn providers_of_endpoints(
        &self,
        endpoints: &[Uuid],
    ) -> Result<Vec<LiveObject>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                LiveObject,
                "SELECT uid, namespace, name FROM providers
                 WHERE uid IN (SELECT provider_uid FROM endpoints WHERE uid = ANY ($1))",
                endpoints,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }
}

impl WriteTx {
    /// Empties the columns of a row that may be unreadable: what is declared comes back with the
    /// object's reconcile, what was found with the next checks. A key version whose provider type is
    /// no word that is known is destroyed; the others keep their key. Answers whose row it is.
    pub async fn row_reset(
        &mut self,
        kind: Kind,
        uid: Uuid,
    ) -> Result<Option<LiveObject>, DbError> {
        if kind == Kind::Credential {
            self.versions_reset(uid).await?;
        }
        let whose = sqlx::query_as(&*statements_of(kind).reset)
            .bind(uid)
            .fetch_optional(&mut *self.tx)
            .await?
            .map(|(uid, namespace, name)| LiveObject {
                uid,
                namespace,
                name,
            });
        self.changed(kind, uid);
        Ok(whose)
    }

    async fn versions_reset(&mut self, credential: Uuid) -> Result<(), DbError> {
        let known = ProviderType::ALL.map(|known| known.to_string());
        sqlx::query!(
            "UPDATE credential_versions SET state = 'Destroyed', payload = NULL, wrapped_key = NULL,
                 since = now(), provider_type = (
                     SELECT p.type FROM credentials c JOIN providers p ON p.uid = c.provider_uid
                     WHERE c.uid = $1)
             WHERE credential_uid = $1 AND provider_type <> ALL ($2)",
            credential,
            &known,
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "UPDATE credential_versions SET verdicts = '{}',
                 since = CASE WHEN isfinite(since) THEN since ELSE now() END,
                 created_at = CASE WHEN isfinite(created_at) THEN created_at ELSE now() END,
                 grace_until = CASE WHEN isfinite(grace_until) THEN grace_until ELSE NULL END
             WHERE credential_uid = $1",
            credential,
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
