//! The roles of a process that runs Onceward.

use std::net::SocketAddr;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Pages and API, and posting.
    Both,
    /// Pages and API.
    Web,
    /// Posting.
    Worker {
        /// Where it serves its metrics and probes, if anywhere.
        metrics_addr: Option<SocketAddr>,
    },
}
