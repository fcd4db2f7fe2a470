//! Why a token is refused, and why keys cannot be read. No text here contains anything of a token or a key.

use thiserror::Error;

use crate::AccessError;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenRefusal {
    /// It is not a signed token in compact form, or it is longer than 8 KiB.
    #[error("the token is not a signed JWT in compact form of at most 8 KiB")]
    Malformed,
    /// Its header has a member that is never accepted: a key that it brings along, or an extension.
    #[error("the token's header has the member {0}, which is never accepted")]
    Header(&'static str),
    /// It is a token for something else.
    #[error("the token's typ is not JWT or at+jwt")]
    Type,
    /// It is not signed, or not with an algorithm that goes with the key.
    #[error("the token's algorithm is not accepted, or does not go with its key")]
    Algorithm,
    /// No known key has its key id.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Another issuer's token.
    #[error("the token is of another issuer")]
    Issuer,
    /// A token for others.
    #[error("the token is for another audience")]
    Audience,
    /// A claim is missing or cannot be used.
    #[error("the token's claim for {0} is missing or cannot be used")]
    Claim(&'static str),
    /// The subject of another issuer's token has the name of a user or client of Onceward.
    #[error("the token's subject has the name of a user or client of Onceward")]
    NameTaken,
    /// What the token was issued for holds no more: its key is revoked or has expired, or its client is disabled.
    #[error("what the token was issued for is revoked")]
    Revoked,
}

impl TokenRefusal {
    /// A short name, for the audit and for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Header(_) => "header",
            Self::Type => "type",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claim(_) => "claim",
            Self::NameTaken => "name_taken",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a token is not accepted or not issued.
#[derive(Debug, Error)]
pub enum TokenError {
    /// It is no good.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// It cannot be judged or issued: the keys could not be read so far.
    #[error("the keys for tokens could not be read so far")]
    NoKeysYet,
    /// No token can be signed.
    #[error("a token cannot be signed")]
    Signing,
    /// It cannot be judged: the database does not answer.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl From<sqlx::Error> for TokenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Access(error.into())
    }
}

/// Why keys cannot be read.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// The URL cannot be fetched.
    #[error("the URL cannot be fetched: {0}")]
    Fetch(#[source] reqwest::Error),
    /// The URL answers with another status than 200. A redirect is not followed.
    #[error("the URL answers with status {0}")]
    Status(u16),
    /// It is too long.
    #[error("it is longer than 256 KiB")]
    TooLong,
    /// It is no set of keys.
    #[error("it is not a JSON Web Key Set")]
    NotASet,
    /// The set has too many keys.
    #[error("it has more than 64 keys")]
    TooMany,
    /// The set has no key that could verify a token.
    #[error(
        "it has no key for RS256 (2,048 bits or more), ES256 or EdDSA (Ed25519) that is for signatures"
    )]
    NoUsableKey,
    /// The secret is too short.
    #[error("it has less than 32 bytes")]
    ShortSecret,
    /// There is no HTTP client for the URL, for example for want of certificates.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[source] reqwest::Error),
}
