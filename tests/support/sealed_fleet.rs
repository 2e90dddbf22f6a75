//! Many stored keys at once, in a namespace that no controller watches, and readers that open them all
//! the while.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use llmplane::{
    db::Db,
    encryption::{Binding, KekId, KeyringHandle, Payload, SecretFields, seal},
    keys::open::open_stored,
};
use secrecy::ExposeSecret;
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use uuid::Uuid;

const NAMESPACE: &str = "fleet";

/// Credentials with many versions each, sealed under the key that was active when they were made.
pub struct Fleet {
    pub credentials: Vec<Uuid>,
    pub versions: i32,
}

fn name(uid: Uuid) -> String {
    format!("c-{uid}")
}

fn key(uid: Uuid, version: i32) -> String {
    format!("sk-{uid}-{version}")
}

impl Fleet {
    /// So many credentials with so many versions each. No controller owns them: none is swept or
    /// reconciled.
    pub async fn make(
        mut owner: PgConnection,
        keyring: &Path,
        credentials: usize,
        versions: i32,
    ) -> Self {
        let keyring = KeyringHandle::open(keyring).unwrap();
        let provider = Uuid::new_v4();
        sqlx::query(
            "INSERT INTO providers (uid, namespace, name, generation, enabled, is_active, conditions, created_at, type, model_sync)
             VALUES ($1, $2, 'p-' || $1, 1, true, true, '[]', now(), 'OpenAI', $3)",
        )
        .bind(provider)
        .bind(NAMESPACE)
        .bind(sqlx::types::Json(llmplane::crd::provider::ModelSync::default()))
        .execute(&mut owner)
        .await
        .unwrap();
        let uids: Vec<Uuid> = (0..credentials).map(|_| Uuid::new_v4()).collect();
        for uid in &uids {
            sqlx::query(
                "INSERT INTO credentials (uid, namespace, name, generation, enabled, is_active, conditions, created_at,
                     provider_uid, endpoint_uids, priority, grace_seconds, validation, secret_name)
                 VALUES ($1, $2, $3, 1, true, true, '[]', now(), $4, '{}', 100, 3600, $5, 's')",
            )
            .bind(uid)
            .bind(NAMESPACE)
            .bind(name(*uid))
            .bind(provider)
            .bind(sqlx::types::Json(llmplane::crd::credential::Validation::default()))
            .execute(&mut owner)
            .await
            .unwrap();
            let (mut numbers, mut keks, mut wraps, mut payloads) = (vec![], vec![], vec![], vec![]);
            for version in 1..=versions {
                let payload = Payload {
                    fields: SecretFields {
                        api_key: Some(key(*uid, version).into()),
                        ..SecretFields::default()
                    },
                    provider_type: "OpenAI".to_owned(),
                    allowed_hosts: Vec::new(),
                };
                let binding = Binding {
                    namespace: NAMESPACE,
                    name: &name(*uid),
                    uid: *uid,
                    version,
                };
                let sealed = seal(keyring.keks(), &binding, &payload).await.unwrap();
                numbers.push(version);
                keks.push(sealed.kek_id.to_string());
                wraps.push(sealed.wrapped_key);
                payloads.push(sealed.payload);
            }
            sqlx::query(
                "INSERT INTO credential_versions (credential_uid, version, state, fingerprint, masked_key, provider_type,
                     allowed_hosts, kek_id, wrapped_key, payload, grace_until)
                 SELECT $1, version, 'Previous', 'f', '****', 'OpenAI', '{}', kek, wrap, payload, now() + interval '1 day'
                 FROM unnest($2::integer[], $3::text[], $4::bytea[], $5::bytea[]) AS v (version, kek, wrap, payload)",
            )
            .bind(uid)
            .bind(numbers)
            .bind(keks)
            .bind(wraps)
            .bind(payloads)
            .execute(&mut owner)
            .await
            .unwrap();
        }
        Self {
            credentials: uids,
            versions,
        }
    }

    pub fn len(&self) -> i64 {
        i64::try_from(self.credentials.len()).unwrap() * i64::from(self.versions)
    }

    /// How many of its versions open, and to what was sealed.
    pub async fn opened(&self, db: &Db, keyring: &Path) -> i64 {
        let keyring = KeyringHandle::open(keyring).unwrap();
        let mut opened = 0;
        for uid in &self.credentials {
            for stored in db.sealed_versions(*uid).await.unwrap() {
                let version = stored.version;
                let payload = open_stored(&keyring, NAMESPACE, &name(*uid), stored).await;
                let holds = payload.is_ok_and(|payload| {
                    payload.fields.api_key.unwrap().expose_secret() == key(*uid, version)
                });
                opened += i64::from(holds);
            }
        }
        opened
    }
}

/// How many versions are under this key.
pub async fn under(db: &Db, kek: KekId) -> i64 {
    let uses = db.kek_uses().await.unwrap();
    let used = uses.iter().find(|used| used.kek_id == kek.to_string());
    used.map_or(0, |used| used.versions)
}

/// Opens stored keys over and over, as a replica of the read API would, until it is asked what it saw.
pub struct Readers {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Readers {
    /// Each with a keyring of its own, which it read before anything else happens.
    pub fn start(db: &Db, fleet: &Fleet, keyring: &Path) -> Self {
        let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let tasks = (0..2).map(|_| {
            let keyring = KeyringHandle::open(keyring).unwrap();
            let uids = fleet.credentials.clone();
            let (db, stop) = (db.clone(), Arc::clone(&stop));
            let reads: Arc<AtomicUsize> = Arc::clone(&reads);
            tokio::spawn(async move {
                let mut failed = Vec::new();
                for uid in uids.into_iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // Others need the machine too.
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    for stored in db.sealed_versions(uid).await.unwrap() {
                        let version = stored.version;
                        let opened = open_stored(&keyring, NAMESPACE, &name(uid), stored).await;
                        reads.fetch_add(1, Ordering::Relaxed);
                        if let Err(why) = opened {
                            failed.push(format!("{uid}/{version}: {why}"));
                        }
                    }
                }
                failed
            })
        });
        let tasks = tasks.collect();
        Self { stop, reads, tasks }
    }

    /// Ends them; answers how many keys they opened. Panics where one did not open.
    pub async fn end(self) -> usize {
        let (reads, failed) = self.ended().await;
        assert!(
            failed.is_empty(),
            "{} reads failed: {}",
            failed.len(),
            failed[0]
        );
        reads
    }

    /// Ends them; answers how many keys they tried to open, and which did not.
    pub async fn ended(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        for task in self.tasks {
            failed.extend(task.await.unwrap());
        }
        (self.reads.load(Ordering::Relaxed), failed)
    }
}
