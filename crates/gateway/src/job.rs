//! The apalis job of a transaction. A transaction that is not final has exactly one, under an id
//! derived from its own; it carries nothing but that id, for the transaction's row owns the rest.

use serde::{Deserialize, Serialize};
use ulid::Ulid;
use uuid::Uuid;

/// The apalis queue.
pub const QUEUE: &str = "transactions";

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
