//! The claims of a token whose signature was checked.

use serde_json::{Map, Value};

use super::{error::TokenRefusal, jws::object};

/// How far the clock of another issuer may be off, in seconds.
const LEEWAY_SECONDS: i64 = 5;

/// The claims of a token.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Reads the payload of a token.
    pub fn parse(payload: &[u8]) -> Result<Self, TokenRefusal> {
        object(payload).map(Self)
    }

    /// All of them.
    pub fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// When the token expires, in seconds since 1970, if it is valid now.
    ///
    /// # Errors
    /// If it has expired, is not valid yet, or does not say when it expires.
    pub fn expiry(&self, now: i64) -> Result<i64, TokenRefusal> {
        let expires_at = self.seconds("exp")?.ok_or(TokenRefusal::Claim("exp"))?;
        if expires_at <= now {
            return Err(TokenRefusal::Expired);
        }
        Ok(expires_at)
    }

    /// The same for a token of another issuer, whose clock may be off.
    ///
    /// # Errors
    /// See [`Claims::expiry`].
    pub fn expiry_by_another_clock(&self, now: i64) -> Result<i64, TokenRefusal> {
        let expires_at = self.expiry(now.saturating_sub(LEEWAY_SECONDS))?;
        let begins_at = self.seconds("nbf")?;
        if begins_at.is_some_and(|begins_at| begins_at > now.saturating_add(LEEWAY_SECONDS)) {
            return Err(TokenRefusal::NotYetValid);
        }
        Ok(expires_at.saturating_add(LEEWAY_SECONDS))
    }

    /// Checks the issuer.
    pub fn check_issuer(&self, issuer: &str) -> Result<(), TokenRefusal> {
        match self.text("iss") {
            Some(named) if named == issuer => Ok(()),
            _ => Err(TokenRefusal::Issuer),
        }
    }

    /// Checks that the audience, one or several, includes the wanted one. Without a wanted one the token must not name
    /// any: it is for others (RFC 7519, 4.1.3).
    pub fn check_audience(&self, wanted: Option<&str>) -> Result<(), TokenRefusal> {
        let is_wanted = |named: &Value| named.as_str().is_some_and(|named| Some(named) == wanted);
        let is_right = match self.0.get("aud") {
            None => wanted.is_none(),
            Some(Value::Array(all)) => all.iter().any(is_wanted),
            Some(one) => is_wanted(one),
        };
        is_right.then_some(()).ok_or(TokenRefusal::Audience)
    }

    /// A time, in whole seconds since 1970.
    fn seconds(&self, name: &'static str) -> Result<Option<i64>, TokenRefusal> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let whole = value.as_i64();
        // A time may have a fraction (RFC 7519, section 2). The conversion saturates.
        let rounded = || value.as_f64().filter(|seconds| seconds.is_finite());
        let seconds = whole.or_else(|| rounded().map(|seconds| seconds.floor() as i64));
        seconds.map(Some).ok_or(TokenRefusal::Claim(name))
    }
}
