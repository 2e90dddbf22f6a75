//! Free ports on loopback.
//!
//! Not the kernel's choice (port 0): that comes from the range that outgoing connections take their
//! own ports from, so that on a busy machine a port which was free when it was chosen is taken when
//! its server starts. Nor a draw from all that are below: whoever else draws before that server starts
//! may get the same. A process draws from blocks that are its own for as long as it runs, each port once.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::net::TcpStream;

/// Below are ports of well-known services.
const LOWEST: u16 = 15_000;
/// Where outgoing connections begin unless the system says otherwise.
const EPHEMERAL: u16 = 32_768;
/// Fewer ports than this below the range are too few to draw from.
const ENOUGH: u16 = 1_000;
/// Ports of a block. The first is listened on by the process that the block belongs to: that is the
/// claim, and the kernel ends it with the process.
const BLOCK: u16 = 64;
/// How long a connection on loopback is waited for.
const CONNECTS_WITHIN: Duration = Duration::from_secs(2);

/// Binds a free port that, after it is let go, neither an outgoing connection takes nor anybody else
/// who asks here, in this process or another.
///
/// # Errors
/// When no port can be had.
pub fn bind_free() -> io::Result<TcpListener> {
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    match range(ephemeral_start()).and_then(|range| blocks.bind_next(&range)) {
        Some(listener) => Ok(listener),
        None => bind(0),
    }
}

static BLOCKS: Mutex<Blocks> = Mutex::new(Blocks {
    claims: Vec::new(),
    rest: 0..0,
});

/// The blocks of this process.
struct Blocks {
    /// Those of the blocks so far.
    claims: Vec<TcpListener>,
    /// What the last of them has left.
    rest: Range<u16>,
}

impl Blocks {
    /// The next port that is free, of another block where this one has none left.
    fn bind_next(&mut self, range: &Range<u16>) -> Option<TcpListener> {
        loop {
            for port in self.rest.by_ref() {
                if let Ok(listener) = bind(port) {
                    return Some(listener);
                }
            }
            self.claim(range)?;
        }
    }

    /// Claims a block that nobody has, beginning anywhere.
    fn claim(&mut self, range: &Range<u16>) -> Option<()> {
        let starts: Vec<u16> = range.clone().step_by(usize::from(BLOCK)).collect();
        let begin = rand::random_range(0..starts.len());
        let mut starts = starts[begin..].iter().chain(&starts[..begin]);
        let (start, claim) = starts.find_map(|start| Some((*start, bind(*start).ok()?)))?;
        self.claims.push(claim);
        self.rest = start + 1..range.end.min(start.saturating_add(BLOCK));
        Some(())
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

/// Whether a process listens on a port. The kernel answers for one that is paused or late; one whose
/// queue of connections is full lets the caller wait.
pub(super) async fn is_listened_on(port: u16) -> bool {
    let connect = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    match tokio::time::timeout(CONNECTS_WITHIN, connect).await {
        Ok(Err(error)) => error.kind() != io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => true,
    }
}

fn range(ephemeral: u16) -> Option<Range<u16>> {
    (ephemeral >= LOWEST + ENOUGH).then_some(LOWEST..ephemeral)
}

fn ephemeral_start() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(EPHEMERAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_none_that_outgoing_connections_take() {
        let port = bind_free().unwrap().local_addr().unwrap().port();
        let ephemeral = ephemeral_start();
        assert!(
            range(ephemeral).is_none_or(|range| range.contains(&port)),
            "{port} of {ephemeral}"
        );
    }

    #[test]
    fn no_port_is_drawn_twice_however_soon_it_is_let_go() {
        let many = 3 * usize::from(BLOCK);
        let mut drawn: Vec<u16> = (0..many)
            .map(|_| bind_free().unwrap().local_addr().unwrap().port())
            .collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), many);
    }

    /// As two processes do.
    #[test]
    fn a_block_is_one_processes_alone_until_it_ends() {
        let start = bind_free().unwrap().local_addr().unwrap().port();
        let two_blocks = start..start + 2 * BLOCK;
        let blocks = || Blocks {
            claims: Vec::new(),
            rest: 0..0,
        };
        let (mut ours, mut theirs) = (blocks(), blocks());
        assert_eq!(ours.claim(&two_blocks), Some(()));
        assert_eq!(theirs.claim(&two_blocks), Some(()));
        assert!(ours.rest.end <= theirs.rest.start || theirs.rest.end <= ours.rest.start);
        assert_eq!(blocks().claim(&two_blocks), None);
        drop(ours);
        assert_eq!(blocks().claim(&two_blocks), Some(()));
    }

    #[tokio::test]
    async fn whoever_listens_is_seen_without_an_answer() {
        let listener = bind_free().unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_listened_on(port).await, "nobody accepts");
        drop(listener);
        assert!(!is_listened_on(port).await);
    }

    #[test]
    fn a_system_without_room_below_lets_the_kernel_choose() {
        assert_eq!(range(1024), None);
        assert_eq!(range(32_768), Some(15_000..32_768));
    }
}
