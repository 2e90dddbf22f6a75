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
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

const FILE: &str = "answers.json";

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
        let folder = tempfile::tempdir()?;
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
        let handler = move || {
            let mut response = Response::new(Body::from(body.clone()));
            *response.headers_mut() = headers.clone();
            std::future::ready(response)
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
