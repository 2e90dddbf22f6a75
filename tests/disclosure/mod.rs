//! Giving keys out, on a real PostgreSQL and with a real keyring: what the database decides, what is
//! recorded, and what happens where nothing can be.

mod callers;
mod edited_rows;
mod faults;
mod quotas;
mod restored;
mod scene;
mod verdicts;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use llmplane::crd::ProviderType;
use llmplane::crd::credential::VersionState;
use llmplane::db::{AuditActor, AuditFilter, AuditRow, Db, DeclaredCredential, Epoch, NewVersion};
use llmplane::encryption::kek::folder;
use llmplane::encryption::{Fingerprint, KeyringHandle, Payload, SecretFields};
use llmplane::keys::disclose::{
    Discloser, DisclosureMetrics, KeyRequest, LateKeyring, Refusal, RefusalLog, WantedKey, ledger,
};
use llmplane::keys::{Vendor, seal::seal_version};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::plane::eventually;
use crate::support::rows;

const VENDOR: Vendor = Vendor {
    type_: ProviderType::OpenAI,
    own_hosts: &["api.openai.com"],
};
const URL: &str = "https://api.openai.com/v1";

/// A database with credentials in it, as a controller would have stored them.
pub struct Vault {
    pub database: TestDatabase,
    pub db: Db,
    pub epoch: Epoch,
    keyring: tempfile::TempDir,
    provider: Uuid,
}

impl Vault {
    pub async fn new() -> Self {
        Self::in_database(TestDatabase::migrated().await).await
    }

    pub async fn in_database(database: TestDatabase) -> Self {
        let (db, epoch) = database.leader().await;
        let keyring = tempfile::tempdir().unwrap();
        folder::create(&keyring.path().join("ring")).unwrap();
        let provider = rows::provider("p");
        let uid = provider.uid;
        db.write(epoch, move |tx| {
            Box::pin(async move { tx.upsert(&provider).await })
        })
        .await
        .unwrap();
        let vault = Self {
            database,
            db,
            epoch,
            keyring,
            provider: uid,
        };
        vault.mark_swept().await;
        vault
    }

    pub fn keyring_dir(&self) -> std::path::PathBuf {
        self.keyring.path().join("ring")
    }

    /// Says that the credentials were compared with the cluster.
    pub async fn mark_swept(&self) {
        // More than once, where the server was started again and connections are of the one before.
        eventually("the database is marked", async || {
            let mark = self.db.write_unversioned(self.epoch, |tx| {
                Box::pin(async move { tx.database_mark_swept(llmplane::db::Revision(0)).await })
            });
            mark.await.is_ok()
        })
        .await;
    }

    /// A credential with this key, and changes to its row.
    pub async fn credential(&self, name: &str, key: &str) -> Uuid {
        self.credential_with(name, key, |_| ()).await
    }

    pub async fn credential_with(
        &self,
        name: &str,
        key: &str,
        change: impl FnOnce(&mut DeclaredCredential),
    ) -> Uuid {
        let mut row = rows::credential(self.provider, name);
        (row.quota_limit, row.quota_unit, row.quota_period) = (None, None, None);
        row.expires_at = None;
        change(&mut row);
        let uid = row.uid;
        let version = self.sealed(uid, name, 1, key).await;
        self.db
            .write(self.epoch, move |tx| {
                Box::pin(async move {
                    tx.upsert(&row).await?;
                    tx.credential_version_insert(&version).await
                })
            })
            .await
            .unwrap();
        uid
    }

    /// Another version of a credential's key, which takes the place of the one before.
    pub async fn rotate(
        &self,
        uid: Uuid,
        name: &str,
        to: i32,
        key: &str,
        grace: Option<Timestamp>,
    ) {
        let version = self.sealed(uid, name, to, key).await;
        self.db
            .write(self.epoch, move |tx| {
                Box::pin(async move {
                    let state = match grace {
                        Some(_) => VersionState::Previous,
                        None => VersionState::Destroyed,
                    };
                    tx.credential_version_state_set(uid, to - 1, state, grace)
                        .await?;
                    tx.credential_version_insert(&version).await
                })
            })
            .await
            .unwrap();
    }

    async fn sealed(&self, uid: Uuid, name: &str, version: i32, key: &str) -> NewVersion {
        let keyring = KeyringHandle::open(&self.keyring_dir()).unwrap();
        let payload = Payload {
            fields: SecretFields {
                api_key: Some(key.to_owned().into()),
                ..SecretFields::default()
            },
            provider_type: "OpenAI".to_owned(),
            allowed_hosts: Vec::new(),
        };
        let fingerprint_key = keyring.fingerprint_key().unwrap();
        let fingerprint = Fingerprint::of(&fingerprint_key, uid, &payload.fields);
        let sealed = seal_version(&keyring, ("team", name, uid), version, &payload).await;
        NewVersion {
            sealed: sealed.unwrap(),
            fingerprint: fingerprint.to_string(),
            allowed_hosts: Vec::new(),
            ..rows::key_version(uid, version, VersionState::Current)
        }
    }

    /// Changes what is stored, past everything that guards it.
    pub async fn edit(&self, statement: &str) {
        let mut owner = self.database.connect("llmplane_owner").await;
        owner
            .execute(AssertSqlSafe(statement.to_owned()))
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// A replica that gives keys out of this database.
    pub fn replica(&self) -> Replica {
        self.replica_by(&self.database.api_url)
    }

    /// A replica that reaches the database by this URL.
    pub fn replica_by(&self, url: &str) -> Replica {
        let metrics = DisclosureMetrics::default();
        let refusals = RefusalLog::new(metrics.clone());
        let ledger = ledger(url).unwrap();
        let keyring = LateKeyring::new(self.keyring_dir());
        let (discloser, workers) =
            Discloser::new(ledger.clone(), keyring, refusals.clone(), metrics);
        let stop = CancellationToken::new();
        Replica {
            discloser,
            workers: tokio::spawn(workers.run(stop.clone())),
            refusals: tokio::spawn(refusals.run(ledger, stop.clone())),
            stop,
        }
    }

    /// The audit's rows of this result, oldest first.
    pub async fn audited(&self, result: &str) -> Vec<AuditRow> {
        let filter = AuditFilter {
            action: Some("Disclose".to_owned()),
            result: Some(result.to_owned()),
            ..AuditFilter::default()
        };
        // Anew: a server that was killed in between has closed what was open.
        let db = self.database.controller().await;
        let mut rows = db.audit_rows(&filter, None, 100_000).await.unwrap();
        rows.reverse();
        rows
    }
}

/// The function that decides about keys and records it, as a right names it.
pub const RECORD: &str = "FUNCTION llmplane_fn.record_disclosures(jsonb, jsonb, integer[], integer[], text[], text[], \
     text[], text[], text[], text[], text[])";

/// What gives keys out in an API's process.
pub struct Replica {
    discloser: Discloser,
    workers: JoinHandle<()>,
    refusals: JoinHandle<()>,
    stop: CancellationToken,
}

pub fn request(actor: &str, (uid, name): (Uuid, &str)) -> KeyRequest {
    KeyRequest {
        actor: Arc::new(AuditActor {
            actor: actor.to_owned(),
            actor_uid: Some("uid-1".to_owned()),
            actor_groups: vec!["system:authenticated".to_owned()],
            pod: Some("pod-1".to_owned()),
            pod_uid: Some("pod-uid-1".to_owned()),
            node: Some("node-1".to_owned()),
            token_id: Some("JTI=1".to_owned()),
        }),
        key: Arc::new(wanted(uid, name)),
        purpose: Some("nightly run".to_owned()),
    }
}

fn wanted(credential: Uuid, name: &str) -> WantedKey {
    WantedKey {
        credential,
        namespace: "team".to_owned(),
        name: name.to_owned(),
        vendor: VENDOR,
        url: URL.parse().unwrap(),
        detail: json!({ "endpoint": "e" }),
    }
}

impl Replica {
    /// Asks for a credential's key. An answer is promised within two seconds; a busy machine is given more, so that
    /// only a fault exceeds it.
    pub async fn ask(&self, actor: &str, credential: (Uuid, &str)) -> Result<String, Refusal> {
        self.send(request(actor, credential)).await
    }

    pub async fn send(&self, request: KeyRequest) -> Result<String, Refusal> {
        let asked = self.discloser.disclose(request);
        let answer = tokio::time::timeout(Duration::from_secs(6), asked).await;
        let key = answer.expect("everybody gets an answer")?;
        let key = key.fields.api_key.expect("it has one");
        Ok(key.expose_secret().to_owned())
    }

    /// Ends it in order, so that its refusals are written.
    pub async fn end(self) {
        self.stop.cancel();
        self.workers.await.unwrap();
        self.refusals.await.unwrap();
    }
}
