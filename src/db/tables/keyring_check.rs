//! Which keyring the stored fingerprints were made with.

use crate::db::{Db, DbError, WriteTx};

impl Db {
    /// The value that stands for the `fingerprint.key` that stored fingerprints were made with; `None`
    /// before a controller has led.
    pub async fn keyring_check(&self) -> Result<Option<Vec<u8>>, DbError> {
        self.in_time(async {
            Ok(
                sqlx::query_scalar!("SELECT fingerprint_key FROM keyring_check")
                    .fetch_optional(&self.pool)
                    .await?,
            )
        })
        .await
    }
}

impl WriteTx {
    /// The value that stands for the keyring's `fingerprint.key`; a database that has none takes
    /// this one.
    pub async fn keyring_check(&mut self, own: &[u8]) -> Result<Vec<u8>, DbError> {
        sqlx::query!(
            "INSERT INTO keyring_check (fingerprint_key) VALUES ($1) ON CONFLICT DO NOTHING",
            own,
        )
        .execute(&mut *self.tx)
        .await?;
        self.wrote();
        Ok(
            sqlx::query_scalar!("SELECT fingerprint_key FROM keyring_check")
                .fetch_one(&mut *self.tx)
                .await?,
        )
    }
}
