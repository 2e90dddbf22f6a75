//! The process that a node is on the host: it holds the namespaces, the link and the relays to what listens
//! on loopback. When it ends, however that is, the kernel ends everything in the namespaces.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::local::error::{LocalError, Result};
use crate::local::launch::Context;
use crate::local::state::StateDir;

use super::settings::UPLINK;
use super::{Link, PATH, cgroups, init};

/// How long the namespaces may take to be there, also on a machine that is busy.
const NAMESPACES_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// How long is waited where no connection can be taken, for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the process is told on its command line.
#[derive(Debug, clap::Args)]
pub(crate) struct RunNode {
    /// The plane's state folder
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Folder of the node's programs
    #[arg(long, value_name = "DIR")]
    pub programs: PathBuf,
    /// Whether this is the first process within the namespaces
    #[arg(long)]
    pub within: bool,
}

/// Runs a node until it is told to end, or one of its programs ends.
///
/// # Errors
/// Whatever keeps it from running.
pub(crate) async fn run(args: RunNode) -> Result<()> {
    let dir = StateDir::new(&args.state_dir)?;
    if args.within {
        return init::run(&dir, &args.programs);
    }
    let ctx = Context::find(&dir)?.ok_or(LocalError::NodeStopped)?;
    let link = ctx.node.as_ref().ok_or(LocalError::NodeStopped)?.link;
    let cgroup = cgroups::name(&dir);
    cgroups::create(&cgroup)?;
    let mut namespaces = spawn(&args)?;
    let outcome = tokio::select! {
        outcome = serve(&ctx, link, &mut namespaces) => outcome,
        outcome = told_to_end() => outcome,
    };
    // The first process within ends with it, and all others with that one.
    let _ = namespaces.kill().await;
    outcome.and(cgroups::remove(&cgroup).await)
}

async fn told_to_end() -> Result<()> {
    let listen = |kind| signal(kind).map_err(LocalError::io("listen to", "signals"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Starts this program again, as the first process of new namespaces.
fn spawn(args: &RunNode) -> Result<Child> {
    let own = std::env::current_exe().map_err(LocalError::io("find", "this program"))?;
    let mut command = Command::new("unshare");
    command
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["--propagation", "slave", "--"])
        .arg(own)
        .args(["local", "run-node", "--within", "--state-dir"])
        .arg(&args.state_dir)
        .arg("--programs")
        .arg(&args.programs)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec one async-signal-safe system call is made, prctl.
    unsafe {
        command.pre_exec(|| {
            Ok(nix::sys::prctl::set_pdeathsig(
                nix::sys::signal::Signal::SIGKILL,
            )?)
        });
    }
    command.spawn().map_err(LocalError::io("run", "unshare"))
}

/// Connects the namespaces with the host, and relays until they end.
async fn serve(ctx: &Context, link: Link, namespaces: &mut Child) -> Result<()> {
    let pid = namespaces.id().unwrap_or_default();
    let connected = async {
        new_network(pid).await?;
        connect(link, pid).await
    };
    tokio::select! {
        outcome = connected => outcome?,
        ended = namespaces.wait() => return Err(ended_by_itself(ended)),
    }
    let ports = &ctx.state.ports;
    let apiserver = listen(link.apiserver()).await?;
    let postgres = listen(link.postgres()).await?;
    tokio::select! {
        () = relay(apiserver, ports.apiserver) => Ok(()),
        () = relay(postgres, ports.postgres) => Ok(()),
        ended = namespaces.wait() => Err(ended_by_itself(ended)),
    }
}

fn ended_by_itself(ended: std::io::Result<std::process::ExitStatus>) -> LocalError {
    LocalError::CommandFailed {
        program: "the node's first process",
        outcome: ended.map_or_else(|error| error.to_string(), |status| status.to_string()),
        output: String::new(),
    }
}

/// Waits until a process has a network of its own.
async fn new_network(pid: u32) -> Result<()> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    let place = PathBuf::from(format!("/proc/{pid}/ns/net"));
    let deadline = Instant::now() + NAMESPACES_WITHIN;
    loop {
        match fs::read_link(&place) {
            Ok(its) if Some(&its) != own.as_ref() => return Ok(()),
            Err(error) => return Err(LocalError::io("read", place)(error)),
            Ok(_) if Instant::now() > deadline => {
                let late = std::io::ErrorKind::TimedOut.into();
                return Err(LocalError::io("wait for another network at", place)(late));
            }
            Ok(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// The host's end of the link; the kernel removes both ends with the node's network.
async fn connect(link: Link, pid: u32) -> Result<()> {
    let interface = link.interface();
    let pid = pid.to_string();
    let address = format!("{}/30", link.host());
    // What an earlier node's network leaves may be there for a moment yet.
    let _ = ip(&["link", "del", &interface]).await;
    ip(&[
        "link", "add", &interface, "type", "veth", "peer", "name", UPLINK, "netns", &pid,
    ])
    .await?;
    ip(&["addr", "add", &address, "dev", &interface]).await?;
    ip(&["link", "set", &interface, "up"]).await
}

async fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(args)
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(LocalError::io("run", "ip"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(LocalError::CommandFailed {
        program: "ip",
        outcome: format!("{}, {}", args.join(" "), output.status),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

async fn listen(address: SocketAddrV4) -> Result<TcpListener> {
    let place = || PathBuf::from(address.to_string());
    TcpListener::bind(address)
        .await
        .map_err(|error| LocalError::io("listen on", place())(error))
}

/// Passes each connection on to a port on loopback.
async fn relay(listener: TcpListener, port: u16) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                return;
            };
            let _ = near.set_nodelay(true);
            let _ = far.set_nodelay(true);
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_relay_passes_both_directions_on_and_ends_each_when_it_ends() {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = near.local_addr().unwrap();
        tokio::spawn(relay(near, far.local_addr().unwrap().port()));
        let echo = tokio::spawn(async move {
            let (mut stream, _) = far.accept().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"to and fro").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, "to and fro");
        echo.await.unwrap();
    }
}
