//! Passwords: the rules for new ones (NIST SP 800-63B), and hashing with argon2id.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::guessable::is_guessable;

/// The shortest password, in characters.
const MIN_CHARS: usize = 12;
/// The longest password, in characters.
const MAX_CHARS: usize = 128;
/// 19 MiB, two passes, one lane: OWASP's recommendation, which is also that of the crate.
const PARAMS: Params = Params::DEFAULT;
/// Verified against where there is no password, so that the time does not tell. Its parameters are [`PARAMS`].
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
    b25jZXdhcmQtbm9ib2R5cw$WZ3OlC0zB8sTZ1XoMjgrq1V1vCUTtD3eW7xoo6hQ2ps";
/// How many strangers may wait for their password to be verified, before the next is told to try again.
const MAX_STRANGERS_WAITING: usize = 16;

/// Why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordRule {
    /// Shorter than [`MIN_CHARS`].
    #[error("must have 12 characters or more")]
    TooShort,
    /// Longer than [`MAX_CHARS`].
    #[error("must have 128 characters or fewer")]
    TooLong,
    /// Among the first that are guessed.
    #[error(
        "is easy to guess: it consists of common words, runs of keys, repetitions, or the user's name"
    )]
    Guessable,
}

/// A password that keeps the rules, in Unicode's NFKC form.
#[derive(Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Checks a password that the user with this name is to have. There are no rules of composition: they make
    /// passwords worse.
    ///
    /// # Errors
    /// See [`PasswordRule`].
    pub fn check(typed: &SecretString, user: &str) -> Result<Self, PasswordRule> {
        let password = normalized(typed);
        match password.expose_secret().chars().count() {
            ..MIN_CHARS => Err(PasswordRule::TooShort),
            chars if chars > MAX_CHARS => Err(PasswordRule::TooLong),
            _ if is_guessable(password.expose_secret(), &["onceward", user]) => {
                Err(PasswordRule::Guessable)
            }
            _ => Ok(Self(password)),
        }
    }

    /// A password that is in use already; the rules may be newer.
    pub(super) fn in_use(typed: &SecretString) -> Self {
        Self(normalized(typed))
    }
}

/// Keyboards differ in how they compose a character.
fn normalized(password: &SecretString) -> SecretString {
    password.expose_secret().nfkc().collect::<String>().into()
}

/// Who waits for a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Someone who has signed in before.
    Known,
    /// Anyone else.
    Stranger,
}

/// What a verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    Wrong,
    Right,
    /// Right, but hashed with other parameters than today's.
    Outdated,
}

/// Hashes at most two passwords at once, because each takes a core and 19 MiB: one of a stranger, and one of someone
/// known. So no number of guesses keeps those waiting who have signed in before.
#[derive(Debug)]
pub(crate) struct Hashing {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    strangers_waiting: Semaphore,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            known: Arc::new(Semaphore::new(1)),
            strangers: Arc::new(Semaphore::new(1)),
            strangers_waiting: Semaphore::new(MAX_STRANGERS_WAITING),
        }
    }
}

impl Hashing {
    /// Hashes a new password.
    pub async fn hash(&self, password: NewPassword) -> Result<String, sqlx::Error> {
        in_background(&self.known, move || hash(&password.0)).await
    }

    /// Compares a typed password with a stored hash; without one, it takes as long. `None` if too many strangers wait.
    pub async fn verify(
        &self,
        lane: Lane,
        typed: &SecretString,
        stored: Option<&str>,
    ) -> Result<Option<Verified>, sqlx::Error> {
        let (_place, permits) = match lane {
            Lane::Known => (None, &self.known),
            Lane::Stranger => match self.strangers_waiting.try_acquire() {
                Ok(place) => (Some(place), &self.strangers),
                Err(_) => return Ok(None),
            },
        };
        // Longer ones are nobody's, and would only cost time.
        let is_possible = typed.expose_secret().len() <= 4 * MAX_CHARS;
        let typed = if is_possible { normalized(typed) } else { SecretString::default() };
        let stored = stored.map(str::to_owned);
        in_background(permits, move || {
            let verified = verify(&typed, stored.as_deref().unwrap_or(NOBODYS))?;
            Ok(if is_possible && stored.is_some() { verified } else { Verified::Wrong })
        })
        .await
        .map(Some)
    }
}

/// Runs what occupies a core for long outside of the threads that serve requests. The permit is held until it is done, also
/// if the caller has gone away meanwhile.
async fn in_background<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
) -> Result<T, sqlx::Error> {
    let permit = permits.clone().acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    })
    .await;
    let done = done.map_err(|error| sqlx::Error::Decode(error.into()))?;
    // The only reason is a hash in the table that is none.
    done.map_err(|error| sqlx::Error::Decode(format!("a password's hash: {error}").into()))
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

fn hash(password: &SecretString) -> Result<String, argon2::password_hash::Error> {
    Ok(argon2().hash_password(password.expose_secret().as_bytes())?.to_string())
}

fn verify(typed: &SecretString, stored: &str) -> Result<Verified, argon2::password_hash::Error> {
    let stored = PasswordHash::new(stored)?;
    match argon2().verify_password(typed.expose_secret().as_bytes(), &stored) {
        Ok(()) if is_current(&stored) => Ok(Verified::Right),
        Ok(()) => Ok(Verified::Outdated),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verified::Wrong),
        Err(error) => Err(error),
    }
}

fn is_current(stored: &PasswordHash) -> bool {
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    stored.algorithm == Algorithm::Argon2id.ident()
        && Params::try_from(stored).is_ok_and(|params| cost(&params) == cost(&PARAMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<NewPassword, PasswordRule> {
        NewPassword::check(&password.into(), "alice")
    }

    #[test]
    fn the_length_of_a_password_is_counted_in_characters() {
        assert_eq!(check("kX9#vQ2mPz7").unwrap_err(), PasswordRule::TooShort);
        assert!(check("kX9#vQ2mPz7w").is_ok());
        let (eleven, twelve) = ("äöüßéèêëñçø", "äöüßéèêëñçøå");
        assert_eq!(check(eleven).unwrap_err(), PasswordRule::TooShort);
        assert!(check(twelve).is_ok());
        let long = |chars| "kX9#vQ2m".chars().chain("ñandú bléu ".chars().cycle()).take(chars);
        assert!(check(&long(128).collect::<String>()).is_ok());
        assert_eq!(check(&long(129).collect::<String>()).unwrap_err(), PasswordRule::TooLong);
    }

    #[test]
    fn a_password_with_the_users_name_is_guessable() {
        assert_eq!(check("alice-alice-1!").unwrap_err(), PasswordRule::Guessable);
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_its_characters_are_composed() {
        let hashing = Hashing::default();
        let stored = hashing.hash(check("Zürich liegt am See").unwrap()).await.unwrap();
        for (typed, expected) in [
            ("Zu\u{308}rich liegt am See", Verified::Right),
            ("Zürich liegt am See ", Verified::Wrong),
            ("", Verified::Wrong),
        ] {
            let verified = hashing.verify(Lane::Known, &typed.into(), Some(&stored)).await;
            assert_eq!(verified.unwrap(), Some(expected), "{typed}");
        }
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_outdated() {
        let weaker = Argon2::from(Params::new(1024, 1, 1, None).unwrap());
        let stored = weaker.hash_password(b"seven purple walruses").unwrap().to_string();
        let typed = "seven purple walruses".into();
        let verified = Hashing::default().verify(Lane::Stranger, &typed, Some(&stored)).await;
        assert_eq!(verified.unwrap(), Some(Verified::Outdated));
    }

    #[tokio::test]
    async fn without_a_password_every_guess_is_wrong_and_takes_as_long() {
        assert!(is_current(&PasswordHash::new(NOBODYS).unwrap()));
        let verified = Hashing::default().verify(Lane::Stranger, &"".into(), None).await;
        assert_eq!(verified.unwrap(), Some(Verified::Wrong));
    }

    #[tokio::test]
    async fn strangers_beyond_the_limit_are_told_to_try_again_while_the_known_are_served() {
        let hashing = Hashing::default();
        let _strangers = hashing.strangers_waiting.acquire_many(16).await.unwrap();
        let typed = "seven purple walruses".into();
        assert_eq!(hashing.verify(Lane::Stranger, &typed, None).await.unwrap(), None);
        let known = hashing.verify(Lane::Known, &typed, None).await.unwrap();
        assert_eq!(known, Some(Verified::Wrong));
    }
}
