//! The settings of who may do what.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use access::SessionSettings;
use clap::{Args, ValueEnum, value_parser};
use domain::Role;

use crate::commands::fatal::Fatal;

/// Who may do what.
#[derive(Debug, Clone, Args)]
pub struct AccessSettings {
    /// Whether callers must authenticate. Unset: required, unless every listener is on a loopback address
    #[arg(long, env = "ONCEWARD_AUTH", value_name = "ONCEWARD_AUTH", value_enum)]
    pub auth: Option<Auth>,
    /// The file with the password of the first administrator, `admin`, who is created if no administrator can sign in.
    /// Unset: a one-time link is printed
    #[arg(long, env = "ONCEWARD_ADMIN_PASSWORD_FILE", value_name = "ONCEWARD_ADMIN_PASSWORD_FILE")]
    pub admin_password_file: Option<PathBuf>,
    #[command(flatten)]
    pub people: PeopleSettings,
}

/// How long people stay signed in, and who needs an authenticator app.
#[derive(Debug, Clone, Args)]
pub struct PeopleSettings {
    /// After how long without use a session ends, in seconds
    #[arg(long, env = "SESSION_IDLE_SECONDS", value_name = "SESSION_IDLE_SECONDS", default_value_t = 1_800, value_parser = value_parser!(u64).range(120..=86_400))]
    pub session_idle_seconds: u64,
    /// How long after signing in a session ends, in seconds
    #[arg(long, env = "SESSION_LIFETIME_SECONDS", value_name = "SESSION_LIFETIME_SECONDS", default_value_t = 43_200, value_parser = value_parser!(u64).range(120..=2_592_000))]
    pub session_lifetime_seconds: u64,
    /// The roles of users who need an authenticator app, separated by commas
    #[arg(
        long,
        env = "TOTP_REQUIRED_ROLES",
        value_name = "TOTP_REQUIRED_ROLES",
        value_delimiter = ','
    )]
    pub totp_required_roles: Vec<Role>,
}

impl PeopleSettings {
    /// As the crate `access` takes them.
    pub fn sessions(&self) -> SessionSettings {
        SessionSettings {
            idle: Duration::from_secs(self.session_idle_seconds),
            lifetime: Duration::from_secs(self.session_lifetime_seconds),
            totp_required: self.totp_required_roles.clone(),
        }
    }
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
        let people = PeopleSettings {
            session_idle_seconds: 1_800,
            session_lifetime_seconds: 43_200,
            totp_required_roles: Vec::new(),
        };
        let is_required = |auth, addr| {
            let people = people.clone();
            let settings = AccessSettings { auth, admin_password_file: None, people };
            settings.is_required("X", addr).ok()
        };
        assert_eq!(is_required(None, inside), Some(false));
        assert_eq!(is_required(None, outside), Some(true));
        assert_eq!(is_required(Some(Auth::Off), inside), Some(false));
        assert_eq!(is_required(Some(Auth::Off), outside), None);
        assert_eq!(is_required(Some(Auth::Required), inside), Some(true));
        assert_eq!(is_required(Some(Auth::Required), outside), Some(true));
    }
}
