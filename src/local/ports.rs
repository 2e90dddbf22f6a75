//! Free ports on loopback.
//!
//! Not the kernel's choice (port 0): that comes from the range that outgoing connections take their
//! own ports from, so that on a busy machine a port which was free when it was chosen is taken when
//! its server starts.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    time::Duration,
};

use tokio::net::TcpStream;

/// Below are ports of well-known services.
const LOWEST: u16 = 15_000;
/// Where outgoing connections begin unless the system says otherwise.
const EPHEMERAL: u16 = 32_768;
/// Fewer ports than this below the range are too few to draw from.
const ENOUGH: u16 = 1_000;
const DRAWS: usize = 200;
/// How long a connection on loopback is waited for.
const CONNECTS_WITHIN: Duration = Duration::from_secs(2);

/// Binds a free port that no outgoing connection can take after it is let go.
///
/// # Errors
/// When no port can be had.
pub fn bind_free() -> io::Result<TcpListener> {
    let range = range(ephemeral_start());
    for _ in 0..DRAWS {
        let Some(range) = &range else { break };
        let port = rand::random_range(range.clone());
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener);
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
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
