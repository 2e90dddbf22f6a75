//! Who leads. The Lease is a hint that keeps two controllers from working at once; the fence is in
//! PostgreSQL, where a new leader's epoch shuts out every older one.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::start::StartError;

/// Name of the Lease.
const LEASE: &str = "llmplane-controller";
/// How long a leader that fell silent keeps the Lease, in seconds.
const DURATION: u64 = 12;
/// It is renewed so long before it ends, in seconds: every 4 s.
const GRACE: u64 = 8;
/// Longest wait for the Lease to be given back at the end.
const RELEASE: Duration = Duration::from_secs(2);

/// The Lease, held or waited for; `None` inside where leader election is off.
pub struct Lease(Option<Held>);

struct Held {
    leads: watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<kube_lease_manager::LeaseManager>>,
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
        let manager = LeaseManagerBuilder::new(client, LEASE)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .build()
            .await
            .map_err(|error| StartError::Lease(error.to_string()))?;
        let (leads, task) = manager.watch().await;
        Ok(Self(Some(Held { leads, task })))
    }

    /// Waits until this process leads, or `shutdown`; answers whether it leads.
    pub async fn wait(&mut self, shutdown: &CancellationToken) -> bool {
        let Some(held) = &mut self.0 else { return true };
        tokio::select! {
            () = shutdown.cancelled() => false,
            gained = held.leads.wait_for(|leads| *leads) => gained.is_ok(),
        }
    }

    /// Ends when the Lease is lost; never where there is none.
    pub async fn lost(&mut self) {
        match &mut self.0 {
            None => std::future::pending().await,
            Some(held) => {
                let _ = held.leads.wait_for(|leads| !*leads).await;
            }
        }
    }

    /// Gives the Lease back, so that another takes over at once.
    pub async fn release(self) {
        let Some(Held { leads, task }) = self.0 else {
            return;
        };
        drop(leads);
        if tokio::time::timeout(RELEASE, task).await.is_err() {
            tracing::warn!("the Lease was not given back in time; it ends by itself");
        }
    }
}
