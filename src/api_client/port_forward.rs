//! A port of this machine that leads to the Service of the API, by `kubectl port-forward`.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long a port-forward may take to begin.
const AT_MOST: Duration = Duration::from_secs(30);

/// A forwarded port. It ends with this value, or with the pod at its other end.
pub struct PortForward {
    /// The port of this machine.
    pub port: u16,
    child: Child,
}

impl PortForward {
    /// To the Service `llmplane-api` of a namespace; the flags say which cluster.
    ///
    /// # Errors
    /// Where kubectl cannot be run, or does not reach the Service.
    pub async fn start(namespace: &str, flags: &[String]) -> anyhow::Result<Self> {
        Self::start_by("kubectl".as_ref(), namespace, flags).await
    }

    async fn start_by(kubectl: &OsStr, namespace: &str, flags: &[String]) -> anyhow::Result<Self> {
        let mut kubectl = Command::new(kubectl);
        kubectl
            .args(flags)
            .args([
                "port-forward",
                "--address=127.0.0.1",
                "-n",
                namespace,
                "service/llmplane-api",
                ":443",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = kubectl.spawn().context(
            "kubectl, which forwards a port to the API, cannot be run; give --api-url instead",
        )?;
        let said = child.stdout.take().context("kubectl has no output")?;
        let mut lines = BufReader::new(said).lines();
        let first = tokio::time::timeout(AT_MOST, lines.next_line()).await;
        let port = first
            .ok()
            .and_then(Result::ok)
            .flatten()
            .as_deref()
            .and_then(forwarded_port);
        match port {
            Some(port) => {
                // It says more with each connection, and ends where nobody reads that.
                let errors = child.stderr.take();
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                if let Some(mut errors) = errors {
                    tokio::spawn(async move {
                        tokio::io::copy(&mut errors, &mut tokio::io::sink()).await
                    });
                }
                Ok(Self { port, child })
            }
            None => {
                let why = complaint(child).await;
                bail!(
                    "Service llmplane-api in namespace {namespace} is not reached by kubectl port-forward{why}; \
                     give --api-url where it is elsewhere"
                )
            }
        }
    }

    /// Whether it goes on.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// What kubectl said before it ended.
async fn complaint(mut child: Child) -> String {
    let _ = child.start_kill();
    let said = child
        .wait_with_output()
        .await
        .map(|output| output.stderr)
        .unwrap_or_default();
    match String::from_utf8_lossy(&said).trim() {
        "" => String::new(),
        said => format!(" ({said})"),
    }
}

/// `Forwarding from 127.0.0.1:40123 -> 8443`.
fn forwarded_port(line: &str) -> Option<u16> {
    let from = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    from.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forward_goes_on_while_kubectl_talks_of_its_connections() {
        let folder = tempfile::tempdir().unwrap();
        let (kubectl, survived) = (
            folder.path().join("kubectl"),
            folder.path().join("survived"),
        );
        let script = format!(
            "#!/bin/sh\necho 'Forwarding from 127.0.0.1:40123 -> 443'\nsleep 0.2\n\
             for i in 1 2 3; do echo \"Handling connection for $i\"; echo noise >&2; done\n\
             echo yes > {}\nsleep 60\n",
            survived.display()
        );
        std::fs::write(&kubectl, script).unwrap();
        std::fs::set_permissions(
            &kubectl,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let forward = PortForward::start_by(kubectl.as_os_str(), "n", &[]);
        let mut forward = forward.await.unwrap();
        assert_eq!(forward.port, 40123);
        let deadline = tokio::time::Instant::now() + AT_MOST;
        while !survived.exists() {
            assert!(
                tokio::time::Instant::now() < deadline,
                "it was ended by what it says"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(forward.runs());
    }

    #[test]
    fn the_port_is_read_from_what_kubectl_says() {
        assert_eq!(
            forwarded_port("Forwarding from 127.0.0.1:40123 -> 8443"),
            Some(40123)
        );
        assert_eq!(forwarded_port("error: no pods"), None);
    }
}
