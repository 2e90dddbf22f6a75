//! Who leads. The Lease is a hint that keeps two controllers from working at once; the fence is in
//! PostgreSQL, where a new leader's epoch shuts out every older one.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::{Api, Client, runtime::wait::await_condition};
use kube_lease_manager::LeaseManagerBuilder;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::start::StartError;

/// Name of the Lease.
const LEASE: &str = "llmplane-controller";
/// How long a leader that fell silent keeps the Lease, in seconds.
const LEASE_SECONDS: u64 = 12;
/// It is renewed so long before it ends, in seconds: every 4 s.
const GRACE: u64 = 8;
/// Longest wait for the Lease to be given back at the end.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Wait between two attempts to look at the Lease, or to get it.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The Lease, held or waited for; `None` inside where leader election is off.
pub struct Lease(Option<HeldLease>);

struct HeldLease {
    leads: watch::Receiver<bool>,
    task: Task,
    /// None: nobody looks whether it is given back.
    election: Option<Election>,
}

type Task = JoinHandle<kube_lease_manager::Result<kube_lease_manager::LeaseManager>>;

/// Where the Lease is, and who stands for it.
struct Election {
    client: Client,
    namespace: String,
    identity: String,
}

impl Election {
    async fn stand(&self) -> Result<(watch::Receiver<bool>, Task), StartError> {
        let manager = LeaseManagerBuilder::new(self.client.clone(), LEASE)
            .with_namespace(&self.namespace)
            .with_identity(&self.identity)
            .with_duration(LEASE_SECONDS)
            .with_grace(GRACE)
            .build()
            .await
            .map_err(|error| StartError::Lease(error.to_string()))?;
        Ok(manager.watch().await)
    }

    /// Ends when nobody holds the Lease.
    async fn free(&self) {
        let leases: Api<LeaseObject> = Api::namespaced(self.client.clone(), &self.namespace);
        let free = |lease: Option<&LeaseObject>| {
            let spec = lease.and_then(|lease| lease.spec.as_ref());
            spec.is_none_or(|spec| spec.holder_identity.is_none())
        };
        while let Err(error) = await_condition(leases.clone(), LEASE, free).await {
            tracing::debug!(%error, "the Lease could not be watched");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}

impl HeldLease {
    /// Ends when another has given the Lease back. The manager sleeps until the Lease that it saw
    /// last is over, however early that is given back; a new one looks at it at once.
    async fn given_back(election: Option<&Election>) {
        match election {
            Some(election) => election.free().await,
            None => std::future::pending().await,
        }
    }

    /// Stands for the Lease afresh. What the old manager may have gained meanwhile is under the
    /// same name, and so is the new one's.
    async fn stand_again(&mut self) {
        let Some(election) = &self.election else {
            return;
        };
        match election.stand().await {
            Ok((leads, task)) => {
                self.task.abort();
                (self.leads, self.task) = (leads, task);
            }
            Err(error) => tracing::debug!(%error, "the Lease was given back but cannot be taken"),
        }
    }

    /// Why the task ended that looks after the Lease, which it does only by itself.
    async fn why_ended(&mut self) -> StartError {
        let why = match tokio::time::timeout(RELEASE_TIMEOUT, &mut self.task).await {
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(Ok(_))) | Err(_) => "nobody looks after it any more".to_owned(),
        };
        StartError::LeaseEnded(why)
    }
}

impl Lease {
    /// No Lease: this process leads at once.
    pub fn none() -> Self {
        Self(None)
    }

    /// Takes part in the election.
    ///
    /// # Errors
    /// When the Lease can be neither read nor made.
    pub async fn join(client: Client, namespace: &str, identity: &str) -> Result<Self, StartError> {
        let election = Election {
            client,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
        };
        let (leads, task) = election.stand().await?;
        Ok(Self(Some(HeldLease {
            leads,
            task,
            election: Some(election),
        })))
    }

    /// Waits until this process leads, or `shutdown`; answers whether it leads.
    ///
    /// # Errors
    /// When the Lease is looked after no more.
    pub async fn wait(&mut self, shutdown: &CancellationToken) -> Result<bool, StartError> {
        let Some(held) = &mut self.0 else {
            return Ok(true);
        };
        loop {
            let gained = tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                gained = held.leads.wait_for(|leads| *leads) => Some(gained.is_ok()),
                () = HeldLease::given_back(held.election.as_ref()) => None,
            };
            match gained {
                Some(true) => return Ok(true),
                Some(false) => return Err(held.why_ended().await),
                None => held.stand_again().await,
            }
            // Who was faster may give it back again.
            tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                _ = held.leads.wait_for(|leads| *leads) => {}
                () = tokio::time::sleep(RETRY_DELAY) => {}
            }
        }
    }

    /// Ends when the Lease is lost, and says why; never where there is none.
    pub async fn lost(&mut self) -> StartError {
        let Some(held) = &mut self.0 else {
            return std::future::pending().await;
        };
        let lost = held.leads.wait_for(|leads| !*leads).await.is_ok();
        if lost {
            return StartError::LeaseLost;
        }
        held.why_ended().await
    }

    /// Gives the Lease back, so that another takes over at once.
    pub async fn release(self) {
        let Some(HeldLease { leads, task, .. }) = self.0 else {
            return;
        };
        if task.is_finished() {
            return;
        }
        drop(leads);
        if tokio::time::timeout(RELEASE_TIMEOUT, task).await.is_err() {
            tracing::warn!("the Lease was not given back in time; it ends by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Lease whose task ends before it was ever held, or once it is.
    fn abandoned(leads: bool) -> Lease {
        let (sender, receiver) = watch::channel(leads);
        let task = tokio::spawn(async move {
            drop(sender);
            panic!("the Lease's task has died")
        });
        Lease(Some(HeldLease {
            leads: receiver,
            task,
            election: None,
        }))
    }

    #[tokio::test]
    async fn a_wait_for_a_lease_that_nobody_looks_after_is_an_error() {
        let mut lease = abandoned(false);
        let ended = lease.wait(&CancellationToken::new()).await;
        let Err(StartError::LeaseEnded(why)) = ended else {
            panic!("{ended:?}");
        };
        assert!(why.contains("panicked"), "{why}");
        lease.release().await;
    }

    #[tokio::test]
    async fn a_lease_that_nobody_looks_after_is_lost() {
        let mut lease = abandoned(true);
        assert!(lease.wait(&CancellationToken::new()).await.unwrap());
        assert!(matches!(lease.lost().await, StartError::LeaseEnded(_)));
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_signal_to_stop() {
        let (_sender, leads) = watch::channel(false);
        let task = tokio::spawn(std::future::pending());
        let mut lease = Lease(Some(HeldLease {
            leads,
            task,
            election: None,
        }));
        let stop = CancellationToken::new();
        stop.cancel();
        assert!(!lease.wait(&stop).await.unwrap());
    }
}
