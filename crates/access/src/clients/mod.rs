//! Clients, which are the accounts of programs, and their keys.
//!
//! What they have in common with users is in `principals`; tokens are in `tokens`.

mod authenticate;
mod key;
mod store;

pub use authenticate::{KeyHolder, KeyRefusal};
pub use key::Key;
pub use store::{NewKey, StoredKey};

pub(crate) use authenticate::KeyReadings;
