//! Problems of tokens.

use access::TokenError;

use super::Problem;

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(refusal) => Self::unauthenticated(Some(refusal.to_string())),
            TokenError::NoKeysYet => Self::unavailable(error.to_string()),
            TokenError::Signing => Self::internal(error.to_string()),
            TokenError::Access(error) => error.into(),
        }
    }
}
