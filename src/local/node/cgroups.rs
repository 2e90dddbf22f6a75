//! The cgroups that a node's pods are in: one folder in each hierarchy, made before the kubelet starts and
//! removed when it has ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::local::error::{LocalError, Result};
use crate::local::state::StateDir;

/// How long the kernel has to take killed processes out of their cgroups.
const EMPTY_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// What the kubelet cannot do without.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// Mounted hierarchies that can be written.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hierarchies {
    /// Version 1: one for each controller or two.
    v1: Vec<PathBuf>,
    /// Version 2: one for all, or, beside version 1, one without controllers.
    v2: Option<PathBuf>,
    /// Whether version 1 has what the kubelet needs.
    v1_is_complete: bool,
}

/// The folder's name, another one for each plane.
pub(super) fn name(dir: &StateDir) -> String {
    let digest = Sha256::digest(dir.path().as_os_str().as_encoded_bytes());
    format!("llmplane-node-{}", hex::encode(&digest[..4]))
}

/// Whether there are hierarchies that this process may change.
pub(super) fn are_usable() -> bool {
    hierarchies().are_usable()
}

fn hierarchies() -> Hierarchies {
    parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

impl Hierarchies {
    /// Where version 1 is mounted the kubelet uses it, and nothing else.
    fn are_usable(&self) -> bool {
        match self.v1.is_empty() {
            true => self.v2.is_some(),
            false => self.v1_is_complete,
        }
    }
}

fn parse(mountinfo: &str) -> Hierarchies {
    let mut found = Hierarchies::default();
    let mut controllers = String::new();
    for (mount, kind) in mountinfo.lines().filter_map(|line| line.split_once(" - ")) {
        let mut mount = mount.split(' ').skip(4);
        let (Some(place), Some(options)) = (mount.next(), mount.next()) else {
            continue;
        };
        let mut kind = kind.split(' ');
        let fstype = kind.next().unwrap_or_default();
        if !options.split(',').any(|option| option == "rw") {
            continue;
        }
        match fstype {
            "cgroup" => {
                found.v1.push(PathBuf::from(place));
                controllers.push_str(kind.nth(1).unwrap_or_default());
                controllers.push(',');
            }
            "cgroup2" => found.v2 = Some(PathBuf::from(place)),
            _ => {}
        }
    }
    let has = |name: &&str| controllers.split(',').any(|it| it == *name);
    found.v1_is_complete = CONTROLLERS.iter().all(has);
    found
}

/// Makes the folder in each hierarchy.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn create(name: &str) -> Result<()> {
    let found = hierarchies();
    match found.v2 {
        Some(top) if found.v1.is_empty() => create_v2(&top, name),
        _ => (found.v1.iter()).try_for_each(|top| create_v1(top, name)),
    }
}

fn create_v1(top: &Path, name: &str) -> Result<()> {
    let folder = top.join(name);
    make(&folder)?;
    // A new cpuset has neither processors nor memory, and takes no process until it does.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (top.join(file), folder.join(file));
        if let Ok(value) = fs::read(&from) {
            fs::write(&to, value).map_err(LocalError::io("write", to))?;
        }
    }
    Ok(())
}

fn create_v2(top: &Path, name: &str) -> Result<()> {
    let folder = top.join(name);
    let enabled: String = CONTROLLERS
        .map(|controller| format!("+{controller} "))
        .concat();
    let enable = |folder: &Path| {
        let file = folder.join("cgroup.subtree_control");
        fs::write(&file, enabled.trim_end()).map_err(LocalError::io("write", file))
    };
    enable(top)?;
    make(&folder)?;
    enable(&folder)
}

fn make(folder: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map_err(LocalError::io("create", folder)),
    }
}

/// Removes the folder from each hierarchy, once the processes in it have ended.
///
/// # Errors
/// Where one is still in use half a minute later.
pub(super) async fn remove(name: &str) -> Result<()> {
    let found = hierarchies();
    let deadline = Instant::now() + EMPTY_WITHIN;
    // runc makes one of version 2 also where it has no controllers.
    for top in found.v1.into_iter().chain(found.v2) {
        let folder = top.join(name);
        loop {
            match remove_tree(&folder) {
                Ok(()) => break,
                Err(error) if Instant::now() > deadline => {
                    return Err(LocalError::io("remove", folder)(error));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
    Ok(())
}

/// The innermost first; their files go with the folders.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(place: &str, options: &str, fstype: &str, more: &str) -> String {
        format!("30 23 0:28 / {place} {options},relatime shared:4 - {fstype} {fstype} {more}\n")
    }

    #[test]
    fn version_1_is_used_where_it_has_the_controllers() {
        let cgroup = |controllers: &str| {
            line(
                &format!("/sys/fs/cgroup/{controllers}"),
                "rw",
                "cgroup",
                &format!("rw,{controllers}"),
            )
        };
        let all = ["cpu,cpuacct", "cpuset", "memory", "pids"];
        let unified = line("/sys/fs/cgroup/unified", "rw", "cgroup2", "rw");
        let found = parse(&format!("{}{unified}", all.map(cgroup).concat()));
        let places = all.map(|it| PathBuf::from(format!("/sys/fs/cgroup/{it}")));
        assert_eq!(found.v1, places);
        assert!(found.are_usable() && found.v2.is_some());
        // Half of it on version 1 is a machine that the kubelet cannot use.
        assert!(!parse(&format!("{}{unified}", cgroup("memory"))).are_usable());
    }

    #[test]
    fn version_2_is_used_where_it_is_alone_and_can_be_written() {
        let mounted = |options| parse(&line("/sys/fs/cgroup", options, "cgroup2", "rw"));
        assert_eq!(mounted("rw").v2, Some(PathBuf::from("/sys/fs/cgroup")));
        assert!(mounted("rw").are_usable());
        assert!(!mounted("ro").are_usable());
        assert!(!parse("").are_usable());
    }

    #[test]
    fn each_plane_has_a_folder_of_its_own() {
        let name = |path| super::name(&StateDir::new(Path::new(path)).unwrap());
        assert_ne!(name("/a"), name("/b"));
        assert_eq!(name("/a"), name("/a"));
    }
}
