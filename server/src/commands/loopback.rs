//! What is expected of a listener by its address: the simulator stays on loopback, and beyond it something encrypts and
//! callers authenticate.

use std::net::SocketAddr;

use super::{
    fatal::Fatal,
    settings::{Settings, web::WebSettings},
};

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

/// Says that everyone whom a proxy lets through may do everything, if something of the settings looks like a proxy and
/// authentication is off only because the listener is on loopback.
pub fn warn_without_authentication(settings: &Settings) {
    let web = &settings.web;
    let is_reached_from_elsewhere = web.certificate().is_some()
        || !web.trusted_proxies.is_empty()
        || !web.path_prefix.as_str().is_empty();
    if settings.access.auth.is_none() && is_reached_from_elsewhere {
        tracing::warn!(
            "authentication is off, because the listener is on loopback: everyone whom a proxy lets through may do \
             everything; set ONCEWARD_AUTH=required"
        );
    }
}
