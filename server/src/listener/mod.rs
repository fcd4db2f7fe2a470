//! Sockets and connections: listening, connection limits, draining unread bodies, the limit of open files.
//!
//! What is answered on a connection is in `http`.

mod connections;
mod drained_body;
pub mod open_files;

pub use connections::{Bounds, listen, serve};
