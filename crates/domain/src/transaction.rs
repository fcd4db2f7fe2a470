//! A transaction as Onceward shows it, and the states it goes through.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use uuid::Uuid;

use crate::{Amount, Currency, IdempotencyKey};

/// Where a transaction stands. See the state diagram in `docs/ARCHITECTURE.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum State {
    /// Stored; due at its next attempt.
    Pending,
    /// Claimed by a worker.
    Processing,
    /// The posting service has it. Final.
    Completed,
    /// Refused, or proven absent with no attempts left. Final; never merely unknown.
    Failed,
    /// The outcome is unknown and no attempt is left; verification goes on.
    InDoubt,
    /// Refused by screening; nothing was ever sent. Final.
    Rejected,
    /// Withdrawn before anything was sent. Final.
    Cancelled,
}

impl State {
    /// Every state, in the order in which a list offers them.
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

    /// Whether nothing changes it any more but an operator.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Rejected | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("must be one of pending, processing, completed, failed, in_doubt, rejected, cancelled")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

/// Who is calling. References and idempotency keys are unique per principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Principal(String);

impl Principal {
    /// Whoever calls where authentication is off.
    pub fn anonymous() -> Self {
        Self("anonymous".to_owned())
    }

    /// Whoever has this name in the table.
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
    /// Where it stands.
    pub status: State,
    /// What is to be posted, in units of `currency`.
    pub amount: Amount,
    /// The currency of `amount`.
    pub currency: Currency,
    /// The client's own id for it.
    pub reference: Option<String>,
    /// The client's own key for sending it again.
    pub idempotency_key: Option<IdempotencyKey>,
    /// For people.
    pub description: Option<String>,
    /// When it happened, by the client's account.
    pub timestamp: Option<DateTime<Utc>>,
    /// Where the money comes from.
    pub source_account: Option<String>,
    /// Where the money goes.
    pub destination_account: Option<String>,
    /// Whatever the client wants kept with it.
    pub metadata: Option<Map<String, Value>>,
    /// When Onceward stored it.
    pub submitted_at: DateTime<Utc>,
    /// When it reached a final state.
    pub completed_at: Option<DateTime<Utc>>,
    /// Why it is failed or in doubt, or what the last attempt ran into.
    pub error: Option<String>,
    /// Attempts that count against the limit.
    pub attempts: u32,
    /// When the next attempt or verification is due; absent while one is under way and once final.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

impl Transaction {
    /// As it was when it was stored: what every repetition of its submission is answered with.
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

/// A stretch of the list of transactions, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The transactions.
    pub data: Vec<Transaction>,
    /// Give this as `cursor` to get the next stretch; absent at the end.
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

    /// The count of one state, to be set.
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

    /// All that was ever accepted.
    pub fn accepted(&self) -> u64 {
        State::ALL.into_iter().map(|state| self.of(state)).sum()
    }
}
