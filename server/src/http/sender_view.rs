//! `GET /v1/transactions/{transaction_id}`: how a transaction stands, in the words of the system that sent
//! it and by its own id, which is our reference.

use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    routing::get,
};
use chrono::{DateTime, Utc};
use domain::{Amount, Currency, Principal};
use gateway::Gateway;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Web, fields::without_nul, problem::Problem};

/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The route of the sender's view.
pub fn routes() -> Router<Web> {
    Router::new().route("/v1/transactions/{transaction_id}", get(show))
}

/// Where the view of a transaction is.
pub fn path_of(transaction_id: &str) -> String {
    format!("/v1/transactions/{}", utf8_percent_encode(transaction_id, ENCODED))
}

/// A state as a sender is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SenderStatus {
    /// It is still being worked on, in doubt included.
    Processing,
    /// The posting service has it.
    Processed,
    /// It does not, and nothing more will be done.
    Failed,
}

impl From<domain::State> for SenderStatus {
    fn from(state: domain::State) -> Self {
        use domain::State::{Cancelled, Completed, Failed, InDoubt, Pending, Processing, Rejected};
        match state {
            Pending | Processing | InDoubt => Self::Processing,
            Completed => Self::Processed,
            Failed | Rejected | Cancelled => Self::Failed,
        }
    }
}

#[derive(Serialize)]
struct SenderView {
    transaction_id: String,
    source_account: Option<String>,
    destination_account: Option<String>,
    amount: Amount,
    currency: Currency,
    status: SenderStatus,
    created_at: DateTime<Utc>,
    /// Since when its status is final.
    processed_at: Option<DateTime<Utc>>,
}

async fn show(
    State(gateway): State<Gateway>,
    transaction_id: Result<Path<String>, PathRejection>,
) -> Result<Json<SenderView>, Problem> {
    let unknown = || Problem::not_found("there is no transaction with this transaction_id");
    // What is no text, or none that PostgreSQL can hold, names no transaction.
    let Path(transaction_id) = transaction_id.map_err(|_| unknown())?;
    let transaction_id = without_nul(&transaction_id).map_err(|_| unknown())?;
    let transaction = gateway
        .transaction_of_reference(&Principal::anonymous(), &transaction_id)
        .await?
        .ok_or_else(unknown)?;
    Ok(Json(SenderView {
        transaction_id,
        source_account: transaction.source_account,
        destination_account: transaction.destination_account,
        amount: transaction.amount,
        currency: transaction.currency,
        status: transaction.status.into(),
        created_at: transaction.submitted_at,
        processed_at: transaction.completed_at,
    }))
}
