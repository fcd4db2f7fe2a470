//! The listening socket.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system holds until they are accepted; it may be set to fewer (`net.core.somaxconn`). Where
/// they are more, it drops what clients send, who try again after a second or more, or see a break.
const BACKLOG: u32 = 4096;

/// Listens on an address.
///
/// # Errors
/// The system's.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Of an earlier process, connections may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
