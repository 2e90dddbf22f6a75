//! The same lookup elsewhere: a FastAPI service in front of PostgreSQL, LiteLLM's proxy and the
//! kube-apiserver itself; and a key with a row in the audit by the first of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::accounts::{self, Agents};
use crate::figures::median;
use crate::fleet::{self, AGENTS, MODELS};
use crate::keys;
use crate::load::{self, Target};
use crate::plane::{Plane, free_address};
use crate::processors::{self, StartedOnFirst};
use crate::report::{Figure, Report};

/// Rounds of each side; the sides take turns.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_secs(2);
/// LiteLLM's proxy imports for half a minute on a small machine.
const STARTED_WITHIN: Duration = Duration::from_secs(180);

const READS: f64 = 20.0;
const RESOLVES: f64 = 10.0;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const LITELLM_KEY: &str = "sk-litellm-0123456789abcdef";

/// A peer that runs, with its workers; all are killed when it is dropped.
struct Peer {
    group: Pid,
    address: SocketAddr,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

/// Measures llmplane against each: both sides have one processor, with all that they need (PostgreSQL,
/// etcd); the generator has another, so that it is not what is measured.
pub async fn measure(plane: &Plane, agents: &Agents, report: &mut Report) -> Result<()> {
    let mut own = processors::on_first(|| plane.api("api-beside-peers"))?;
    own.ready().await?;
    let api = own.address()?;
    let model = fleet::model_name("provider-0", 7);
    let read = Target::new(api, &format!("/api/v1/models/{model}"), &agents.tokens);
    let asked = json!({ "model": model, "with_secret": true, "purpose": "bench" }).to_string();
    let resolve = Target::posting(api, "/api/v1/resolve", &asked, &agents.tokens);
    let resolve = resolve.with_connections(keys::CALLERS);

    eprintln!("peers: FastAPI and PostgreSQL");
    let folder = tempfile::tempdir()?;
    let service = service(plane, api, agents, &asked, folder.path()).await?;
    let theirs = Target::new(service.address, &format!("/models/{model}"), &agents.tokens);
    let name = "GET /models/{id}: times as many a second as a FastAPI service on PostgreSQL";
    report.add(times(name, READS, read.clone(), theirs).await?);
    let theirs = Target::posting(service.address, "/resolve", &asked, &agents.tokens);
    let theirs = theirs.with_connections(keys::CALLERS);
    let name = "POST /resolve with a key, audited: times as many a second as the same service";
    report.add(times(name, RESOLVES, resolve, theirs).await?);
    drop(service);

    eprintln!("peers: LiteLLM's proxy");
    let proxy = litellm(folder.path()).await?;
    let path = format!("/model/info?litellm_model_id={model}");
    let theirs = Target::new(proxy.address, &path, &[LITELLM_KEY.to_owned()]);
    let name = "GET /models/{id}: times as many a second as LiteLLM's /model/info";
    report.add(times(name, READS, read.clone(), theirs).await?);
    drop(proxy);

    eprintln!("peers: kube-apiserver");
    let path = format!("/apis/llmplane.dev/v1alpha1/namespaces/{AGENTS}/llmmodels/{model}");
    let tokens = accounts::apiserver_tokens(plane).await?;
    let (address, tls) = plane.apiserver().await?;
    let theirs = Target::new(address, &path, &tokens).over(tls);
    let name = "GET /models/{id}: times as many a second as the kube-apiserver's own object";
    report.add(times(name, READS, read, theirs).await?);
    Ok(())
}

/// How many times as many answers a second the first side gives.
async fn times(what: &str, bar: f64, ours: Target, theirs: Target) -> Result<Figure> {
    let generate = move || {
        let _kept = StartedOnFirst::keep()?;
        processors::on_last(|| take_turns(&ours, &theirs))
    };
    let rounds = tokio::task::spawn_blocking(generate).await??;
    let of =
        |pick: &dyn Fn(&(f64, f64)) -> f64| median(&rounds.iter().map(pick).collect::<Vec<_>>());
    let ratio = of(&|round| round.0 / round.1);
    Ok(Figure {
        what: what.to_owned(),
        bar: format!("at least {bar}"),
        measured: format!(
            "{ratio:.0} ({:.0} against {:.0} a second)",
            of(&|round| round.0),
            of(&|round| round.1)
        ),
        kept: Some(ratio >= bar),
    })
}

fn take_turns(ours: &Target, theirs: &Target) -> Result<Vec<(f64, f64)>> {
    load::saturate(theirs, WARM_UP)?;
    load::saturate(ours, WARM_UP)?;
    let one = |_| Ok((load::saturate(ours, ROUND)?, load::saturate(theirs, ROUND)?));
    (0..ROUNDS).map(one).collect()
}

/// A service with the rows of the agents' models, a worker for its processor.
async fn service(
    plane: &Plane,
    api: SocketAddr,
    agents: &Agents,
    asked: &str,
    folder: &Path,
) -> Result<Peer> {
    let python = python("peers", "benches/peers/requirements.txt").await?;
    let file = folder.join("rows.json");
    let rows = json!({
        "models": get(&format!("http://{api}/api/v1/models?limit=1000"), agents.one(), None).await?["items"],
        "resolve": get(&format!("http://{api}/api/v1/resolve"), agents.one(), Some(asked)).await?,
        "tokens": agents.tokens,
    });
    let count = rows["models"].as_array().map_or(0, Vec::len);
    ensure!(count == MODELS, "{count} models instead of {MODELS}");
    std::fs::write(&file, serde_json::to_vec(&rows)?)?;
    let database = plane.peers_database().await?;
    let command = || {
        let mut command = Command::new(&python);
        command
            .current_dir(Path::new(ROOT).join("benches/peers"))
            .env("DATABASE_URL", &database)
            .env("PEER_KEY", STANDARD.encode([7; 32]))
            .stdin(Stdio::null());
        command
    };
    let made = command().arg("service.py").arg(&file).status().await?;
    ensure!(made.success(), "the service's tables were not made");
    let address = free_address()?;
    let mut command = command();
    command
        .args(["-m", "uvicorn", "service:app", "--host", "127.0.0.1"])
        .args(["--port", &address.port().to_string(), "--workers", "1"])
        .args(["--loop", "uvloop", "--http", "httptools", "--no-access-log"])
        .args(["--log-level", "warning"]);
    let path = format!("/models/{}", fleet::model_name("provider-0", 7));
    started(command, address, &path, agents.one()).await
}

/// LiteLLM's proxy with as many models, which answer by themselves: nothing leaves the machine.
async fn litellm(folder: &Path) -> Result<Peer> {
    let python = python("litellm", "tests/real/requirements.txt").await?;
    let models: Vec<_> = (0..MODELS)
        .map(|number| {
            let name = fleet::model_name("provider-0", number);
            json!({
                "model_name": name,
                "litellm_params": { "model": "openai/gpt-4o", "api_key": "none", "mock_response": "pong" },
                "model_info": { "id": name },
            })
        })
        .collect();
    let file = folder.join("litellm.json");
    let config = json!({
        "model_list": models,
        "litellm_settings": { "telemetry": false },
        "general_settings": { "master_key": LITELLM_KEY },
    });
    // JSON is YAML.
    std::fs::write(&file, serde_json::to_vec(&config)?)?;
    let address = free_address()?;
    let mut command = Command::new(python.with_file_name("litellm"));
    command
        .current_dir(folder)
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_LOG", "ERROR")
        .arg("--config")
        .arg(&file)
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--num_workers", "1"])
        .stdin(Stdio::null());
    started(command, address, "/model/info", LITELLM_KEY).await
}

/// The interpreter of an environment with these requirements.
async fn python(name: &str, requirements: &str) -> Result<PathBuf> {
    let made = Command::new(".ci/venv")
        .args([name, requirements])
        .current_dir(ROOT)
        .status()
        .await?;
    ensure!(made.success(), "no environment with {requirements}");
    Ok(Path::new(ROOT).join(format!("target/venv-{name}/bin/python")))
}

async fn started(
    mut command: Command,
    address: SocketAddr,
    path: &str,
    token: &str,
) -> Result<Peer> {
    let mut child = command.stdout(Stdio::null()).process_group(0).spawn()?;
    let id = child.id().context("a peer has ended")?;
    let peer = Peer {
        group: Pid::from_raw(i32::try_from(id)?),
        address,
    };
    let deadline = Instant::now() + STARTED_WITHIN;
    while get(&format!("http://{address}{path}"), token, None)
        .await
        .is_err()
    {
        if let Some(status) = child.try_wait()? {
            bail!("a peer ended before it answered: {status}");
        }
        ensure!(
            Instant::now() < deadline,
            "a peer does not answer at {address}{path}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(peer)
}

async fn get(url: &str, token: &str, posted: Option<&str>) -> Result<Value> {
    let client = reqwest::Client::new();
    let request = match posted {
        None => client.get(url),
        Some(body) => client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_owned()),
    };
    let answer = request
        .bearer_auth(token)
        .send()
        .await?
        .error_for_status()?;
    answer
        .json()
        .await
        .with_context(|| format!("{url} answers no JSON"))
}
