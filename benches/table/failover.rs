//! How long nobody leads when a controller ends, or is killed.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use llmplane::crd::Kind;
use llmplane::db::{Db, DbOptions, Epoch};
use llmplane::local::postgres::Role;
use nix::sys::signal::Signal;

use crate::accounts::Agents;
use crate::cold_start::Started;
use crate::figures::time;
use crate::fleet::{self, AGENTS, Object};
use crate::plane::Plane;
use crate::process::Process;
use crate::report::{Figure, Report};

/// Times that each way to end is tried; the longest counts.
const TIMES: usize = 2;
/// How long a second controller has to take its place in the election.
const JOINS_WITHIN: Duration = Duration::from_secs(3);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// Longest wait for the second controller.
const WITHIN: Duration = Duration::from_secs(60);

const ENDS: [(Signal, &str, Duration); 2] = [
    (Signal::SIGTERM, "SIGTERM", Duration::from_secs(5)),
    (Signal::SIGKILL, "kill -9", Duration::from_secs(20)),
];

/// Ends one leader after another; the last one leads on.
pub async fn measure(
    plane: &Plane,
    started: Started,
    agents: &Agents,
    report: &mut Report,
) -> Result<Started> {
    let Started {
        controller: mut leader,
        api,
    } = started;
    let db = Db::connect(
        &plane.database_url(Role::Controller)?,
        &DbOptions::new("bench"),
    )
    .await?;
    let seen = Seen {
        plane,
        client: reqwest::Client::new(),
        base: format!("http://{}/api/v1/models", api.address()?),
        token: agents.one(),
        db: &db,
    };
    let mut number = 0;
    for (signal, name, bar) in ENDS {
        let mut longest = Duration::ZERO;
        for _ in 0..TIMES {
            number += 1;
            eprintln!("{name} of the leader");
            let mut second = plane.controller(&format!("standby-{number}"))?;
            second.ready().await?;
            tokio::time::sleep(JOINS_WITHIN).await;
            longest = longest.max(seen.failover(&mut leader, signal, number).await?);
            leader = second;
        }
        report.add(Figure {
            what: format!("failover after {name}, the longest of {TIMES}"),
            bar: format!("at most {}", time(bar)),
            measured: time(longest),
            kept: Some(longest <= bar),
        });
    }
    db.close().await;
    Ok(Started {
        controller: leader,
        api,
    })
}

/// What shows that another controller leads and works.
struct Seen<'a> {
    plane: &'a Plane,
    client: reqwest::Client,
    base: String,
    token: &'a str,
    db: &'a Db,
}

impl Seen<'_> {
    /// From the signal until another leader has written, and a change that was applied right after
    /// the signal is visible.
    async fn failover(
        &self,
        leader: &mut Process,
        signal: Signal,
        number: usize,
    ) -> Result<Duration> {
        let before = self.db.feed_state().await?.epoch;
        let marker = format!("Failover {number}");
        let object = Object {
            kind: Kind::Model,
            namespace: AGENTS,
            name: fleet::model_name("provider-0", 0),
            spec: fleet::model_spec("provider-0", 0, &marker),
        };
        let start = Instant::now();
        leader.signal(signal)?;
        fleet::apply(&self.plane.client, &object).await?;
        while !self.led_anew(before).await? || !self.shows(&object.name, &marker).await? {
            if start.elapsed() > WITHIN {
                bail!("no other controller took over");
            }
            tokio::time::sleep(LOOK).await;
        }
        let took = start.elapsed();
        leader.ended().await?;
        Ok(took)
    }

    async fn led_anew(&self, before: Epoch) -> Result<bool> {
        Ok(self.db.feed_state().await?.epoch != before)
    }

    async fn shows(&self, name: &str, marker: &str) -> Result<bool> {
        let url = format!("{}/{name}", self.base);
        let answer = self.client.get(url).bearer_auth(self.token).send().await?;
        let body = answer.error_for_status()?.text().await?;
        Ok(body.contains(&format!("\"display_name\":\"{marker}\"")))
    }
}
