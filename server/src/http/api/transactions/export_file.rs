//! `GET /api/transactions/export`: all transactions that match the list's filters, newest first, as a file.
//!
//! The export is not a snapshot: a transaction that existed at the start, and matches the filter when its page is read,
//! is in it exactly once, as it was at that time.

use access::{Access, Entry};
use axum::{BoxError, Extension, body::Bytes, extract::State, http::HeaderMap, response::Response};
use domain::{Action, Caller, Page, Transaction, Unreadable};
use gateway::{Filter, Gateway};
use serde::Serialize;
use serde_json::json;
use tower_http::request_id::RequestId;
use uuid::Uuid;

use super::{
    example,
    filter::{self, UncheckedQuery},
};
use crate::http::{
    export::{self, ExportParameters, Format, defuse, instant},
    middleware::standing::Standing,
    problem::{Problem, error_responses},
};

/// The columns of the CSV, named as in JSON.
const COLUMNS: [&str; 16] = [
    "transactionId",
    "status",
    "amount",
    "currency",
    "reference",
    "idempotencyKey",
    "description",
    "timestamp",
    "sourceAccount",
    "destinationAccount",
    "metadata",
    "submittedAt",
    "completedAt",
    "error",
    "attempts",
    "nextAttemptAt",
];

/// Export transactions
///
/// All transactions that match the list's filters, newest first, as a file that is sent while it is read. A transaction
/// that existed at the start is in it exactly once, as it was when its page was read. An export that fails breaks off.
/// One whose row cannot be read is in it with its id, the status `unreadable` and the reason as its error. NDJSON is
/// exact. In CSV, a text that a spreadsheet would run as a formula, or that starts with an apostrophe, is
/// prefixed with an apostrophe.
#[utoipa::path(
    get,
    path = "/api/transactions/export",
    operation_id = "exportTransactions",
    tag = "Transactions",
    params(Filter, ExportParameters),
    responses(
        (
            status = 200,
            description = "The file.",
            headers(("Content-Disposition" = String, description = "The file's name.")),
            content(
                (String = "text/csv", example = json!(example_of_csv())),
                (Transaction = "application/x-ndjson", example = json!(example::completed())),
            ),
        ),
        error_responses::OfList,
    ),
)]
pub async fn export(
    State(gateway): State<Gateway>,
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    standing: Standing,
    query: UncheckedQuery,
) -> Result<Response, Problem> {
    let (filter, mut fields) = filter::of_query(query, &export::FIELDS)?;
    let format = Format::read(&mut fields, &headers);
    let filter = fields.finish(Some(filter))?;
    let audited = json!({"filter": filter, "format": format});
    let entry = Entry::done(&caller.actor, Action::Export, "transactions").after(audited);
    access.record(entry).await?;
    let head = match format {
        Format::Csv | Format::CsvBom => export::csv(&[COLUMNS.map(str::to_owned)]),
        Format::Ndjson => Ok(Bytes::new()),
    };
    let (pages, write) =
        (gateway.export(caller.scope(), filter), move |page: &Page| write(format, page));
    export::respond("transactions", format, head, pages, write, request_id, standing).await
}

/// The bytes of a page. Those of its transactions that cannot be read come after the others.
fn write(format: Format, page: &Page) -> Result<Bytes, BoxError> {
    match format {
        Format::Csv | Format::CsvBom => {
            let mut records = page.data.iter().map(record).collect::<Result<Vec<_>, _>>()?;
            records.extend(page.unreadable.iter().map(record_of_unreadable));
            export::csv(&records)
        }
        Format::Ndjson => {
            let mut lines = export::ndjson(&page.data)?;
            lines.extend(export::ndjson(page.unreadable.iter().map(UnreadableLine::from))?);
            Ok(lines.into())
        }
    }
}

/// What stands for a transaction that cannot be read: its id, this status, and the reason as its error.
const UNREADABLE: &str = "unreadable";

/// The line of a transaction that cannot be read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UnreadableLine<'a> {
    /// Its id.
    transaction_id: Uuid,
    /// Always `unreadable`, which is no state.
    status: &'static str,
    /// What cannot be read of it.
    error: &'a str,
}

impl<'a> From<&'a Unreadable> for UnreadableLine<'a> {
    fn from(unreadable: &'a Unreadable) -> Self {
        let Unreadable { transaction_id, reason } = unreadable;
        Self { transaction_id: *transaction_id, status: UNREADABLE, error: reason }
    }
}

fn record_of_unreadable(unreadable: &Unreadable) -> [String; COLUMNS.len()] {
    COLUMNS.map(|column| match column {
        "transactionId" => unreadable.transaction_id.to_string(),
        "status" => UNREADABLE.to_owned(),
        "error" => unreadable.reason.clone(),
        _ => String::new(),
    })
}

/// The values of a transaction in the [`COLUMNS`]; empty if there is none.
fn record(transaction: &Transaction) -> Result<[String; COLUMNS.len()], serde_json::Error> {
    let text = |text: &Option<String>| text.as_deref().map(defuse).unwrap_or_default();
    let metadata = transaction.metadata.as_ref().map(serde_json::to_string).transpose()?;
    Ok([
        transaction.transaction_id.to_string(),
        transaction.status.to_string(),
        transaction.amount.to_string(),
        transaction.currency.to_string(),
        text(&transaction.reference),
        transaction.idempotency_key.as_ref().map(|key| defuse(key.as_str())).unwrap_or_default(),
        text(&transaction.description),
        transaction.timestamp.map(instant).unwrap_or_default(),
        text(&transaction.source_account),
        text(&transaction.destination_account),
        metadata.unwrap_or_default(),
        instant(transaction.submitted_at),
        transaction.completed_at.map(instant).unwrap_or_default(),
        text(&transaction.error),
        transaction.attempts.to_string(),
        transaction.next_attempt_at.map(instant).unwrap_or_default(),
    ])
}

/// The example transaction as a CSV file.
fn example_of_csv() -> &'static str {
    "transactionId,status,amount,currency,reference,idempotencyKey,description,timestamp,sourceAccount,destinationAccount,\
     metadata,submittedAt,completedAt,error,attempts,nextAttemptAt\r\n\
     7c9e6679-7425-40de-944b-e07fc1f90ae7,completed,100.50,USD,invoice-2026-0042,order-2026-0042,\
     Payment of invoice 2026-0042,2026-01-31T00:00:00Z,ACC-1001,ACC-2002,\"{\"\"order_id\"\":\"\"12345\"\"}\",\
     2026-01-31T00:00:00.250Z,2026-01-31T00:00:04.250Z,,1,\r\n"
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn transaction() -> Transaction {
        serde_json::from_value(json!({
            "transactionId": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "status": "in_doubt",
            "amount": 100.5, "currency": "USD", "reference": "r", "idempotencyKey": "k", "description": "d",
            "timestamp": "2026-01-31T12:00:00Z", "sourceAccount": "s", "destinationAccount": "t",
            "metadata": {"k": 1}, "submittedAt": "2026-01-31T12:00:00.123456Z",
            "completedAt": "2026-01-31T12:00:01.500Z", "error": "e", "attempts": 3,
            "nextAttemptAt": "2026-01-31T12:00:02Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_column_has_the_value_of_the_field_of_its_name() {
        let Value::Object(mut json) = json!(transaction()) else { panic!("no object") };
        for (column, text) in COLUMNS.iter().zip(record(&transaction()).unwrap()) {
            let value = json.remove(*column).unwrap_or_else(|| panic!("{column}"));
            let expected = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(text, expected, "{column}");
        }
        assert_eq!(json, Map::new(), "fields without a column");
    }
}
