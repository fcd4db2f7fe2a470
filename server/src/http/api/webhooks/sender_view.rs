//! `GET /v1/transactions/{transaction_id}`, or `/v1/transactions?transaction_id=…`: the status of a transaction, in the
//! format of the system that sent it and by that system's id, which is our reference.

use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::PathRejection},
};
use chrono::{DateTime, Utc};
use domain::{Amount, Caller, Currency};
use gateway::Gateway;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    api::transactions::{example, filter::UncheckedQuery},
    problem::{Problem, error_responses},
    request::fields::{Fields, without_nul},
    state::WebState,
};

/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The routes of the sender's view.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(find))
}

/// The address of the view of a transaction. Clients remove `.` and `..` from a path before they send it, encoded or
/// not (the URL standard calls them dot segments), but never from a query.
pub fn address_of(transaction_id: &str) -> String {
    let encoded = utf8_percent_encode(transaction_id, ENCODED);
    match transaction_id {
        "." | ".." => format!("/v1/transactions?transaction_id={encoded}"),
        _ => format!("/v1/transactions/{encoded}"),
    }
}

/// The status of a transaction, as its sender sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SenderStatus {
    /// Not final yet, which includes in doubt.
    Processing,
    /// Posted to the posting service.
    Processed,
    /// Not posted, and final.
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

/// A transaction as its sender sees it.
#[derive(Serialize, ToSchema)]
struct SenderView {
    /// The sender's own id, without white space around it.
    transaction_id: String,
    /// Where the money comes from.
    source_account: Option<String>,
    /// Where the money goes.
    destination_account: Option<String>,
    /// The amount, in units of `currency`.
    amount: Amount,
    /// The currency of `amount`.
    currency: Currency,
    /// Its status.
    status: SenderStatus,
    /// When Onceward stored it.
    created_at: DateTime<Utc>,
    /// When its status became final.
    processed_at: Option<DateTime<Utc>>,
}

/// Show a transaction to its sender
///
/// By the sender's own id, with the sender's names.
#[utoipa::path(
    get,
    path = "/v1/transactions/{transaction_id}",
    operation_id = "showAnnounced",
    tag = "Webhooks",
    params(("transaction_id" = String, Path, description = "The sender's own id, percent-encoded.", example = "txn_abc123")),
    responses(
        (status = 200, description = "The transaction.", body = SenderView, example = json!(example_of_sender_view())),
        error_responses::OfLookup,
    ),
)]
async fn show(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    transaction_id: Result<Path<String>, PathRejection>,
) -> Result<Json<SenderView>, Problem> {
    // No transaction has an id that is not UTF-8, or that PostgreSQL cannot hold.
    let Path(transaction_id) = transaction_id.map_err(|_| unknown())?;
    let transaction_id = without_nul(&transaction_id).map_err(|_| unknown())?;
    view(&gateway, &caller, &transaction_id).await
}

/// Find a transaction for its sender
///
/// The same as by its path, for an id that a path cannot carry, such as `..`.
#[utoipa::path(
    get,
    path = "/v1/transactions",
    operation_id = "findAnnounced",
    tag = "Webhooks",
    params(("transaction_id" = String, Query, description = "The sender's own id.", example = "txn_abc123")),
    responses(
        (status = 200, description = "The transaction.", body = SenderView, example = json!(example_of_sender_view())),
        error_responses::OfLookup,
        error_responses::OfList,
    ),
)]
async fn find(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: UncheckedQuery,
) -> Result<Json<SenderView>, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut fields = Fields::of_query(query);
    fields.refuse_unknown("", &["transaction_id"]);
    fields.require("/transaction_id");
    let transaction_id = fields.text("/transaction_id", without_nul);
    view(&gateway, &caller, &fields.finish(transaction_id)?).await
}

async fn view(
    gateway: &Gateway,
    caller: &Caller,
    transaction_id: &str,
) -> Result<Json<SenderView>, Problem> {
    let transaction =
        gateway.transaction_of_reference(caller, transaction_id).await?.ok_or_else(unknown)?;
    Ok(Json(SenderView {
        transaction_id: transaction.reference.unwrap_or_default(),
        source_account: transaction.source_account,
        destination_account: transaction.destination_account,
        amount: transaction.amount,
        currency: transaction.currency,
        status: transaction.status.into(),
        created_at: transaction.submitted_at,
        processed_at: transaction.completed_at,
    }))
}

fn unknown() -> Problem {
    Problem::not_found("no transaction has this transaction_id")
}

/// The transaction after it was posted.
fn example_of_sender_view() -> Value {
    json!(example::transaction().map(|transaction| SenderView {
        transaction_id: "txn_abc123".to_owned(),
        source_account: Some("acc_1".to_owned()),
        destination_account: Some("acc_2".to_owned()),
        amount: transaction.amount,
        currency: transaction.currency,
        status: SenderStatus::Processed,
        created_at: example::at(250),
        processed_at: Some(example::at(4_250)),
    }))
}
