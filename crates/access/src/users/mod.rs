//! People: their accounts and passwords, second factors, signing in, sessions and one-time links.
//!
//! Names, roles and what users have in common with clients are in `principals.rs`. Cookies and pages are in `server`
//! and `app`.

mod accounts;
mod first_admin;
mod guessable;
mod one_time_links;
mod password;
mod recovery_codes;
mod second_factor;
mod secret_token;
mod sessions;
mod sign_in;
mod throttle;
mod tidy;
mod totp;

pub use accounts::User;
pub use first_admin::FirstAdmin;
pub use one_time_links::{LINK_LIFETIME_HOURS, LinkOwner};
pub use password::{NewPassword, PasswordRule};
pub use second_factor::Enrolment;
pub use secret_token::SecretToken;
pub use sessions::{ListedSession, Session, SessionSettings, Visit};
pub use sign_in::{Attempt, Refusal, SignedIn};

use password::Hashing;
use sessions::SessionCache;

/// What this process keeps of its own about people: what it read of sessions within the last half second, and how many
/// passwords it hashes at once.
#[derive(Debug)]
pub(crate) struct People {
    pub settings: SessionSettings,
    pub sessions: SessionCache,
    pub hashing: Hashing,
}

impl People {
    pub fn new(settings: SessionSettings) -> Self {
        Self { settings, sessions: SessionCache::new(MAX_SESSIONS), hashing: Hashing::default() }
    }
}

/// The most sessions of which a process remembers what it read.
const MAX_SESSIONS: usize = 10_000;
