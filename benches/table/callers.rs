//! Callers that the read API has never seen.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};

use crate::accounts;
use crate::figures::Times;
use crate::plane::Plane;
use crate::process::Process;
use crate::report::{Figure, Report};

/// How many.
const CALLERS: usize = 300;
/// How many of them come at once.
const AT_ONCE: usize = 4;
const BAR: Duration = Duration::from_millis(100);

/// Measures the first request of each.
pub async fn measure(plane: &Plane, api: &Process, report: &mut Report) -> Result<()> {
    eprintln!("{CALLERS} callers never seen before");
    let tokens = accounts::tokens(plane, "new", CALLERS).await?;
    let url = format!("http://{}/api/v1/models?limit=10", api.address()?);
    let client = reqwest::Client::new();
    let ask = |token: String| {
        let request = client.get(&url).bearer_auth(token);
        async move {
            let start = Instant::now();
            let answer = request.send().await?.error_for_status()?;
            answer.bytes().await?;
            anyhow::Ok(start.elapsed())
        }
    };
    let times: Vec<Duration> = stream::iter(tokens)
        .map(ask)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let times = Times::new(times);
    report.add(Figure {
        what: format!(
            "a caller never seen before, {} of them, {AT_ONCE} at once",
            times.len()
        ),
        bar: "p99 at most 100 ms".to_owned(),
        measured: times.words(),
        kept: Some(times.quantile(0.99) <= BAR),
    });
    Ok(())
}
