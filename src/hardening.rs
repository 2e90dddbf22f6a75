//! What a process that holds keys keeps from others on its machine: its memory.

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};

/// Why a process could not be closed to others.
#[derive(Debug, thiserror::Error)]
#[error(
    "the process could not be kept from leaving its memory to others ({what}: {source}); it holds keys, and does not go on"
)]
pub struct NotHardened {
    what: &'static str,
    source: Errno,
}

/// From here on a crash leaves no core dump, and no process without the right to trace any other (root's,
/// `CAP_SYS_PTRACE`) can trace this one or read its memory, not even one of the same user.
///
/// A process of a local plane may be traced: its keys lie in a folder of the same user, and `local down`
/// finds what a killed command left behind by its environment, which could not be read otherwise.
///
/// # Errors
/// [`NotHardened`], where the operating system refuses.
pub fn close_memory(is_local: bool) -> Result<(), NotHardened> {
    let refused = |what| move |source| NotHardened { what, source };
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(refused("RLIMIT_CORE"))?;
    #[cfg(target_os = "linux")]
    if !is_local {
        // It also ends dumps that are piped to a program, to which the limit is nothing.
        nix::sys::prctl::set_dumpable(false).map_err(refused("PR_SET_DUMPABLE"))?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use nix::sys::prctl::get_dumpable;
    use nix::sys::resource::getrlimit;

    use super::*;

    /// What it does holds for a whole process: the test starts itself again for it.
    fn in_a_process(test: &str, act: impl FnOnce()) {
        const ACTS: &str = "LLMPLANE_TEST_ACTS";
        if std::env::var_os(ACTS).is_some() {
            act();
            std::process::exit(0);
        }
        let own = std::env::current_exe().expect("a path");
        let test = format!("hardening::tests::{test}");
        let ended = Command::new(own)
            .args(["--exact", &test, "--nocapture"])
            .env(ACTS, "1")
            .status();
        assert!(ended.expect("a process").success());
    }

    #[test]
    fn memory_is_left_to_nobody() {
        in_a_process("memory_is_left_to_nobody", || {
            assert!(get_dumpable().expect("it can be asked"));
            close_memory(false).expect("it may do so");
            assert!(!get_dumpable().expect("it can be asked"));
            assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        });
    }

    #[test]
    fn a_local_process_leaves_no_core_either() {
        in_a_process("a_local_process_leaves_no_core_either", || {
            close_memory(true).expect("it may do so");
            assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        });
    }
}
