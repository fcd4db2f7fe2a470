//! What the pages ask of the server: the engine's own answers, over `/fn`.

use domain::{Attempt, Counts, Intervened, Outcome, Page, State, Transaction};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::server_functions::{json_codec::JsonAnswer, load_error::LoadError};

/// How many transactions a list shows.
pub const LIST_LENGTH: usize = 50;

/// A stretch of the list, newest first: those in `status`, from `cursor` on. A cursor that is none
/// counts as absent.
#[server(output = JsonAnswer)]
pub async fn list_transactions(
    /// Only these.
    status: Option<State>,
    /// Where the stretch begins; at the newest without one.
    cursor: Option<String>,
) -> Result<Page, LoadError> {
    let filter = gateway::Filter { status, ..Default::default() };
    let cursor = cursor.and_then(|text| text.parse().ok());
    let gateway = expect_context::<gateway::Gateway>();
    let mut page = gateway.transactions(&filter, cursor.as_ref(), LIST_LENGTH as u32).await?;
    // The list does not show it, and fifty times 16 KiB would be most of the page.
    for transaction in &mut page.data {
        transaction.metadata = None;
    }
    Ok(page)
}

/// How many transactions are in each state.
#[server(output = JsonAnswer)]
pub async fn count_transactions() -> Result<Counts, LoadError> {
    Ok(expect_context::<gateway::Gateway>().counts().await?)
}

/// A transaction with all that was done for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransactionDetail {
    /// The transaction.
    pub transaction: Transaction,
    /// Its attempts, first to last.
    pub attempts: Vec<Attempt>,
    /// What people did to it, first to last.
    pub interventions: Vec<Intervened>,
}

impl TransactionDetail {
    /// Whether an attempt may have reached the posting service ever, one under way included.
    pub fn may_have_been_sent(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.outcome != Some(Outcome::NotSent))
    }
}

/// One transaction, or `None` where there is none with this id.
#[server(output = JsonAnswer)]
pub async fn find_transaction(
    /// Which one.
    id: Uuid,
) -> Result<Option<TransactionDetail>, LoadError> {
    let gateway = expect_context::<gateway::Gateway>();
    // In this order: what is done in between is then shown, not missed.
    let Some(transaction) = gateway.transaction(id).await? else { return Ok(None) };
    let attempts = gateway.attempts(id).await?;
    let interventions = gateway.interventions(id).await?;
    Ok(Some(TransactionDetail { transaction, attempts, interventions }))
}
