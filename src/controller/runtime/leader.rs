//! Who leads. The Lease is a hint that keeps two controllers from working at once; the fence is in
//! PostgreSQL, where a new leader's epoch shuts out every older one.
//!
//! A candidate reads the Lease every second and takes it when it is free, or when its holder has not
//! renewed it for as long as it lasts (see `lease_observer`). Every write carries the version that was
//! read, so that of two who take it one gets it. The leader renews it, and leads on while the
//! kube-apiserver does not answer: it stops when it reads that another holds the Lease.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client, Resource, api::ObjectMeta, api::PostParams};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lease_observer::{LeaseObserver, LeaseState, holder};
use super::metrics::Up;
use super::start::StartError;
use crate::admin::Readiness;

/// Name of the Lease.
const LEASE: &str = "llmplane-controller";
/// How long a leader that fell silent keeps the Lease.
const LEASE_DURATION: Duration = Duration::from_secs(12);
/// Time between two renewals.
const RENEW_PERIOD: Duration = Duration::from_secs(4);
/// Wait between two readings of the Lease, or after a renewal that did not get through.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest wait for an answer about the Lease.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for the Lease to be given back at the end.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// A holder that is silent for longer has missed two renewals.
const MISSED_RENEWALS: Duration = Duration::from_secs(9);
/// What a candidate waits for, in `/readyz`.
const READINESS_NAME: &str = "leader";

/// The Lease as Events are about it.
///
/// # Errors
/// Those of the kube-apiserver.
pub async fn lease_reference(
    client: &Client,
    namespace: &str,
) -> Result<ObjectReference, kube::Error> {
    let leases: Api<LeaseObject> = Api::namespaced(client.clone(), namespace);
    Ok(leases.get(LEASE).await?.object_ref(&()))
}

/// The Lease, held or waited for; `None` inside where leader election is off.
pub struct Lease(Option<Election>);

/// Where the Lease is, and who stands for it.
struct Election {
    leases: Api<LeaseObject>,
    identity: String,
    readiness: Readiness,
    apiserver_up: Up,
    observer: LeaseObserver,
    /// The Lease as this process wrote it last, while it holds it.
    held: Option<LeaseObject>,
}

/// Why the Lease could not be written or read.
#[derive(Debug, thiserror::Error)]
enum Attempt {
    /// Another was faster: it is to be read again.
    #[error("another process has written the Lease meanwhile")]
    Conflict,
    /// The Lease, or its namespace, is not there.
    #[error("{0}")]
    Absent(String),
    /// The account may not: waiting does not help.
    #[error("{0}")]
    Refused(String),
    /// The kube-apiserver does not answer.
    #[error("{0}")]
    Unanswered(String),
}

impl From<kube::Error> for Attempt {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => match status.code {
                409 => Self::Conflict,
                404 => Self::Absent(status.message.clone()),
                401 | 403 | 422 => Self::Refused(status.message.clone()),
                _ => Self::Unanswered(status.message.clone()),
            },
            _ => Self::Unanswered(error.to_string()),
        }
    }
}

/// An answer about the Lease, in time.
async fn answered<T>(asked: impl Future<Output = kube::Result<T>>) -> Result<T, Attempt> {
    match tokio::time::timeout(CALL_TIMEOUT, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Attempt::Unanswered(
            "the kube-apiserver does not answer in time".to_owned(),
        )),
    }
}

impl Lease {
    /// No Lease: this process leads at once.
    pub fn none() -> Self {
        Self(None)
    }

    /// Takes part in the election, under a name that no other process has.
    pub fn join(
        client: Client,
        namespace: &str,
        identity: &str,
        readiness: Readiness,
        apiserver_up: Up,
    ) -> Self {
        readiness.waiting(READINESS_NAME, "the Lease has not been read yet");
        Self(Some(Election {
            leases: Api::namespaced(client, namespace),
            identity: identity.to_owned(),
            readiness,
            apiserver_up,
            observer: LeaseObserver::default(),
            held: None,
        }))
    }

    /// Waits until this process leads, or `shutdown`; answers whether it leads.
    ///
    /// # Errors
    /// When this account may not read, make or change the Lease.
    pub async fn wait(&mut self, shutdown: &CancellationToken) -> Result<bool, StartError> {
        let Some(election) = &mut self.0 else {
            return Ok(true);
        };
        loop {
            let stood = tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                stood = election.stand() => stood,
            };
            let answers = !matches!(stood, Err(Attempt::Unanswered(_)));
            election.apiserver_up.set(answers);
            match stood {
                Ok(true) => {
                    election.readiness.ready(READINESS_NAME);
                    return Ok(true);
                }
                Ok(false) | Err(Attempt::Conflict) => {}
                Err(Attempt::Refused(why) | Attempt::Absent(why)) => {
                    return Err(StartError::Lease(why));
                }
                Err(Attempt::Unanswered(why)) => {
                    let said =
                        format!("the Lease cannot be read, so who leads is not known: {why}");
                    election.readiness.waiting(READINESS_NAME, said);
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
    }

    /// Renews the Lease, and ends when another holds it; never where there is none.
    pub async fn lost(&mut self) -> StartError {
        let Some(election) = &mut self.0 else {
            return std::future::pending().await;
        };
        let mut wait = RENEW_PERIOD;
        let mut said = false;
        loop {
            tokio::time::sleep(wait).await;
            wait = RETRY_DELAY;
            match election.renew().await {
                Ok(true) => (wait, said) = (RENEW_PERIOD, false),
                Ok(false) => return StartError::LeaseLost,
                Err(Attempt::Conflict) => {}
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, "the Lease could not be renewed; tries again");
                    }
                }
            }
        }
    }

    /// Gives the Lease back, so that another takes over at once.
    pub async fn release(self) {
        let Some(mut election) = self.0 else { return };
        match tokio::time::timeout(RELEASE_TIMEOUT, election.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the Lease was not given back; it ends by itself");
            }
            Err(_) => tracing::warn!("the Lease was not given back in time; it ends by itself"),
        }
    }
}

impl Election {
    /// Reads the Lease, says in `/readyz` who leads, and takes it where it may be taken; answers
    /// whether this process holds it now.
    async fn stand(&mut self) -> Result<bool, Attempt> {
        let Some(lease) = answered(self.leases.get_opt(LEASE)).await? else {
            return self.create().await.map(|()| true);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        // A write whose answer was lost has got through.
        if holder(&spec) == Some(self.identity.as_str()) {
            return self.write(lease).await.map(|()| true);
        }
        match self.observer.read(spec, LEASE_DURATION, Instant::now()) {
            LeaseState::Held {
                holder,
                silent_for,
                has_changed,
            } => {
                if has_changed && silent_for <= MISSED_RENEWALS {
                    self.readiness.ready(READINESS_NAME);
                } else {
                    let seconds = silent_for.as_secs();
                    self.readiness.waiting(
                        READINESS_NAME,
                        format!("nobody leads: {holder} holds the Lease and has not renewed it for {seconds} s"),
                    );
                }
                return Ok(false);
            }
            LeaseState::Free => {
                self.readiness
                    .waiting(READINESS_NAME, "nobody leads: the Lease is free");
            }
            LeaseState::Expired(holder) => {
                tracing::info!(holder, "the Lease was not renewed for as long as it lasts");
                let said = format!("nobody leads: {holder} no longer renews the Lease");
                self.readiness.waiting(READINESS_NAME, said);
            }
        }
        match self.write(lease).await {
            // It was deleted meanwhile.
            Err(Attempt::Absent(_)) => Err(Attempt::Conflict),
            written => written.map(|()| true),
        }
    }

    /// Writes the Lease once more as its holder's; answers whether this process holds it still.
    async fn renew(&mut self) -> Result<bool, Attempt> {
        if let Some(held) = self.held.take() {
            match self.write(held.clone()).await {
                Ok(()) => return Ok(true),
                Err(Attempt::Conflict | Attempt::Absent(_)) => {}
                Err(error) => {
                    self.held = Some(held);
                    return Err(error);
                }
            }
        }
        // Somebody has changed it: who holds it decides. Where nobody does, it is taken again.
        let Some(lease) = answered(self.leases.get_opt(LEASE)).await? else {
            return self.create().await.map(|()| true);
        };
        let by = lease.spec.as_ref().and_then(holder);
        if by.is_some_and(|by| by != self.identity) {
            return Ok(false);
        }
        self.write(lease).await.map(|()| true)
    }

    async fn create(&mut self) -> Result<(), Attempt> {
        let lease = self.mine(LeaseObject::default());
        let params = PostParams::default();
        self.held = Some(answered(self.leases.create(&params, &lease)).await?);
        Ok(())
    }

    /// Writes this Lease as this process's, unless it has changed since it was read.
    async fn write(&mut self, lease: LeaseObject) -> Result<(), Attempt> {
        let lease = self.mine(lease);
        let params = PostParams::default();
        self.held = Some(answered(self.leases.replace(LEASE, &params, &lease)).await?);
        Ok(())
    }

    async fn release(&mut self) -> Result<(), Attempt> {
        let Some(mut lease) = self.held.take() else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        answered(self.leases.replace(LEASE, &PostParams::default(), &lease)).await?;
        Ok(())
    }

    /// A Lease as this process's, renewed now.
    fn mine(&self, mut lease: LeaseObject) -> LeaseObject {
        let now = Some(MicroTime(Timestamp::now()));
        let before = lease.spec.take().unwrap_or_default();
        let is_mine = holder(&before) == Some(self.identity.as_str());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: if is_mine {
                before.acquire_time
            } else {
                now.clone()
            },
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!is_mine)),
            renew_time: now,
            ..LeaseSpec::default()
        });
        lease.metadata = ObjectMeta {
            name: Some(LEASE.to_owned()),
            ..lease.metadata
        };
        lease
    }
}
