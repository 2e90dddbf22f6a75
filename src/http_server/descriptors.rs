//! File descriptors: as many as the process may have, and enough for the connections it is to take.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// File descriptors for everything but callers: PostgreSQL, the kube-apiserver, a controller in the
/// same process, the admin port, files.
pub(super) const RESERVED: u64 = 512;

/// Too few file descriptors for the connections that are allowed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{connections} connections take {needed} file descriptors, and this process may have {allowed}: \
     lower LLMPLANE_MAX_CONNECTIONS, or raise the limit (ulimit -Hn)"
)]
pub struct TooFewDescriptors {
    connections: usize,
    needed: u64,
    allowed: u64,
}

/// Raises the number of file descriptors that this process may have as far as any process may raise
/// it: from the soft limit, often 1,024 for programs that know no better, to the hard one.
pub fn raise_limit() {
    let limit = Resource::RLIMIT_NOFILE;
    let raised = getrlimit(limit).and_then(|(soft, hard)| match soft < hard {
        true => setrlimit(limit, hard, hard),
        false => Ok(()),
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of file descriptors stays as it was");
    }
}

/// Sees to it that the process may open so many connections.
///
/// # Errors
///
/// Where the system allows it too few file descriptors.
pub fn make_room(connections: usize) -> Result<(), TooFewDescriptors> {
    raise_limit();
    let needed = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(RESERVED);
    let (allowed, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
    match allowed < needed {
        true => Err(TooFewDescriptors {
            connections,
            needed,
            allowed,
        }),
        false => Ok(()),
    }
}
