//! The apalis job of a transaction. A transaction that is due, now or later, has exactly one, under an id
//! derived from its own. The job carries only the transaction's id; the transaction's row owns the rest.

use serde::{Deserialize, Serialize};
use ulid::Ulid;
use uuid::Uuid;

/// The purpose of an execution. Each has its own apalis queue, so that verification continues while nothing
/// is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To post: no earlier attempt can have arrived.
    Post,
    /// To verify an attempt that may have arrived.
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

/// An apalis queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Transactions to post.
    Posting,
    /// Transactions to verify.
    Verification,
    /// Bulk retries.
    BulkRetries,
}

impl Queue {
    /// All queues, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Posting, Self::Verification, Self::BulkRetries];

    /// The name under which apalis knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Posting => POSTING,
            Self::Verification => VERIFICATION,
            Self::BulkRetries => BULK_RETRIES,
        }
    }
}

/// The names of all queues. Another program may have others in apalis's tables.
pub fn queue_names() -> [String; Queue::ALL.len()] {
    Queue::ALL.map(|queue| queue.name().to_owned())
}

impl From<Purpose> for Queue {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Post => Self::Posting,
            Purpose::Verify => Self::Verification,
        }
    }
}

/// The queue of [`Purpose::Post`].
pub const POSTING: &str = "transactions";
/// The queue of [`Purpose::Verify`].
pub const VERIFICATION: &str = "verifications";
/// The queue of bulk retries.
pub const BULK_RETRIES: &str = "bulk_retries";

/// Requests one execution of the transaction.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Job(pub Uuid);

impl Job {
    /// The id of the transaction's job: the same 128 bits, as the ULID that apalis requires.
    pub fn id_of(transaction_id: Uuid) -> String {
        Ulid::from_bytes(transaction_id.into_bytes()).to_string()
    }
}
