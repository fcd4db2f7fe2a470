//! Keeps listeners on loopback.

use std::net::SocketAddr;

use super::fatal::Fatal;

/// No authentication, no listener beyond loopback.
pub fn refuse_beyond_loopback(setting: &str, addr: SocketAddr) -> Result<(), Fatal> {
    if addr.ip().is_loopback() {
        return Ok(());
    }
    Err(format!("{setting}: {addr} is beyond loopback, and this version has no authentication")
        .into())
}
