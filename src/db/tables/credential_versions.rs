//! Versions of keys, and their sealed material.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::crd::credential::VersionState;
use crate::crd::{Kind, ProviderType};
use crate::db::types::{Jsonb, MaybeTime};
use crate::db::{AuditObject, Db, DbError, StoredCheck, WriteTx};

/// A version of a key as it is stored, without its sealed material.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialVersionRow {
    /// The credential.
    pub credential_uid: Uuid,
    /// Its number: 1 for the first.
    pub version: i32,
    /// Its state.
    pub state: VersionState,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// The key, masked.
    pub masked_key: String,
    /// Whose key it is. For display: every use decides by the sealed type.
    pub provider_type: ProviderType,
    /// Hosts that its owner allows. For display: every use decides by the sealed hosts.
    pub allowed_hosts: Vec<String>,
    /// The key-encryption key that wraps its data key.
    pub kek_id: String,
    /// What its checks concluded, by endpoint.
    pub verdicts: BTreeMap<Uuid, StoredCheck>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// Until when it may be used after another took its place, or its Secret stopped holding it; of a
    /// vendor's token its own end.
    pub grace_until: Option<Timestamp>,
    /// A hash of the declaration that a vendor's token was exchanged by; `None`: the key of a Secret.
    pub exchanged_with: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl CredentialVersionRow {
    /// What proofs name the key by: its fingerprint, or of a vendor's token, which changes all the time, the
    /// declaration that it was exchanged by.
    pub fn identity(&self) -> &str {
        self.exchanged_with.as_deref().unwrap_or(&self.fingerprint)
    }
}

/// The sealed material of a version: useless without the key-encryption key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedVersion {
    /// The credential.
    pub credential_uid: Uuid,
    /// The version.
    pub version: i32,
    /// The key-encryption key that wraps the data key.
    pub kek_id: String,
    /// The data key, wrapped.
    pub wrapped_key: Vec<u8>,
    /// The fields, encrypted under the data key.
    pub payload: Vec<u8>,
}

impl fmt::Debug for SealedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedVersion")
            .field("credential_uid", &self.credential_uid)
            .field("version", &self.version)
            .field("kek_id", &self.kek_id)
            .finish_non_exhaustive()
    }
}

/// A new version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    /// The sealed material, with credential and version.
    pub sealed: SealedVersion,
    /// Its first state; not `Destroyed`.
    pub state: VersionState,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// The key, masked.
    pub masked_key: String,
    /// Whose key it is.
    pub provider_type: ProviderType,
    /// Hosts that its owner allows.
    pub allowed_hosts: Vec<String>,
    /// Fingerprints of the fields of the key, each by itself.
    pub field_fingerprints: Vec<String>,
    /// The end of a vendor's token; `None` of the key of a Secret.
    pub ends: Option<Timestamp>,
    /// See [`CredentialVersionRow::exchanged_with`].
    pub exchanged_with: Option<String>,
}

/// What tells whether a string is a key, or a field of one, that was ever stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFingerprints {
    /// The credential.
    pub credential_uid: Uuid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether the credential is not deleted.
    pub is_live: bool,
    /// The version.
    pub version: i32,
    /// The state of the version.
    pub state: VersionState,
    /// Since when it is in it.
    pub since: Timestamp,
    /// Fingerprint of the whole key.
    pub fingerprint: String,
    /// Fingerprints of its fields.
    pub field_fingerprints: Vec<String>,
}

impl StoredFingerprints {
    /// As the audit names it.
    pub fn audit_object(&self) -> AuditObject {
        AuditObject {
            namespace: Some(self.namespace.clone()),
            kind: Some("LlmCredential".to_owned()),
            name: Some(self.name.clone()),
            object_uid: Some(self.credential_uid),
            credential_version: Some(self.version),
            fingerprint: Some(self.fingerprint.clone()),
        }
    }
}

macro_rules! select {
    ($connection:expr, $($tail:tt)+) => {
        sqlx::query_as!(
            CredentialVersionRow,
            r#"SELECT v.credential_uid, v.version, v.state AS "state: VersionState", v.fingerprint,
                      v.masked_key, v.provider_type AS "provider_type: ProviderType",
                      v.allowed_hosts, v.kek_id,
                      v.verdicts AS "verdicts: Jsonb<BTreeMap<Uuid, StoredCheck>>", v.since,
                      v.grace_until AS "grace_until!: MaybeTime", v.exchanged_with, v.created_at
               FROM credential_versions v "# + $($tail)+
        )
        .fetch_all($connection)
        .await?
    };
}

/// All versions of these credentials, newest first.
pub(in crate::db) async fn of(
    connection: &mut PgConnection,
    credentials: &[Uuid],
) -> Result<Vec<CredentialVersionRow>, DbError> {
    if credentials.is_empty() {
        return Ok(Vec::new());
    }
    Ok(select!(
        connection,
        "WHERE v.credential_uid = ANY ($1) ORDER BY v.credential_uid, v.version DESC",
        credentials
    ))
}

/// All versions of live credentials, newest first.
pub(in crate::db) async fn all_live(
    connection: &mut PgConnection,
) -> Result<Vec<CredentialVersionRow>, DbError> {
    Ok(select!(
        connection,
        "JOIN credentials c ON c.uid = v.credential_uid
         WHERE c.deleted_at IS NULL ORDER BY v.credential_uid, v.version DESC"
    ))
}

impl CredentialVersionRow {
    /// When a vendor's token ends; a Secret's key does not end by itself.
    pub fn token_end(&self) -> Option<Timestamp> {
        self.exchanged_with.as_ref().and(self.grace_until)
    }
}

impl Db {
    /// All versions of these credentials, newest first within each.
    pub async fn credential_version_rows(
        &self,
        credentials: &[Uuid],
    ) -> Result<Vec<CredentialVersionRow>, DbError> {
        self.in_time(async { of(&mut *self.pool.acquire().await?, credentials).await })
            .await
    }

    /// The sealed material of a version; `None` where there is no such version or it is destroyed.
    pub async fn sealed_version(
        &self,
        credential: Uuid,
        version: i32,
    ) -> Result<Option<SealedVersion>, DbError> {
        self.in_time(async { Ok(sqlx::query_as!(
            SealedVersion,
            r#"SELECT credential_uid, version, kek_id, wrapped_key AS "wrapped_key!", payload AS "payload!"
               FROM credential_versions
               WHERE credential_uid = $1 AND version = $2 AND state <> 'Destroyed'"#,
            credential,
            version,
        )
        .fetch_optional(&self.pool)
        .await?) }).await
    }

    /// The fingerprints of every version that was stored and is not forgotten, destroyed ones and
    /// those of deleted credentials included; of one namespace, or of all.
    pub async fn stored_fingerprints(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<StoredFingerprints>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                StoredFingerprints,
                r#"SELECT v.credential_uid, c.namespace, c.name, c.deleted_at IS NULL AS "is_live!", v.version,
                          v.state AS "state: VersionState", v.since, v.fingerprint, v.field_fingerprints
                   FROM credential_versions v JOIN credentials c ON c.uid = v.credential_uid
                   WHERE $1::text IS NULL OR c.namespace = $1
                   ORDER BY c.namespace, c.name, v.credential_uid, v.version DESC"#,
                namespace,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }

    /// The sealed material of all versions of a credential that still have it.
    pub async fn sealed_versions(&self, credential: Uuid) -> Result<Vec<SealedVersion>, DbError> {
        self.in_time(async { Ok(sqlx::query_as!(
            SealedVersion,
            r#"SELECT credential_uid, version, kek_id, wrapped_key AS "wrapped_key!", payload AS "payload!"
               FROM credential_versions WHERE credential_uid = $1 AND state <> 'Destroyed'"#,
            credential,
        )
        .fetch_all(&self.pool)
        .await?) }).await
    }
}

impl WriteTx {
    /// Stores a new version: visible with its credential.
    ///
    /// # Errors
    ///
    /// [`DbError::Conflict`] when the number is taken, or another version is already current.
    pub async fn credential_version_insert(&mut self, new: &NewVersion) -> Result<(), DbError> {
        sqlx::query!(
            r#"INSERT INTO credential_versions (credential_uid, version, state, fingerprint,
                   masked_key, provider_type, allowed_hosts, kek_id, wrapped_key, payload, field_fingerprints,
                   grace_until, exchanged_with)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"#,
            new.sealed.credential_uid,
            new.sealed.version,
            new.state.as_str(),
            new.fingerprint,
            new.masked_key,
            new.provider_type.as_str(),
            &new.allowed_hosts,
            new.sealed.kek_id,
            new.sealed.wrapped_key,
            new.sealed.payload,
            &new.field_fingerprints,
            new.ends.map(ToSqlx::to_sqlx),
            new.exchanged_with,
        )
        .execute(&mut *self.tx)
        .await?;
        self.kek_note(&new.sealed.kek_id).await?;
        self.changed(Kind::Credential, new.sealed.credential_uid);
        Ok(())
    }

    /// Removes what is left of tokens that a vendor gave in place of a key and that were destroyed more than
    /// two days ago: one is replaced every half hour.
    pub async fn credential_tokens_forget(&mut self, credential: Uuid) -> Result<(), DbError> {
        sqlx::query!("SELECT llmplane_fn.forget_tokens($1)", credential)
            .fetch_one(&mut *self.tx)
            .await?;
        self.wrote();
        Ok(())
    }

    /// Moves a version to a state: visible with its credential, unless it is in it already.
    /// `Destroyed` destroys its key material; nothing leaves `Destroyed`. `grace_until` is kept
    /// for `Previous`, for `Current` while its Secret does not hold it, and of a vendor's token.
    pub async fn credential_version_state_set(
        &mut self,
        credential: Uuid,
        version: i32,
        state: VersionState,
        grace_until: Option<Timestamp>,
    ) -> Result<bool, DbError> {
        let grace_until =
            grace_until.filter(|_| matches!(state, VersionState::Previous | VersionState::Current));
        let changed = sqlx::query!(
            r#"UPDATE credential_versions SET state = $3, grace_until = $4,
                   since = CASE WHEN state = $3 THEN since ELSE now() END,
                   verdicts = CASE WHEN $3 = 'Destroyed' THEN '{}' ELSE verdicts END,
                   payload = CASE WHEN $3 = 'Destroyed' THEN NULL ELSE payload END,
                   wrapped_key = CASE WHEN $3 = 'Destroyed' THEN NULL ELSE wrapped_key END
               WHERE credential_uid = $1 AND version = $2 AND state <> 'Destroyed'
                 AND (state, grace_until) IS DISTINCT FROM ($3, $4::timestamptz)"#,
            credential,
            version,
            state.as_str(),
            grace_until.map(ToSqlx::to_sqlx),
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        if changed {
            self.changed(Kind::Credential, credential);
        }
        Ok(changed)
    }

    /// Notes what a check of a version at an endpoint concluded, unless the stored verdict says
    /// the same. It takes no revision.
    pub async fn credential_version_verdict_set(
        &mut self,
        credential: Uuid,
        version: i32,
        endpoint: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        let changed = sqlx::query!(
            r#"UPDATE credential_versions SET verdicts = verdicts || jsonb_build_object($3::text, $4::jsonb)
               WHERE credential_uid = $1 AND version = $2 AND state <> 'Destroyed'
                 AND (verdicts -> $3::text -> 'reason', verdicts -> $3::text -> 'message',
                      verdicts -> $3::text -> 'generation', verdicts -> $3::text -> 'inputs',
                      verdicts -> $3::text -> 'doubts', verdicts -> $3::text -> 'was_accepted')
                   IS DISTINCT FROM ($4::jsonb -> 'reason', $4 -> 'message', $4 -> 'generation', $4 -> 'inputs',
                      $4 -> 'doubts', $4 -> 'was_accepted')"#,
            credential,
            version,
            endpoint.to_string(),
            Json(verdict) as _,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        if changed {
            self.wrote();
        }
        Ok(changed)
    }

    /// Forgets what checks of a credential's versions concluded at other endpoints than these. It
    /// takes no revision.
    pub async fn credential_verdicts_keep(
        &mut self,
        credential: Uuid,
        endpoints: &[Uuid],
    ) -> Result<(), DbError> {
        let keep: Vec<String> = endpoints.iter().map(Uuid::to_string).collect();
        let changed = sqlx::query!(
            r#"UPDATE credential_versions v SET verdicts = (
                   SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}')
                   FROM jsonb_each(v.verdicts) e WHERE e.key = ANY ($2))
               WHERE credential_uid = $1
                 AND EXISTS (SELECT FROM jsonb_object_keys(v.verdicts) k WHERE k <> ALL ($2))"#,
            credential,
            &keep,
        )
        .execute(&mut *self.tx)
        .await?
        .rows_affected()
            > 0;
        if changed {
            self.wrote();
        }
        Ok(())
    }

    /// Puts a key that was sealed anew in place of what is stored of a version. Nobody sees a
    /// difference, so that it takes no revision.
    pub async fn credential_version_reseal(
        &mut self,
        sealed: &SealedVersion,
    ) -> Result<(), DbError> {
        sqlx::query!(
            r#"UPDATE credential_versions SET kek_id = $3, wrapped_key = $4, payload = $5
               WHERE credential_uid = $1 AND version = $2 AND state <> 'Destroyed'"#,
            sealed.credential_uid,
            sealed.version,
            sealed.kek_id,
            sealed.wrapped_key,
            sealed.payload,
        )
        .execute(&mut *self.tx)
        .await?;
        self.kek_note(&sealed.kek_id).await?;
        self.wrote();
        Ok(())
    }

    /// Destroys all key material of these credentials.
    pub(in crate::db) async fn key_material_destroy(
        &mut self,
        credentials: &[Uuid],
    ) -> Result<(), DbError> {
        sqlx::query!(
            r#"UPDATE credential_versions
               SET state = 'Destroyed', since = now(), grace_until = NULL, verdicts = '{}',
                   payload = NULL, wrapped_key = NULL
               WHERE credential_uid = ANY ($1) AND state <> 'Destroyed'"#,
            credentials,
        )
        .execute(&mut *self.tx)
        .await?;
        self.wrote();
        Ok(())
    }
}

/// What is stored of the version in use of a live credential's key.
#[derive(Clone, Debug)]
pub struct CurrentKey {
    /// The sealed material, with credential and version.
    pub sealed: SealedVersion,
    /// Fingerprint of the key.
    pub fingerprint: String,
}

impl Db {
    /// What is stored of the versions in use of these credentials. One that is deleted, or has none in
    /// use, is left out.
    pub async fn current_keys(&self, credentials: &[Uuid]) -> Result<Vec<CurrentKey>, DbError> {
        self.in_time(async {
            let rows = sqlx::query!(
                r#"SELECT v.credential_uid, v.version, v.kek_id, v.wrapped_key AS "wrapped_key!",
                          v.payload AS "payload!", v.fingerprint
                   FROM credential_versions v
                   WHERE v.credential_uid = ANY ($1) AND v.state = 'Current'"#,
                credentials,
            )
            .fetch_all(&self.pool)
            .await?;
            let keys = rows.into_iter().map(|row| CurrentKey {
                sealed: SealedVersion {
                    credential_uid: row.credential_uid,
                    version: row.version,
                    kek_id: row.kek_id,
                    wrapped_key: row.wrapped_key,
                    payload: row.payload,
                },
                fingerprint: row.fingerprint,
            });
            Ok(keys.collect())
        })
        .await
    }
}
