//! The settings of who may do what.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use crate::commands::fatal::Fatal;

/// Who may do what.
#[derive(Debug, Clone, Args)]
pub struct AccessSettings {
    /// Whether callers must authenticate. Unset: required, unless every listener is on a loopback address
    #[arg(long, env = "ONCEWARD_AUTH", value_name = "ONCEWARD_AUTH", value_enum)]
    pub auth: Option<Auth>,
}

/// Whether callers must authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// Everyone who reaches a listener may do everything.
    Off,
    /// Every request needs a credential.
    Required,
}

impl AccessSettings {
    /// Whether callers must authenticate at this listener, whose address is that of a setting.
    ///
    /// # Errors
    /// If it is off for a listener beyond loopback.
    pub fn is_required(&self, setting: &str, addr: SocketAddr) -> Result<bool, Fatal> {
        match (self.auth, addr.ip().is_loopback()) {
            (Some(Auth::Off), false) => Err(format!(
                "ONCEWARD_AUTH: cannot be off while {setting} is {addr}, which is not a loopback address"
            )
            .into()),
            (Some(Auth::Required), _) | (None, false) => Ok(true),
            (Some(Auth::Off) | None, true) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_is_off_on_loopback_alone() {
        let (inside, outside) =
            (SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([0, 0, 0, 0], 1)));
        let is_required = |auth, addr| AccessSettings { auth }.is_required("X", addr).ok();
        assert_eq!(is_required(None, inside), Some(false));
        assert_eq!(is_required(None, outside), Some(true));
        assert_eq!(is_required(Some(Auth::Off), inside), Some(false));
        assert_eq!(is_required(Some(Auth::Off), outside), None);
        assert_eq!(is_required(Some(Auth::Required), inside), Some(true));
        assert_eq!(is_required(Some(Auth::Required), outside), Some(true));
    }
}
