//! The checks alone, on a database of a test's own: rows as a reconciler stores them, and no
//! cluster.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::FutureExt;
use llmplane::{
    checks::{
        CheckDeps, Checks, JobKey, MintError, MintedToken, Owner, PlannedJob, Stored, TokenMinter,
    },
    crd::{
        Kind, LocalRef, ProviderType, credential::VersionState, endpoint::HealthCheck,
        reasons::Reason, token_services::TokenServices,
    },
    db::{CheckKind, Db, Epoch, NewVersion, SealedVersion},
    encryption::{Binding, KeyringHandle, Payload, SecretFields, kek, seal},
    vendors::{HttpClients, http::address_guard::AddressGuard},
};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{database::TestDatabase, plane::eventually, rows};

/// There is no cluster to give any.
struct NoTokens;

#[async_trait]
impl TokenMinter for NoTokens {
    async fn mint(
        &self,
        _: &str,
        account: &str,
        _: &str,
        _: i64,
    ) -> Result<MintedToken, MintError> {
        Err(MintError::NoAccount(account.to_owned()))
    }
}

/// Running checks; they end when dropped.
pub struct RunningChecks {
    pub database: TestDatabase,
    pub db: Db,
    pub checks: Checks,
    epoch: Epoch,
    keyring: KeyringHandle,
    shutdown: CancellationToken,
    _task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl RunningChecks {
    /// With nothing planned; all of loopback may be called.
    pub async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = TestDatabase::migrated().await;
        let (db, epoch) = database.leader().await;
        let folder = tempfile::tempdir().unwrap();
        kek::folder::create(&folder.path().join("ring")).unwrap();
        let keyring = KeyringHandle::open(&folder.path().join("ring")).unwrap();
        let guard = AddressGuard::new(vec!["127.0.0.0/8".parse().unwrap()], []);
        let (checks, mut reports) = Checks::new(CheckDeps {
            db: db.clone(),
            epoch,
            keyring: keyring.clone(),
            clients: Arc::new(HttpClients::new(guard, None)),
            minter: Arc::new(NoTokens),
            token_services: TokenServices::default(),
            metrics: Checks::metrics(&mut Registry::default()),
        });
        let shutdown = CancellationToken::new();
        let run = checks.clone().run(shutdown.clone());
        let task = tokio::spawn(async move {
            let listen = async { while reports.recv().await.is_some() {} };
            tokio::select! {
                ended = run => ended.unwrap(),
                () = listen => {}
            }
        });
        Self {
            database,
            db,
            checks,
            epoch,
            keyring,
            shutdown,
            _task: task,
            _folder: folder,
        }
    }

    /// Stores a provider of this type.
    pub async fn provider(&self, type_: ProviderType) -> Uuid {
        let mut row = rows::provider(&Uuid::new_v4().to_string());
        row.type_ = type_;
        let uid = row.uid;
        let write = self.db.write(self.epoch, move |tx| {
            async move { tx.upsert(&row).await }.boxed()
        });
        write.await.unwrap();
        uid
    }

    /// Stores an endpoint at this URL, whose probes use this credential if one is named.
    pub async fn endpoint(&self, provider: Uuid, url: &str, credential: Option<&str>) -> Uuid {
        self.endpoint_of("team", provider, url, credential).await
    }

    /// The same in another namespace.
    pub async fn endpoint_of(
        &self,
        namespace: &str,
        provider: Uuid,
        url: &str,
        credential: Option<&str>,
    ) -> Uuid {
        let mut row = rows::endpoint(provider, &Uuid::new_v4().to_string());
        row.namespace = namespace.to_owned();
        row.base_url = llmplane::crd::base_url::BaseUrl::new(url);
        row.region = Some("us-east-1".to_owned());
        row.headers.clear();
        row.health_check = HealthCheck {
            credential_ref: credential.map(|name| LocalRef {
                name: name.to_owned(),
            }),
            ..HealthCheck::default()
        };
        let uid = row.uid;
        let write = self.db.write(self.epoch, move |tx| {
            async move { tx.upsert(&row).await }.boxed()
        });
        write.await.unwrap();
        uid
    }

    /// Stores a credential whose key was sealed for this type and these hosts.
    pub async fn credential(
        &self,
        provider: Uuid,
        name: &str,
        fields: SecretFields,
        sealed: (ProviderType, &[&str]),
    ) -> Uuid {
        let mut row = rows::credential(provider, name);
        row.endpoint_uids.clear();
        let binding = Binding {
            namespace: &row.namespace,
            name: &row.name,
            uid: row.uid,
            version: 1,
        };
        let hosts: Vec<String> = sealed.1.iter().map(ToString::to_string).collect();
        let payload = Payload {
            fields,
            provider_type: sealed.0.to_string(),
            allowed_hosts: hosts.clone(),
        };
        let envelope = seal(self.keyring.keks(), &binding, &payload).await.unwrap();
        let version = NewVersion {
            sealed: SealedVersion {
                credential_uid: row.uid,
                version: 1,
                kek_id: envelope.kek_id.to_string(),
                wrapped_key: envelope.wrapped_key,
                payload: envelope.payload,
            },
            state: VersionState::Current,
            fingerprint: "f1".to_owned(),
            masked_key: "****".to_owned(),
            provider_type: sealed.0,
            allowed_hosts: hosts,
            field_fingerprints: Vec::new(),
            ends: None,
            exchanged_with: None,
        };
        let uid = row.uid;
        let write = self.db.write(self.epoch, move |tx| {
            async move {
                tx.upsert(&row).await?;
                tx.credential_version_insert(&version).await
            }
            .boxed()
        });
        write.await.unwrap();
        uid
    }

    /// Stores a model, to be tested.
    pub async fn model(&self, provider: Uuid, id: &str) -> Uuid {
        let mut row = rows::model(provider, &Uuid::new_v4().to_string());
        row.model_id = id.to_owned();
        let uid = row.uid;
        let write = self.db.write(self.epoch, move |tx| {
            async move { tx.upsert(&row).await }.boxed()
        });
        write.await.unwrap();
        uid
    }

    /// Plans one check for now.
    pub async fn plan(&self, kind: CheckKind, subject: Uuid, endpoint: Uuid) {
        let owner_kind = match kind {
            CheckKind::Validation | CheckKind::Exchange => Kind::Credential,
            CheckKind::ModelTest => Kind::Model,
            _ => Kind::Endpoint,
        };
        self.plan_every(
            owner_kind,
            kind,
            subject,
            endpoint,
            Duration::from_secs(3600),
        )
        .await;
    }

    /// Plans one check for now, and then on this period.
    pub async fn plan_every(
        &self,
        owner_kind: Kind,
        kind: CheckKind,
        subject: Uuid,
        endpoint: Uuid,
        period: Duration,
    ) {
        let timeout = Duration::from_secs(5);
        self.plan_within(owner_kind, kind, subject, endpoint, (period, timeout))
            .await;
    }

    /// The same with this period, and with this time for each check.
    pub async fn plan_within(
        &self,
        owner_kind: Kind,
        kind: CheckKind,
        subject: Uuid,
        endpoint: Uuid,
        (period, timeout): (Duration, Duration),
    ) {
        let owner = Owner {
            kind: owner_kind,
            uid: Uuid::new_v4(),
            namespace: "team".to_owned(),
            name: "owner".to_owned(),
        };
        let planned = PlannedJob {
            key: JobKey {
                kind,
                subject,
                endpoint,
            },
            period,
            timeout,
            // Another one each time, so that a check that was made already is made again.
            trigger: Uuid::new_v4().as_u64_pair().0,
            stored: Stored::Nothing,
            apart: Duration::ZERO,
            not_final: None,
            held: false,
            credentials: None,
        };
        self.checks.plan(&owner, vec![planned]).await.unwrap();
    }

    /// Makes one check and answers what it found.
    pub async fn made(&self, kind: CheckKind, subject: Uuid, endpoint: Uuid) -> Option<Reason> {
        let count = async || self.of_kind(kind, subject).await.len();
        let before = count().await;
        self.plan(kind, subject, endpoint).await;
        eventually("the check was made", async || count().await > before).await;
        let newest = self.of_kind(kind, subject).await.into_iter().next();
        newest.and_then(|reason| Reason::parse(&reason))
    }

    /// Reasons of a subject's checks of one kind, newest first.
    async fn of_kind(&self, kind: CheckKind, subject: Uuid) -> Vec<String> {
        let history = self
            .db
            .check_history(subject, kind, None, 100)
            .await
            .unwrap();
        history.into_iter().map(|row| row.reason).collect()
    }
}

impl Drop for RunningChecks {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
