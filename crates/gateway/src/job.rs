//! The apalis job of a transaction. A transaction that has something to come has exactly one, under an
//! id derived from its own; it carries nothing but that id, for the transaction's row owns the rest.

use serde::{Deserialize, Serialize};
use ulid::Ulid;
use uuid::Uuid;

/// What a turn is for. Each has an apalis queue of its own, so that verification goes on while nothing
/// is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To post: nothing that was sent before may have arrived.
    Post,
    /// To ask about an attempt that may have arrived.
    Verify,
}

impl Purpose {
    /// The name of the apalis queue.
    pub fn queue(self) -> &'static str {
        match self {
            Self::Post => POSTING,
            Self::Verify => VERIFICATION,
        }
    }
}

/// The queue of [`Purpose::Post`].
pub const POSTING: &str = "transactions";
/// The queue of [`Purpose::Verify`].
pub const VERIFICATION: &str = "verifications";
/// The queue of bulk retries.
pub const BULK_RETRIES: &str = "bulk_retries";

/// Asks for one turn of the transaction.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Job(pub Uuid);

impl Job {
    /// The id of the transaction's job: the same 128 bits, as the ULID that apalis wants.
    pub fn id_of(transaction_id: Uuid) -> String {
        Ulid::from_bytes(transaction_id.into_bytes()).to_string()
    }
}
