//! Keeps the simulator on loopback, because it has no authentication.

use std::net::SocketAddr;

use super::fatal::Fatal;

/// Refuses an address beyond loopback.
///
/// # Errors
/// The setting and its address.
pub fn refuse_beyond_loopback(setting: &str, addr: SocketAddr) -> Result<(), Fatal> {
    if addr.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "{setting}: {addr} is not a loopback address, and the simulator has no authentication"
    )
    .into())
}
