//! LiteLLM's proxy as a child process on loopback.

use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::{Child, Command};

/// The key that every proxy of these tests takes.
pub const KEY: &str = "sk-real-0123456789abcdef0123";

/// How the proxy tells one key from another.
#[derive(Clone, Copy)]
pub enum Auth {
    /// By its master key alone, without a database of others.
    MasterKey,
    /// By a function of its operator's.
    Custom,
}

/// A running proxy; it ends when dropped.
pub struct LiteLlm {
    port: u16,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl LiteLlm {
    pub async fn start(auth: Auth) -> Self {
        let binary = std::env::var_os("LLMPLANE_LITELLM")
            .expect("LLMPLANE_LITELLM names the proxy's binary; `make test-real` sets it");
        let folder = tempfile::tempdir().unwrap();
        let config = configure(folder.path(), auth);
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let master_key = match auth {
            Auth::MasterKey => KEY,
            Auth::Custom => "sk-master-nobody-uses-this-one",
        };
        let child = Command::new(binary)
            .arg("--config")
            .arg(config)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .current_dir(folder.path())
            .env("LITELLM_MASTER_KEY", master_key)
            .env("LLMPLANE_TEST_KEY", KEY)
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env_remove("DATABASE_URL")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let proxy = Self {
            port,
            _child: child,
            _folder: folder,
        };
        proxy.answers().await;
        proxy
    }

    /// Its scheme, host and port.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("{}/v1", self.address())
    }

    async fn answers(&self) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()
            .unwrap();
        let alive = format!("{}/health/liveliness", self.address());
        // It reads half a gigabyte of Python first, which a busy machine takes its time for.
        let deadline = Instant::now() + Duration::from_secs(240);
        while !client
            .get(&alive)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            assert!(Instant::now() < deadline, "LiteLLM's proxy answers");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn configure(folder: &Path, auth: Auth) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real");
    let config = folder.join("litellm.yaml");
    std::fs::copy(here.join("litellm.yaml"), &config).unwrap();
    std::fs::copy(here.join("custom_auth.py"), folder.join("custom_auth.py")).unwrap();
    let general = match auth {
        Auth::MasterKey => "  master_key: os.environ/LITELLM_MASTER_KEY",
        Auth::Custom => "  custom_auth: custom_auth.check",
    };
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&config)
        .unwrap();
    writeln!(file, "general_settings:\n{general}").unwrap();
    config
}
