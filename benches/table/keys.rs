//! Keys, each with its row in the audit, against a bare handler that returns the same bytes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use llmplane::local::postgres::Role;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::accounts::Agents;
use crate::bare::{Answer, Bare};
use crate::fleet;
use crate::load::Target;
use crate::plane::Plane;
use crate::process::Process;
use crate::reads::Sides;
use crate::report::{Figure, Report};
use crate::vendor;
use crate::writes;

const PATH: &str = "/api/v1/resolve";
const BAR_RATIO: f64 = 0.5;
/// Callers at once, of both sides: as many keys as are asked for together share a commit.
pub const CALLERS: usize = 256;
/// How long requests that were under way when a side stopped are waited for.
const SETTLED: Duration = Duration::from_secs(2);

/// Measures how many keys a second are given out, and that each has its row.
pub async fn measure(
    plane: &Plane,
    api: &Process,
    agents: &Agents,
    report: &mut Report,
) -> Result<()> {
    let address = api.address()?;
    let model = fleet::model_name("provider-0", 7);
    let body = json!({ "model": model, "with_secret": true, "purpose": "bench" }).to_string();
    let answer = captured(&format!("http://{address}{PATH}"), &body, agents.one()).await?;
    let bare = Bare::start(std::slice::from_ref(&answer))?
        .listening()
        .await?;
    eprintln!("POST /resolve with a key");
    let what = "POST /resolve with a key, audited";
    let sides = Sides {
        api: Target::posting(address, PATH, &body, &agents.tokens).with_connections(CALLERS),
        bare: Target::posting(bare.address, PATH, &body, &agents.tokens).with_connections(CALLERS),
        api_pid: api.pid()?,
        bare_pid: bare.pid()?,
    };
    report.add(sides.share(what, BAR_RATIO).await?);
    tokio::time::sleep(SETTLED).await;
    report.add(rows(plane, api).await?);
    report.add(floor(plane, agents, answer, &body, &bare).await?);
    Ok(())
}

/// What a row that is committed before an answer costs by itself, whoever answers: the bare handler with
/// one, against the one without.
async fn floor(
    plane: &Plane,
    agents: &Agents,
    answer: Answer,
    body: &str,
    bare: &Bare,
) -> Result<Figure> {
    eprintln!("the bare handler with a row of its own");
    let recording = Bare::start_recording(&[answer], &plane.floor_database_url()?).await?;
    let recording = recording.listening().await?;
    let target =
        |address| Target::posting(address, PATH, body, &agents.tokens).with_connections(CALLERS);
    let sides = Sides {
        api: target(recording.address),
        bare: target(bare.address),
        api_pid: recording.pid()?,
        bare_pid: bare.pid()?,
    };
    let what = "the bare handler that commits one plain row before each answer";
    Ok(Figure {
        bar: "told".to_owned(),
        kept: None,
        ..sides.share(what, 0.0).await?
    })
}

/// An answer with a key, for the other side to repeat.
async fn captured(url: &str, body: &str, token: &str) -> Result<Answer> {
    let request = reqwest::Client::new().post(url).bearer_auth(token);
    let request = request.header("content-type", "application/json");
    let answer = request.body(body.to_owned()).send().await?;
    let answer = answer.error_for_status()?;
    let headers = answer.headers().iter();
    let headers = headers
        .filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
        .collect::<Result<_>>()?;
    let body = answer.text().await?;
    let read: Value = serde_json::from_str(&body)?;
    let key = read["targets"][0]["secret"]["api_key"].as_str();
    ensure!(key == Some(vendor::KEY), "the answer holds no key");
    Ok(Answer {
        route: PATH.to_owned(),
        headers,
        body,
    })
}

/// Rows of the audit beside answers with a key.
async fn rows(plane: &Plane, api: &Process) -> Result<Figure> {
    let mut connection = PgConnection::connect(&plane.database_url(Role::Owner)?).await?;
    let rows: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_log WHERE action = 'Disclose' AND result = 'Disclosed'",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    let metrics = api.metrics().await?;
    let answers = metrics
        .lines()
        .find_map(|line| line.strip_prefix("llmplane_disclosures_total{result=\"Disclosed\"} "));
    let answers: f64 = answers.context("keys are counted")?.parse()?;
    let (keys, batches) = (
        writes::sum(&metrics, "llmplane_disclosure_batch_size_sum"),
        writes::sum(&metrics, "llmplane_disclosure_batch_size_count"),
    );
    Ok(Figure {
        what: "rows of the audit for answers with a key".to_owned(),
        bar: "as many".to_owned(),
        measured: format!(
            "{rows} rows, {answers} answers; {:.1} keys shared a commit",
            keys / batches.max(1.0)
        ),
        kept: Some(rows as f64 == answers),
    })
}
