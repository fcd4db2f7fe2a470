//! Keeps the simulator on loopback, because it has no authentication.

use std::net::SocketAddr;

use super::{fatal::Fatal, settings::web::WebSettings};

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

/// Says that credentials and payments would travel in the clear, if a listener is beyond loopback and nothing encrypts.
pub fn warn_in_the_clear(addr: SocketAddr, settings: &WebSettings) {
    let is_encrypted = settings.certificate().is_some() || !settings.trusted_proxies.is_empty();
    if !addr.ip().is_loopback() && !is_encrypted {
        tracing::warn!(
            %addr,
            "there is neither a certificate (TLS_CERT) nor a trusted proxy (ONCEWARD_TRUSTED_PROXIES), so a proxy that \
             nobody has named is expected to encrypt"
        );
    }
}
