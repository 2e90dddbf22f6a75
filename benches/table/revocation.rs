//! How long a key is still given out, on any replica, after its credential or its caller lost it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DeleteParams};
use llmplane::crd::Kind;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::accounts;
use crate::figures::time;
use crate::fleet::{self, AGENTS, Object};
use crate::plane::Plane;
use crate::process::Process;
use crate::report::{Figure, Report};

/// Time between two asks of a replica.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for the first key, and for the last.
const WITHIN: Duration = Duration::from_secs(60);

/// What takes a key away.
#[derive(Clone, Copy)]
enum Way {
    Disabled,
    Deleted,
    UseRemoved,
    AccountDeleted,
}

impl Way {
    const ALL: [Self; 4] = [
        Self::Disabled,
        Self::Deleted,
        Self::UseRemoved,
        Self::AccountDeleted,
    ];

    /// A name for the objects, what it is in words, and how long keys may still leave.
    fn told(self) -> (&'static str, &'static str, Duration) {
        let seconds = Duration::from_secs;
        match self {
            Self::Disabled => ("disabled", "a credential is switched off", seconds(15)),
            Self::Deleted => ("deleted", "a credential is deleted", seconds(15)),
            Self::UseRemoved => ("unused", "the right to use it is removed", seconds(15)),
            Self::AccountDeleted => (
                "unknown",
                "the caller's ServiceAccount is deleted",
                seconds(25),
            ),
        }
    }
}

/// Takes a key away in each way, and asks both replicas for it until neither gives it.
pub async fn measure(plane: &Plane, api: &Process, url: &str, report: &mut Report) -> Result<()> {
    let mut second = plane.api("revocation")?;
    second.ready().await?;
    let replicas = [api.address()?, second.address()?]
        .map(|address| format!("http://{address}/api/v1/resolve"));
    for way in Way::ALL {
        let (name, words, bar) = way.told();
        eprintln!("{words}");
        fleet::add_provider(plane, AGENTS, name, url).await?;
        let tokens = accounts::tokens(plane, name, 1).await?;
        let asker = Asker {
            client: Client::new(),
            replicas: &replicas,
            token: &tokens[0],
            body: json!({ "model": fleet::model_name(name, 0), "with_secret": true }),
        };
        asker.wait_until(true).await?;
        let start = Instant::now();
        way.take(plane, name).await?;
        asker.wait_until(false).await?;
        let took = start.elapsed();
        way.give_back(plane).await?;
        report.add(Figure {
            what: format!("no replica of 2 gives the key after {words}"),
            bar: format!("at most {}", time(bar)),
            measured: time(took),
            kept: Some(took <= bar),
        });
    }
    Ok(())
}

impl Way {
    async fn take(self, plane: &Plane, name: &str) -> Result<()> {
        match self {
            Self::Disabled => {
                let credential = Object {
                    kind: Kind::Credential,
                    namespace: AGENTS,
                    name: name.to_owned(),
                    spec: json!({
                        "providerRef": { "name": name }, "secretRef": { "name": name }, "enabled": false,
                    }),
                };
                fleet::apply(&plane.client, &credential).await
            }
            Self::Deleted => {
                let credentials = fleet::api(&plane.client, Kind::Credential, AGENTS);
                credentials.delete(name, &DeleteParams::default()).await?;
                Ok(())
            }
            Self::UseRemoved => accounts::allow(plane, &accounts::READS).await,
            Self::AccountDeleted => {
                let all: Api<ServiceAccount> = Api::namespaced(plane.client.clone(), AGENTS);
                all.delete(&format!("{name}-0"), &DeleteParams::default())
                    .await?;
                Ok(())
            }
        }
    }

    async fn give_back(self, plane: &Plane) -> Result<()> {
        match self {
            Self::UseRemoved => accounts::allow(plane, &accounts::READS_AND_USES).await,
            Self::Disabled | Self::Deleted | Self::AccountDeleted => Ok(()),
        }
    }
}

/// A caller that asks every replica for one key.
struct Asker<'a> {
    client: Client,
    replicas: &'a [String],
    token: &'a str,
    body: Value,
}

impl Asker<'_> {
    /// Waits until every replica gives the key, or none does.
    async fn wait_until(&self, given: bool) -> Result<()> {
        let start = Instant::now();
        loop {
            let mut all = true;
            for replica in self.replicas {
                all &= self.is_given(replica).await? == given;
            }
            if all {
                return Ok(());
            }
            if start.elapsed() > WITHIN {
                bail!("the replicas do not agree: {}", self.body);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn is_given(&self, replica: &str) -> Result<bool> {
        let request = self.client.post(replica).bearer_auth(self.token);
        let answer = request.json(&self.body).send().await?;
        if answer.status() != StatusCode::OK {
            return Ok(false);
        }
        let answer: Value = answer.json().await?;
        Ok(answer["targets"][0]["secret"].is_object())
    }
}
