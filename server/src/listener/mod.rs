//! Sockets and connections: listening, connection limits, TLS, clients that read too slowly, draining unread bodies,
//! resetting responses that break off, the limit of open files.
//!
//! The routers that answer the requests are in `http`.

mod close_delimited;
mod connection;
mod connection_limits;
mod connections;
mod drained_body;
mod http2;
pub mod open_files;
mod socket;
mod tls;
mod write_progress;

pub use connection_limits::ConnectionLimits;
pub use connections::{Front, serve};
pub use socket::listen;
pub use tls::{CertificateFiles, Tls};
