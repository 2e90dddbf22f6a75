//! A port of this machine that leads to the Service of the API, by `kubectl port-forward`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::service::{SERVICE, fault};

/// How long a port-forward may take to begin.
const AT_MOST: Duration = Duration::from_secs(30);
/// How long kubectl waits for a pod where there is none, which it says by nothing.
const POD_AT_MOST: &str = "--pod-running-timeout=5s";

/// A forwarded port. It ends with this value, or with the pod at its other end.
pub struct PortForward {
    /// The port of this machine.
    pub port: u16,
    child: Child,
}

impl PortForward {
    /// To the Service `llmplane-api` of a namespace; the flags say to kubectl which cluster it is.
    ///
    /// # Errors
    /// Where kubectl cannot be run, or does not reach the Service: with why, as far as the cluster tells.
    pub async fn start(
        client: &kube::Client,
        namespace: &str,
        flags: &[String],
    ) -> anyhow::Result<Self> {
        match Self::start_by("kubectl".as_ref(), namespace, flags).await? {
            Started::Forwards(forward) => Ok(forward),
            Started::Ended(said) => Err(match fault(client, namespace).await {
                Some(fault) => anyhow!(fault),
                None => anyhow!(
                    "Service {SERVICE} in namespace {namespace} is not reached by kubectl port-forward{said}; \
                     name its namespace with --api-namespace, or the API's URL with --api-url"
                ),
            }),
        }
    }

    async fn start_by(
        kubectl: &OsStr,
        namespace: &str,
        flags: &[String],
    ) -> anyhow::Result<Started> {
        let mut kubectl = Command::new(kubectl);
        kubectl
            .args(flags)
            .args(["port-forward", "--address=127.0.0.1", POD_AT_MOST, "-n"])
            .args([namespace, &format!("service/{SERVICE}"), ":443"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = kubectl.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!(
                "there is no kubectl, which forwards a port to the API: install it, or name the API's URL with \
                 --api-url"
            ),
            _ => anyhow!(error).context(
                "kubectl, which forwards a port to the API, cannot be run; name the API's URL with --api-url \
                 instead",
            ),
        })?;
        let said = child.stdout.take().context("kubectl has no output")?;
        let mut lines = BufReader::new(said).lines();
        let first = tokio::time::timeout(AT_MOST, lines.next_line()).await;
        let first = first.ok().and_then(Result::ok).flatten();
        let Some(port) = first.as_deref().and_then(forwarded_port) else {
            return Ok(Started::Ended(complaint(child).await));
        };
        // It says more with each connection, and ends where nobody reads that.
        let errors = child.stderr.take();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        if let Some(mut errors) = errors {
            tokio::spawn(async move { tokio::io::copy(&mut errors, &mut tokio::io::sink()).await });
        }
        Ok(Started::Forwards(Self { port, child }))
    }

    /// Whether it goes on.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// What came of running kubectl.
enum Started {
    Forwards(PortForward),
    /// With what it said, in brackets; nothing where it said nothing.
    Ended(String),
}

/// What kubectl said before it ended, in one line.
async fn complaint(mut child: Child) -> String {
    let _ = child.start_kill();
    let said = child
        .wait_with_output()
        .await
        .map(|output| output.stderr)
        .unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    match said.split_whitespace().collect::<Vec<_>>().join(" ") {
        said if said.is_empty() => said,
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
        let started = PortForward::start_by(kubectl.as_os_str(), "n", &[]);
        let Started::Forwards(mut forward) = started.await.unwrap() else {
            panic!("it does not begin");
        };
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
