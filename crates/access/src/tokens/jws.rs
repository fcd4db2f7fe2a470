//! A signed token in compact form (RFC 7515, 7.1), taken apart. Nothing in it is believed yet.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::json;
use serde_json::{Map, Value};

use super::{error::TokenRefusal, key::Algorithm};

/// The longest token.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The longest key id.
const MAX_KEY_ID_BYTES: usize = 256;
/// Members of a header that are never accepted. The first four are keys, or lead to keys, that the sender chose. `crit`
/// and `b64` change how the rest is to be read, and a token with `cty` contains another token.
const REFUSED: [&str; 7] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "cty"];

/// A token that is taken apart.
#[derive(Debug)]
pub(super) struct Jws<'t> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    pub token_type: TokenType,
    /// What is signed: header and payload as they were sent.
    pub signed: &'t [u8],
    pub payload: Vec<u8>,
    pub signature: Vec<u8>,
}

/// What `typ` says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenType {
    /// Nothing.
    Absent,
    /// `JWT`.
    Jwt,
    /// `at+jwt`: an access token (RFC 9068).
    AccessToken,
}

impl<'t> Jws<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// If it has no such form, or its header has a member or a value that is never accepted.
    pub fn parse(token: &'t str) -> Result<Self, TokenRefusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenRefusal::Malformed)?;
        let header = object(&decode(header)?)?;
        if let Some(refused) = REFUSED.into_iter().find(|name| header.contains_key(*name)) {
            return Err(TokenRefusal::Header(refused));
        }
        Ok(Self {
            algorithm: algorithm(&header)?,
            key_id: key_id(&header)?,
            token_type: token_type(&header)?,
            signed: signed.as_bytes(),
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenRefusal> {
    let name = header.get("alg").and_then(Value::as_str).ok_or(TokenRefusal::Malformed)?;
    Algorithm::named(name).ok_or(TokenRefusal::Algorithm)
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, TokenRefusal> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) if id.len() <= MAX_KEY_ID_BYTES => Ok(Some(id.clone())),
        Some(_) => Err(TokenRefusal::Malformed),
    }
}

fn token_type(header: &Map<String, Value>) -> Result<TokenType, TokenRefusal> {
    let Some(text) = header.get("typ") else { return Ok(TokenType::Absent) };
    let text = text.as_str().ok_or(TokenRefusal::Type)?.to_ascii_lowercase();
    // A media type, of which `application/` may be left out (RFC 7515, 4.1.9).
    match text.strip_prefix("application/").unwrap_or(&text) {
        "jwt" => Ok(TokenType::Jwt),
        "at+jwt" => Ok(TokenType::AccessToken),
        _ => Err(TokenRefusal::Type),
    }
}

/// Reads a JSON object in which no member is given twice.
pub(super) fn object(json: &[u8]) -> Result<Map<String, Value>, TokenRefusal> {
    match json::read(json) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(TokenRefusal::Malformed),
    }
}

/// Decodes base64url without padding, in its only valid form.
fn decode(text: &str) -> Result<Vec<u8>, TokenRefusal> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenRefusal::Malformed)
}
