//! The admin port's address.

use std::net::SocketAddr;

/// Where a process says how it is.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct AdminArgs {
    /// Address of /livez, /readyz and /metrics
    #[arg(
        long,
        env = "LLMPLANE_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8081"
    )]
    pub admin_listen: SocketAddr,
}
