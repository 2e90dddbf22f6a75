//! How long it takes to move stored keys under another key-encryption key while they are read, beside one
//! UPDATE of as many rows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use llmplane::db::{Db, DbOptions};
use llmplane::encryption::kek::folder;
use sqlx::{Connection, PgConnection};

use crate::figures::time;
use crate::plane::Plane;
use crate::report::{Figure, Report};
use crate::sealed_fleet::{Fleet, Readers};

/// Credentials, and versions of each: 10,000 in all.
const CREDENTIALS: usize = 100;
const VERSIONS: i32 = 100;
/// Longest wait for the end.
const WITHIN: Duration = Duration::from_secs(300);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Moves them once.
pub async fn measure(plane: &Plane, report: &mut Report) -> Result<()> {
    eprintln!("re-wraps 10,000 versions");
    let (owner_url, controller_url) = plane.rewrap_database().await?;
    let parent = tempfile::tempdir()?;
    let keyring = parent.path().join("keyring");
    folder::create(&keyring)?;
    let owner = PgConnection::connect(&owner_url).await?;
    let fleet = Fleet::make(owner, &keyring, CREDENTIALS, VERSIONS).await;
    let plain = plain_update(&owner_url).await?;

    let db = Db::connect(&controller_url, &DbOptions::new("bench")).await?;
    let readers = Readers::start(&db, &fleet, &keyring);
    let new = folder::add(&keyring)?;
    folder::activate(&keyring, &new)?;
    let controller = plane.rewrapper(&controller_url, &keyring)?;
    let deadline = Instant::now() + WITHIN;
    let took = loop {
        anyhow::ensure!(Instant::now() < deadline, "re-wrapping does not end");
        let state = db.rewrap_state().await?;
        if let Some((begun, ended)) = state.and_then(|it| it.started_at.zip(it.ended_at)) {
            break Duration::try_from(ended.duration_since(begun))?;
        }
        tokio::time::sleep(LOOK).await;
    };
    drop(controller);
    let (reads, failed) = readers.ended().await;
    let moved = db.kek_uses().await?;
    let moved = moved.iter().find(|used| used.kek_id == new.to_string());
    let moved = moved.context("nothing was moved")?.versions;
    anyhow::ensure!(
        moved == fleet.len(),
        "{moved} of {} were moved",
        fleet.len()
    );
    db.close().await;
    report.add(Figure {
        what: format!(
            "re-wrap of {moved} versions under reads, against one UPDATE of as many rows"
        ),
        bar: "no read fails".to_owned(),
        measured: format!(
            "{:.1} times ({} against {}), {} of {reads} reads failed",
            took.as_secs_f64() / plain.as_secs_f64(),
            time(took),
            time(plain),
            failed.len()
        ),
        kept: Some(failed.is_empty()),
    });
    Ok(())
}

/// One statement that changes the same indexed column of as many rows, and back.
async fn plain_update(owner_url: &str) -> Result<Duration> {
    let mut owner = PgConnection::connect(owner_url).await?;
    let began = Instant::now();
    for _ in 0..2 {
        sqlx::query(
            "UPDATE credential_versions SET kek_id = reverse(kek_id), wrapped_key = wrapped_key",
        )
        .execute(&mut owner)
        .await?;
    }
    let both = began.elapsed();
    owner.close().await?;
    Ok(both / 2)
}
