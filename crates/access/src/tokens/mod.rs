//! JSON Web Tokens: those of another issuer, verified by its keys, and those that Onceward issues for a client's key.
//!
//! Signatures are checked by ring, here and not in a crate for JWTs: the four algorithms take fewer lines than adapting
//! such a crate to ring, the time is an argument, and each refusal has its reason. API keys are in `clients`; which
//! request may have a token is in `server`.

mod authenticate;
mod claims;
mod error;
mod external_keys;
mod issue;
mod jwk;
mod jws;
mod key;
mod key_source;
mod refreshed;
mod rules;
mod signing_keys;
mod standing;
mod verify;

pub use authenticate::{TokenHolder, TokenSettings, Tokens};
pub use error::{KeysError, TokenError, TokenRefusal};
pub use issue::IssuedToken;
pub use key_source::{BadJwksLocation, JwksLocation};
pub use rules::{BadRoleMap, ClaimName, RoleMap, TokenRules};
