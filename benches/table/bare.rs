//! What reads are compared with: axum alone, in a process of its own, with handlers that answer
//! bytes made beforehand under the headers that the read API sends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use axum::routing::any;
use axum::serve::ListenerExt;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

const FILE: &str = "answers.json";
/// Where rows are committed to, if they are.
const DATABASE: &str = "database.txt";

/// Rows that share a commit at most.
const MAX_ROWS: usize = 256;
/// The least that tells who got what, by one index.
const TABLE: &str = "CREATE TABLE given (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), actor text NOT NULL,
    namespace text NOT NULL, credential text NOT NULL, model text NOT NULL, purpose text)";
const ROWS: &str = "INSERT INTO given (actor, namespace, credential, model, purpose)
    SELECT 'system:serviceaccount:agents:agent-' || n, 'agents', 'credential-0', 'model-0', 'bench'
    FROM generate_series(1, $1) AS n";

/// An answer to repeat.
#[derive(Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The route's pattern.
    pub route: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A running server; it is killed when dropped.
pub struct Bare {
    child: Child,
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

/// A server that does not listen yet.
pub struct Starting {
    child: Child,
    folder: tempfile::TempDir,
}

impl Starting {
    /// The server, when it listens.
    pub async fn listening(mut self) -> Result<Bare> {
        let stdout = self.child.stdout.take().context("its output is piped")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let address = line.context("it says where it listens")?.parse()?;
        Ok(Bare {
            child: self.child,
            address,
            _folder: self.folder,
        })
    }
}

impl Bare {
    /// Starts this program as a server of these answers.
    pub fn start(answers: &[Answer]) -> Result<Starting> {
        Self::start_in(tempfile::tempdir()?, answers)
    }

    /// The same, which gives each answer after it has committed a row about it in this empty database.
    pub async fn start_recording(answers: &[Answer], database: &str) -> Result<Starting> {
        let mut connection = PgConnection::connect(database).await?;
        connection.execute("DROP TABLE IF EXISTS given").await?;
        connection.execute(TABLE).await?;
        connection.close().await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(DATABASE), database)?;
        Self::start_in(folder, answers)
    }

    fn start_in(folder: tempfile::TempDir, answers: &[Answer]) -> Result<Starting> {
        std::fs::write(folder.path().join(FILE), serde_json::to_vec(answers)?)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("--bare")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Starting { child, folder })
    }

    /// Its id.
    pub fn pid(&self) -> Result<i32> {
        let id = self.child.id().context("the bare server has ended")?;
        Ok(i32::try_from(id)?)
    }
}

/// The server itself, until it is killed.
pub async fn serve(folder: &Path) -> Result<()> {
    let file: PathBuf = folder.join(FILE);
    let answers: Vec<Answer> = serde_json::from_slice(&std::fs::read(file)?)?;
    let recorder = match std::fs::read_to_string(folder.join(DATABASE)) {
        Ok(database) => Some(Recorder::start(&database).await?),
        Err(_) => None,
    };
    let mut router = Router::new();
    for answer in answers {
        let mut headers = HeaderMap::new();
        for (name, value) in &answer.headers {
            headers.insert(
                HeaderName::from_bytes(name.as_bytes())?,
                HeaderValue::from_str(value)?,
            );
        }
        let body = Bytes::from(answer.body);
        let recorder = recorder.clone();
        let handler = move || {
            let mut response = Response::new(Body::from(body.clone()));
            *response.headers_mut() = headers.clone();
            let recorder = recorder.clone();
            async move {
                if let Some(recorder) = recorder {
                    recorder.record().await;
                }
                response
            }
        };
        router = router.route(&answer.route, any(handler));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

/// Commits rows: for all that wait at once in one statement.
#[derive(Clone)]
struct Recorder(mpsc::Sender<oneshot::Sender<()>>);

impl Recorder {
    async fn start(database: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(database).await?;
        connection.execute("SET synchronous_commit = on").await?;
        let (sender, mut waiting) = mpsc::channel(4096);
        tokio::spawn(async move {
            let mut batch: Vec<oneshot::Sender<()>> = Vec::new();
            while waiting.recv_many(&mut batch, MAX_ROWS).await > 0 {
                let rows = sqlx::query(ROWS).bind(batch.len() as i32);
                if let Err(error) = rows.execute(&mut connection).await {
                    eprintln!("no row can be committed: {error}");
                    return;
                }
                for one in batch.drain(..) {
                    let _ = one.send(());
                }
            }
        });
        Ok(Self(sender))
    }

    /// Returns when a row was committed; never where none can be.
    async fn record(&self) {
        let (sender, committed) = oneshot::channel();
        if self.0.send(sender).await.is_err() || committed.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
