//! A transaction as Onceward shows it, and the states it passes through.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use uuid::Uuid;

use crate::{Amount, Currency, IdempotencyKey};

/// The state of a transaction. See the state diagram in `docs/ARCHITECTURE.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum State {
    /// Stored; waiting for its next attempt.
    Pending,
    /// Claimed by a worker.
    Processing,
    /// The posting service has it. Final.
    Completed,
    /// Refused, or proven absent with no attempts left, never merely unknown. Final.
    Failed,
    /// The outcome is unknown, and no attempts are left or verification has failed for long: verification
    /// continues. Or an operator must decide: the posting service has a different entry, or the transaction
    /// is quarantined.
    InDoubt,
    /// Rejected by screening; nothing was ever sent. Final.
    Rejected,
    /// Withdrawn before anything was sent. Final.
    Cancelled,
}

impl State {
    /// Every state, in the order in which lists offer them.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Processing,
        Self::Completed,
        Self::Failed,
        Self::InDoubt,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The name on the wire and in the table, such as `in_doubt`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing changes it any more, except an operator.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Rejected | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be one of pending, processing, completed, failed, in_doubt, rejected, cancelled")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

/// The identity of a caller. References and idempotency keys are unique per principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Principal(String);

impl Principal {
    /// The caller where authentication is off.
    pub fn anonymous() -> Self {
        Self("anonymous".to_owned())
    }

    /// The principal with this name in the table.
    pub fn named(name: String) -> Self {
        Self(name)
    }

    /// The name in the table.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A transaction as the API and the pages show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transaction {
    /// The id that is sent to the posting service.
    pub transaction_id: Uuid,
    /// Its state.
    pub status: State,
    /// The amount to post, in units of `currency`.
    pub amount: Amount,
    /// The currency of `amount`.
    pub currency: Currency,
    /// The client's own id for the transaction.
    pub reference: Option<String>,
    /// The client's own key, which makes it safe to submit the transaction again.
    pub idempotency_key: Option<IdempotencyKey>,
    /// A description for people to read.
    pub description: Option<String>,
    /// When it happened according to the client.
    pub timestamp: Option<DateTime<Utc>>,
    /// The account that the money comes from.
    pub source_account: Option<String>,
    /// The account that the money goes to.
    pub destination_account: Option<String>,
    /// Any data that the client wants to keep with the transaction.
    pub metadata: Option<Map<String, Value>>,
    /// When Onceward stored it.
    pub submitted_at: DateTime<Utc>,
    /// When it reached a final state.
    pub completed_at: Option<DateTime<Utc>>,
    /// Why it failed or is in doubt, or the error of its last attempt.
    pub error: Option<String>,
    /// Attempts that count against the limit.
    pub attempts: u32,
    /// When the next attempt or verification is due; absent while one is in flight and in a final state.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

impl Transaction {
    /// The transaction as it was when it was stored, which is the answer to every repeated submission.
    pub fn as_accepted(self) -> Self {
        Self {
            status: State::Pending,
            completed_at: None,
            error: None,
            attempts: 0,
            next_attempt_at: Some(self.submitted_at),
            ..self
        }
    }
}

/// A transaction that is stored and cannot be read: its row was damaged, or written by a later version.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[error("transaction {transaction_id} cannot be read: {reason}")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Unreadable {
    /// Its id.
    pub transaction_id: Uuid,
    /// What cannot be read of it.
    pub reason: String,
}

impl Unreadable {
    /// A transaction whose row has a column that cannot be read.
    pub fn column(transaction_id: Uuid, column: &str) -> Self {
        Self { transaction_id, reason: format!("the stored value of {column} cannot be read") }
    }
}

/// One page of the list of transactions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The transactions.
    pub data: Vec<Transaction>,
    /// Those of this page that cannot be read; usually none.
    pub unreadable: Vec<Unreadable>,
    /// The `cursor` of the next page; absent on the last page.
    pub next_cursor: Option<String>,
}

/// How many transactions are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    pub pending: u64,
    pub processing: u64,
    pub completed: u64,
    pub failed: u64,
    pub in_doubt: u64,
    pub rejected: u64,
    pub cancelled: u64,
}

impl Counts {
    /// The count of one state.
    pub fn of(&self, state: State) -> u64 {
        match state {
            State::Pending => self.pending,
            State::Processing => self.processing,
            State::Completed => self.completed,
            State::Failed => self.failed,
            State::InDoubt => self.in_doubt,
            State::Rejected => self.rejected,
            State::Cancelled => self.cancelled,
        }
    }

    /// A mutable reference to the count of one state.
    pub fn of_mut(&mut self, state: State) -> &mut u64 {
        match state {
            State::Pending => &mut self.pending,
            State::Processing => &mut self.processing,
            State::Completed => &mut self.completed,
            State::Failed => &mut self.failed,
            State::InDoubt => &mut self.in_doubt,
            State::Rejected => &mut self.rejected,
            State::Cancelled => &mut self.cancelled,
        }
    }

    /// All transactions that were ever accepted.
    pub fn accepted(&self) -> u64 {
        State::ALL.into_iter().map(|state| self.of(state)).sum()
    }
}
