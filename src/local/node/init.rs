//! The first process within a node's namespaces: it makes file system and network the node's own, starts the
//! node's programs, and ends when one of them does.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::local::error::{LocalError, Result};
use crate::local::process::PLANE;
use crate::local::state::{StateDir, create_private_dir};

use super::settings::{BIN, ETC, LOGS, PAUSE_IMAGE, UPLINK};
use super::{Node, PATH, folder};

/// How long the link and containerd may take, also on a machine that is busy.
const PART_WITHIN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);
/// Sysctls that the kubelet sets, and that are the whole machine's.
const SYSCTLS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];
/// Sysctls of the node's own network.
const NETWORK_SYSCTLS: [(&str, &str); 3] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
];

/// A program of the node that runs until the node ends.
struct Running {
    name: &'static str,
    child: Child,
}

/// Runs the node; returns when one of its programs has ended, with which and why.
///
/// # Errors
/// Always, for a node ends by being killed.
pub(super) fn run(dir: &StateDir, programs: &Path) -> Result<()> {
    let node = Node::find(dir)?.ok_or_else(|| LocalError::NoNode {
        reasons: vec!["the state folder has none".to_owned()],
    })?;
    // Pods' users have to read what is made from here on.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    isolate(dir, programs)?;
    connect(&node)?;
    let containerd = start(
        "containerd",
        &["--config", &format!("{ETC}/containerd.toml")],
    )?;
    let mut running = vec![containerd];
    wait_for_containerd(&mut running[0])?;
    load_pause_image()?;
    let kubeconfig = |name: &str| format!("--kubeconfig={ETC}/{name}.kubeconfig");
    let node_name = format!("--hostname-override={}", super::NAME);
    let address = format!("--node-ip={}", node.link.node());
    running.push(start(
        "kubelet",
        &[
            &format!("--config={ETC}/kubelet.json"),
            &kubeconfig("kubelet"),
            &node_name,
            &address,
            "--root-dir=/var/lib/kubelet",
        ],
    )?);
    running.push(start(
        "kube-proxy",
        &[&format!("--config={ETC}/kube-proxy.json")],
    )?);
    running.push(start(
        "kube-scheduler",
        &[
            &kubeconfig("kube-scheduler"),
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--cert-dir=/run/llmplane/kube-scheduler",
        ],
    )?);
    running.push(start("coredns", &["-conf", &format!("{ETC}/Corefile")])?);
    first_to_end(&running)
}

/// Takes what has ended from the process table, whoever started it, until one of the programs has.
fn first_to_end(running: &[Running]) -> Result<()> {
    loop {
        let ended = nix::sys::wait::wait().map_err(|errno| {
            LocalError::io("wait for the node's programs in", "/")(errno.into())
        })?;
        let pid = ended.pid().map(nix::unistd::Pid::as_raw);
        let is_ended = |it: &&Running| i32::try_from(it.child.id()).ok() == pid;
        if let Some(program) = running.iter().find(is_ended) {
            return Err(ended_early(program.name, &format!("{ended:?}")));
        }
    }
}

fn ended_early(program: &'static str, outcome: &str) -> LocalError {
    LocalError::CommandFailed {
        program,
        outcome: outcome.to_owned(),
        output: log_tail(program),
    }
}

/// The end of a program's log.
fn log_tail(name: &str) -> String {
    const BYTES: i64 = 2048;
    let mut text = Vec::new();
    if let Ok(mut file) = fs::File::open(log(name)) {
        let _ = file.seek(SeekFrom::End(-BYTES));
        let _ = file.read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn log(name: &str) -> String {
    format!("{LOGS}/{name}.log")
}

/// A command with the node's own programs first, and nothing of the caller's environment but whose it is.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", format!("{BIN}:{PATH}"))
        .envs(std::env::var_os(PLANE).map(|plane| (PLANE, plane)))
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Starts a program whose output goes to a log of its own.
fn start(name: &'static str, args: &[&str]) -> Result<Running> {
    let path = log(name);
    let failed = || LocalError::io("open", &path);
    let out = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed())?;
    let too = out.try_clone().map_err(failed())?;
    let program = match name {
        "containerd" => name.to_owned(),
        _ => format!("{BIN}/{name}"),
    };
    let child = command(&program)
        .args(args)
        .stdout(out)
        .stderr(too)
        .spawn()
        .map_err(LocalError::io("run", program))?;
    println!("started {name} (process {})", child.id());
    Ok(Running { name, child })
}

/// Runs a program to its end.
fn run_to_end(program: &'static str, args: &[&str], input: impl Into<Stdio>) -> Result<()> {
    let output = command(program)
        .args(args)
        .stdin(input)
        .output()
        .map_err(LocalError::io("run", program))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(program, output.status, &output.stderr)),
    }
}

fn failed(program: &'static str, status: ExitStatus, said: &[u8]) -> LocalError {
    LocalError::CommandFailed {
        program,
        outcome: status.to_string(),
        output: String::from_utf8_lossy(said).into_owned(),
    }
}

/// Gives the node its own /run and /var, and plain files in place of the machine's sysctls: what the node's
/// programs write there is theirs alone.
#[cfg(target_os = "linux")]
fn isolate(dir: &StateDir, programs: &Path) -> Result<()> {
    use nix::mount::{MsFlags, mount};

    let call = |from: Option<&Path>, to: &Path, fstype: Option<&str>, flags, data: Option<&str>| {
        mount(from, to, fstype, flags, data)
            .map_err(|errno| LocalError::io("mount", to)(errno.into()))
    };
    let tmpfs = |place: &Path| {
        create_private_dir(place)?;
        call(
            None,
            place,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=755"),
        )
    };
    let bind = |from: &Path, to: &Path| call(Some(from), to, None, MsFlags::MS_BIND, None);
    let make = |place: &Path| fs::create_dir_all(place).map_err(LocalError::io("create", place));

    let own = folder(dir);
    let [run, var] = ["run", "var"].map(|name| own.join(name));
    tmpfs(&run)?;
    let logs = dir.path().join("logs");
    for (from, to) in [
        (own.join("etc"), "etc"),
        (programs.to_owned(), "bin"),
        (logs, "logs"),
    ] {
        let to = run.join("llmplane").join(to);
        make(&to)?;
        bind(&from, &to)?;
    }
    tmpfs(&var)?;
    for place in ["lib/kubelet", "lib/containerd", "log/pods"] {
        let from = own.join(place);
        make(&from)?;
        let to = var.join(place);
        make(&to)?;
        bind(&from, &to)?;
    }
    make(&var.join("tmp"))?;
    let link = var.join("run");
    std::os::unix::fs::symlink("/run", &link).map_err(LocalError::io("link", &link))?;
    for (from, to) in [(&run, "/run"), (&var, "/var")] {
        call(Some(from), Path::new(to), None, MsFlags::MS_MOVE, None)?;
    }

    let sysctls = own.join("sysctl");
    create_private_dir(&sysctls)?;
    for name in SYSCTLS {
        let real = Path::new("/proc/sys").join(name);
        // A kernel without key management has no limits of keys.
        let Ok(value) = fs::read(&real) else { continue };
        let copy = sysctls.join(name.replace('/', "."));
        fs::write(&copy, value).map_err(LocalError::io("write", &copy))?;
        bind(&copy, &real)?;
    }
    // Volumes that pods share with each other need it; the host sees none of it.
    call(
        None,
        Path::new("/"),
        None,
        MsFlags::MS_REC | MsFlags::MS_SHARED,
        None,
    )
}

#[cfg(not(target_os = "linux"))]
fn isolate(_: &StateDir, _: &Path) -> Result<()> {
    let _ = (SYSCTLS, create_private_dir, folder);
    Err(LocalError::NoNode {
        reasons: vec!["it needs Linux".to_owned()],
    })
}

/// The node's end of the link, as soon as the host has made it.
fn connect(node: &Node) -> Result<()> {
    let address = format!("{}/30", node.link.node());
    let gateway = node.link.host().to_string();
    run_to_end("ip", &["link", "set", "lo", "up"], Stdio::null())?;
    let interfaces = Path::new("/proc/net/dev");
    let is_there =
        || fs::read_to_string(interfaces).is_ok_and(|all| all.contains(&format!("{UPLINK}:")));
    let deadline = Instant::now() + PART_WITHIN;
    while !is_there() {
        if Instant::now() > deadline {
            let late = std::io::ErrorKind::TimedOut.into();
            return Err(LocalError::io("wait for the link in", interfaces)(late));
        }
        sleep(POLL);
    }
    run_to_end(
        "ip",
        &["addr", "add", &address, "dev", UPLINK],
        Stdio::null(),
    )?;
    run_to_end("ip", &["link", "set", UPLINK, "up"], Stdio::null())?;
    run_to_end(
        "ip",
        &["route", "add", "default", "via", &gateway],
        Stdio::null(),
    )?;
    for (name, value) in NETWORK_SYSCTLS {
        let path = Path::new("/proc/sys").join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(LocalError::io("open", &path))?;
        file.write_all(value.as_bytes())
            .map_err(LocalError::io("write", &path))?;
    }
    run_to_end(
        "nft",
        &["-f", &format!("{ETC}/forwarding.nft")],
        Stdio::null(),
    )
}

fn wait_for_containerd(containerd: &mut Running) -> Result<()> {
    let deadline = Instant::now() + PART_WITHIN;
    loop {
        let answer = run_to_end("ctr", &["version"], Stdio::null());
        if answer.is_ok() {
            return Ok(());
        }
        let ended = containerd
            .child
            .try_wait()
            .map_err(LocalError::io("wait for", "containerd"))?;
        if let Some(status) = ended {
            return Err(ended_early(containerd.name, &status.to_string()));
        }
        if Instant::now() > deadline {
            return answer;
        }
        sleep(POLL);
    }
}

/// Every pod's sandbox runs it; it is made here, so that nothing is pulled.
fn load_pause_image() -> Result<()> {
    let files = "/run/llmplane/pause";
    fs::create_dir_all(files).map_err(LocalError::io("create", files))?;
    let program = format!("{files}/pause");
    fs::copy(format!("{BIN}/pause"), &program).map_err(LocalError::io("create", program))?;
    let mut packing = command(&format!("{BIN}/pack-image"))
        .args([
            "-name",
            PAUSE_IMAGE,
            "-user",
            "65535:65535",
            files,
            "/pause",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(LocalError::io("run", format!("{BIN}/pack-image")))?;
    let archive = packing.stdout.take().map_or_else(Stdio::null, Stdio::from);
    run_to_end(
        "ctr",
        &["--namespace=k8s.io", "images", "import", "-"],
        archive,
    )?;
    let status = packing
        .wait()
        .map_err(LocalError::io("wait for", "pack-image"))?;
    match status.success() {
        true => Ok(()),
        false => Err(failed("pack-image", status, b"")),
    }
}
