//! The roles of a process that runs Onceward.

use std::net::SocketAddr;

/// Which side of Onceward a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Web and workers.
    Both,
    /// Pages and API.
    Web,
    /// Posting.
    Worker {
        /// Where it tells of itself, if anywhere.
        metrics_addr: Option<SocketAddr>,
    },
}
