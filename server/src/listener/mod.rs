//! Sockets and connections: listening, connection limits, draining unread bodies, resetting responses that break off, the
//! limit of open files.
//!
//! The routers that answer the requests are in `http`.

mod close_delimited;
mod connection_limits;
mod connections;
mod drained_body;
pub mod open_files;
mod socket;

pub use connection_limits::ConnectionLimits;
pub use connections::serve;
pub use socket::listen;
