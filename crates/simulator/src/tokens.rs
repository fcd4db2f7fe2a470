//! Access tokens that were issued.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many tokens are kept; then the oldest is forgotten.
const KEPT: usize = 1000;

/// The access tokens and when each was issued.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, Instant>>);

impl Tokens {
    /// A new token.
    pub(crate) fn issue(&self) -> String {
        let token = format!("{:032x}", rand::random::<u128>());
        let mut issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if issued.len() >= KEPT {
            let oldest = issued.iter().min_by_key(|(_, at)| **at).map(|(token, _)| token.clone());
            oldest.and_then(|token| issued.remove(&token));
        }
        issued.insert(token.clone(), Instant::now());
        token
    }

    /// Whether the token was issued, less than `lifetime` ago.
    pub(crate) fn is_valid(&self, token: &str, lifetime: Duration) -> bool {
        let issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        issued.get(token).is_some_and(|at| at.elapsed() < lifetime)
    }
}
