//! `llmplane local`: its arguments and what it prints.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::local::binaries::Binaries;
use crate::local::error::{LocalError, Result};
use crate::local::launch::{Durability, Options, down_and_report, up_or_kill};
use crate::local::node::{self, RunNode};
use crate::local::process::Lifetime;
use crate::local::state::StateDir;
use crate::local::status::{Status, status};
use crate::output::{printable, printable_json, printable_lines};

/// Run a real control plane on this machine.
#[derive(Debug, Args)]
pub struct LocalArgs {
    #[command(subcommand)]
    command: LocalCommand,
}

#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Start etcd, kube-apiserver, kube-controller-manager, PostgreSQL, controller and API, and return when all are ready
    Up(UpArgs),
    /// Stop every process of the plane
    Down(DownArgs),
    /// Show what runs and where
    Status(StatusArgs),
    /// Run kubectl against the plane, as its administrator
    Kubectl(KubectlArgs),
    /// Run a command within the plane's node, where its images, mounts and addresses are: `ctr`, `nft`, `ip`
    Node(NodeArgs),
    /// Be the process that a node is; `up --node` starts it
    #[command(hide = true)]
    RunNode(RunNode),
}

#[derive(Debug, Args)]
struct Folder {
    /// Where data, logs, keys and the kubeconfig are kept between runs
    #[arg(long, value_name = "DIR", default_value = ".llmplane")]
    state_dir: PathBuf,
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    folder: Folder,
    /// Start neither llmplane's controller nor its API
    #[arg(long)]
    plane_only: bool,
    /// Also start a node, so that pods run: needs Linux, root, containerd and runc
    #[arg(long)]
    node: bool,
    /// Put nothing of llmplane's into the cluster, for its chart or manifests to install; implies --plane-only
    #[arg(long)]
    empty: bool,
    /// Never wait for the disk: for tests; the data may not survive a crash of the machine
    #[arg(long)]
    throwaway: bool,
}

#[derive(Debug, Args)]
struct DownArgs {
    #[command(flatten)]
    folder: Folder,
    /// Remove the state, too: data, keys and logs
    #[arg(long)]
    purge: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    folder: Folder,
    /// How to print it; only `json` shows the database's address, with its password
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Args)]
struct KubectlArgs {
    #[command(flatten)]
    folder: Folder,
    /// kubectl's own arguments
    #[arg(last = true)]
    args: Vec<OsString>,
}

#[derive(Debug, Args)]
struct NodeArgs {
    #[command(flatten)]
    folder: Folder,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs one of the subcommands. Progress goes to standard error, results to standard output.
///
/// # Errors
/// Any [`LocalError`], whose text is for the user.
pub async fn run(args: LocalArgs) -> Result<()> {
    match args.command {
        LocalCommand::Up(args) => run_up(args).await,
        LocalCommand::Down(args) => {
            let dir = StateDir::new(&args.folder.state_dir)?;
            down_and_report(&dir, args.purge, &say).await
        }
        LocalCommand::Status(args) => {
            let dir = StateDir::new(&args.folder.state_dir)?;
            print(&status(&dir).await?, args.output);
            Ok(())
        }
        LocalCommand::Kubectl(args) => become_kubectl(args).await,
        LocalCommand::Node(args) => {
            let dir = StateDir::new(&args.folder.state_dir)?;
            node::become_command(&dir, &args.command)
        }
        LocalCommand::RunNode(args) => node::run(args).await,
    }
}

/// Replaces this process, so that signals, terminal and exit code are kubectl's own.
async fn become_kubectl(args: KubectlArgs) -> Result<()> {
    let dir = StateDir::new(&args.folder.state_dir)?;
    let binaries = Binaries::find(&say).await?;
    let error = std::process::Command::new(&binaries.kubectl)
        .env("KUBECONFIG", dir.kubeconfig())
        .args(args.args)
        .exec();
    Err(LocalError::io("run", binaries.kubectl)(error))
}

async fn run_up(args: UpArgs) -> Result<()> {
    let executable = std::env::current_exe().map_err(LocalError::io("find", "this program"))?;
    let durability = match args.throwaway {
        true => Durability::Throwaway,
        false => Durability::Durable,
    };
    let options = Options {
        state_dir: StateDir::new(&args.folder.state_dir)?,
        plane_only: args.plane_only,
        empty: args.empty,
        node: args.node,
        durability,
        lifetime: Lifetime::Detached,
        executable,
    };
    let (first, second) = interrupts()?;
    let status = up_or_kill(&options, &say, first.cancelled(), second.cancelled()).await?;
    print(&status, Output::Text);
    Ok(())
}

/// Progress, on standard error.
fn say(line: &str) {
    eprintln!("{}", printable_lines(line));
}

/// Cancelled at the first, and at the second, SIGINT, SIGTERM or SIGHUP.
fn interrupts() -> Result<(CancellationToken, CancellationToken)> {
    let listen = |kind| signal(kind).map_err(LocalError::io("listen to", "signals"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let tokens = [first.clone(), second.clone()];
    tokio::spawn(async move {
        for token in tokens {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            token.cancel();
        }
    });
    Ok((first, second))
}

fn print(status: &Status, output: Output) {
    match output {
        Output::Json => {
            let json = crate::local::state::to_json(status);
            println!("{}", printable_json(&String::from_utf8_lossy(&json)));
        }
        Output::Text => print!("{}", describe(status)),
    }
}

/// For people: no password, and the line to paste.
fn describe(status: &Status) -> String {
    let state_dir = status.state_dir.to_string_lossy();
    let state_dir = printable(&state_dir);
    let mut lines = Vec::new();
    if status.running {
        lines.push(format!("running ({state_dir})"));
    } else {
        lines.push(format!(
            "not running ({state_dir}); `llmplane local up` starts it"
        ));
    }
    for component in &status.ended {
        lines.push(format!(
            "{component} does not run; `llmplane local up` starts it again"
        ));
    }
    for (component, pid, reason) in &status.unready {
        lines.push(format!(
            "{component} (process {pid}) lives, but is not ready: {reason}"
        ));
    }
    if status.running {
        if let Some(url) = &status.api_url {
            lines.push(format!("read API: {url}"));
        }
        if let Some(node) = &status.node {
            let (name, address, database) = (&node.name, &node.address, &node.database);
            lines.push(format!(
                "node: {name} ({address}); PostgreSQL to its pods: {database}"
            ));
        }
        if let Some(kubeconfig) = &status.kubeconfig {
            let path = quoted(&kubeconfig.to_string_lossy());
            lines.push(format!("export KUBECONFIG={path}"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// As one word of a shell's.
fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    if text.contains(char::is_control) {
        // Other quotes would print it as it is.
        let escaped: String = text.chars().map(in_dollar_quotes).collect();
        return format!("$'{escaped}'");
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A character as it stands between `$'` and `'`.
fn in_dollar_quotes(char: char) -> String {
    match char {
        '\'' | '\\' => format!("\\{char}"),
        _ if char.is_control() => {
            let mut bytes = [0; 4];
            let bytes = char.encode_utf8(&mut bytes).bytes();
            bytes.map(|byte| format!("\\x{byte:02x}")).collect()
        }
        _ => char.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_path_is_one_word_of_the_line_to_paste() {
        assert_eq!(quoted("/home/u/.llmplane"), "/home/u/.llmplane");
        assert_eq!(quoted("/my plane"), "'/my plane'");
        assert_eq!(quoted("/it's"), r"'/it'\''s'");
        assert_eq!(quoted("/a\u{1b}'\\b"), r"$'/a\x1b\'\\b'");
    }
}
