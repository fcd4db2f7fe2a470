//! The listening socket.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// The number of connections that the system queues until they are accepted; `net.core.somaxconn` may limit it further.
/// If the queue is full, the system drops packets of clients, which try again after a second or more, or see a reset.
const BACKLOG: u32 = 4096;

/// Listens on an address.
///
/// # Errors
/// If the system refuses the address.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of an earlier process may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
