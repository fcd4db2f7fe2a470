//! The queries of the pages, answered by the engine.

use domain::{Attempt, Counts, Intervened, Outcome, Page, State, Transaction};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::server_functions::{json_codec::JsonAnswer, load_error::LoadError};

/// The maximum number of transactions in a list.
pub const LIST_LENGTH: usize = 50;
/// The maximum number of attempts on a transaction's page.
pub const SHOWN_ATTEMPTS: u32 = 50;

/// One page of the list, newest first: the transactions in `status`, from `cursor` on. An invalid
/// cursor counts as absent.
#[server(output = JsonAnswer)]
pub async fn list_transactions(
    /// The state to filter by.
    status: Option<State>,
    /// Where the page begins; without one, it begins at the newest.
    cursor: Option<String>,
) -> Result<Page, LoadError> {
    let filter = gateway::Filter { status, ..Default::default() };
    let cursor = cursor.and_then(|text| text.parse().ok());
    let (gateway, caller) =
        crate::server_functions::permitted::permitted(domain::Permission::Read)?;
    let length = LIST_LENGTH as u32;
    let mut page = gateway.transactions(&caller.scope(), &filter, cursor.as_ref(), length).await?;
    // The list does not show the metadata, and fifty times 16 KiB would be most of the page.
    for transaction in &mut page.data {
        transaction.metadata = None;
    }
    Ok(page)
}

/// The number of transactions in each state.
#[server(output = JsonAnswer)]
pub async fn count_transactions() -> Result<Counts, LoadError> {
    let (gateway, caller) =
        crate::server_functions::permitted::permitted(domain::Permission::Read)?;
    Ok(gateway.counts(&caller.scope()).await?)
}

/// A transaction with its attempts and interventions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransactionDetail {
    /// The transaction.
    pub transaction: Transaction,
    /// Its latest attempts, first to last.
    pub attempts: Vec<Attempt>,
    /// The interventions of operators, first to last.
    pub interventions: Vec<Intervened>,
}

impl TransactionDetail {
    /// Whether any attempt may have reached the posting service, including one in flight.
    pub fn may_have_been_sent(&self) -> bool {
        self.transaction.attempts > 0
            || self.attempts.iter().any(|attempt| attempt.outcome != Some(Outcome::NotSent))
    }
}

/// One transaction, or `None` if there is none with this id.
#[server(output = JsonAnswer)]
pub async fn find_transaction(
    /// Its id.
    id: Uuid,
) -> Result<Option<TransactionDetail>, LoadError> {
    let (gateway, caller) =
        crate::server_functions::permitted::permitted(domain::Permission::Read)?;
    // In this order, an attempt or intervention between the queries is shown, not missed.
    let Some(transaction) = gateway.transaction(&caller.scope(), id).await? else {
        return Ok(None);
    };
    let attempts = gateway.latest_attempts(id, SHOWN_ATTEMPTS).await?;
    let interventions = gateway.interventions(id).await?;
    Ok(Some(TransactionDetail { transaction, attempts, interventions }))
}
