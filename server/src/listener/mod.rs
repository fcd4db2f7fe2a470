//! Sockets and connections: listening, connection limits, draining unread bodies, the limit of open files.
//!
//! What is answered on a connection is in `http`.

mod bounds;
mod connections;
mod drained_body;
pub mod open_files;
mod socket;

pub use bounds::Bounds;
pub use connections::serve;
pub use socket::listen;
