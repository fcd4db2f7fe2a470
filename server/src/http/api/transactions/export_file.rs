//! `GET /api/transactions/export`: all transactions that match the list's filters, newest first, as a file.
//!
//! The export is read and sent page by page, so that no database transaction stays open for a slow client. It is
//! therefore not a snapshot: a transaction that existed at the start, and matches the filter when its page is read, is
//! in it exactly once, as it was at that time. If the database fails in the middle, the response breaks off and does
//! not end like a complete one.

use std::str::FromStr;

use axum::{
    BoxError, Extension,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};
use domain::{Page, Transaction, Unreadable};
use futures::{StreamExt, TryStreamExt, stream};
use gateway::{Filter, Gateway};
use serde::Serialize;
use tower_http::request_id::RequestId;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    example,
    filter::{self, UncheckedQuery},
};
use crate::http::problem::{Problem, error_responses};

/// U+FEFF: without it, common spreadsheets read UTF-8 as something else.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

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

/// The format of an export, as a query names it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct ExportParameters {
    /// If absent, `Accept` decides: NDJSON if it is accepted and CSV is not named, and CSV otherwise.
    #[param(inline)]
    format: Option<Format>,
}

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
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    query: UncheckedQuery,
) -> Result<Response, Problem> {
    let (filter, mut fields) = filter::of_query(query, &["format"])?;
    let format = fields.text("/format", Format::from_str);
    let format = format.unwrap_or_else(|| Format::accepted_by(&headers));
    let filter = fields.finish(Some(filter))?;

    let mut pages = Box::pin(gateway.export(filter));
    // Read before the response starts: a database that does not answer is a problem, not a broken file.
    let first = pages.try_next().await?;
    let rest = pages.map_err(move |error| {
        let request_id = request_id.as_ref().and_then(|id| id.header_value().to_str().ok());
        let cause = std::error::Error::source(&error).map(tracing::field::display);
        tracing::error!(request_id, cause, "an export broke off: {error}");
        BoxError::from(error)
    });
    let pages = stream::iter(first.map(Ok)).chain(rest);
    let body = stream::iter([format.head()])
        .chain(pages.map(move |page| page.and_then(|page| format.write(&page))));

    let (content_type, extension) = match format {
        Format::Csv | Format::CsvBom => ("text/csv; charset=utf-8; header=present", "csv"),
        Format::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    let now = Utc::now().format("%Y%m%dT%H%M%SZ");
    let disposition = format!("attachment; filename=\"transactions-{now}.{extension}\"");
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::VARY, "accept".to_owned()),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "kebab-case")]
enum Format {
    /// RFC 4180 with a header row, for spreadsheets.
    Csv,
    /// The same after a byte order mark, by which common spreadsheets know that it is UTF-8.
    CsvBom,
    /// One JSON object per line, as in the list, for programs.
    Ndjson,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "csv" => Ok(Self::Csv),
            "csv-bom" => Ok(Self::CsvBom),
            "ndjson" => Ok(Self::Ndjson),
            _ => Err("must be csv, csv-bom or ndjson"),
        }
    }
}

impl Format {
    /// NDJSON if the client accepts it and does not name CSV.
    fn accepted_by(headers: &HeaderMap) -> Self {
        let names = |kind: &str| {
            let values = headers.get_all(header::ACCEPT).iter();
            values.filter_map(|value| value.to_str().ok()).any(|value| value.contains(kind))
        };
        match names("application/x-ndjson") && !names("text/csv") {
            true => Self::Ndjson,
            false => Self::Csv,
        }
    }

    /// The bytes before the first transaction.
    fn head(self) -> Result<Bytes, BoxError> {
        match self {
            Self::Csv => csv(&[COLUMNS.map(str::to_owned)]),
            Self::CsvBom => Ok([BYTE_ORDER_MARK, &Self::Csv.head()?].concat().into()),
            Self::Ndjson => Ok(Bytes::new()),
        }
    }

    /// The bytes of a page. Those of its transactions that cannot be read come after the others.
    fn write(self, page: &Page) -> Result<Bytes, BoxError> {
        match self {
            Self::Csv | Self::CsvBom => {
                let mut records = page.data.iter().map(record).collect::<Result<Vec<_>, _>>()?;
                records.extend(page.unreadable.iter().map(record_of_unreadable));
                csv(&records)
            }
            Self::Ndjson => {
                let mut lines = Vec::new();
                for transaction in &page.data {
                    serde_json::to_writer(&mut lines, transaction)?;
                    lines.push(b'\n');
                }
                for unreadable in &page.unreadable {
                    serde_json::to_writer(&mut lines, &UnreadableLine::from(unreadable))?;
                    lines.push(b'\n');
                }
                Ok(lines.into())
            }
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

fn csv(records: &[[String; COLUMNS.len()]]) -> Result<Bytes, BoxError> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for record in records {
        writer.write_record(record)?;
    }
    let written = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(written.into())
}

/// The values of a transaction in the [`COLUMNS`]; empty if there is none.
fn record(transaction: &Transaction) -> Result<[String; COLUMNS.len()], serde_json::Error> {
    let text = |text: &Option<String>| text.as_deref().map(defuse).unwrap_or_default();
    // The format of JSON.
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
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

/// What a formula may begin with. Spreadsheets set to an East Asian language take the full-width characters, too.
const FORMULA_STARTS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Prevents a spreadsheet from running a text as a formula by an apostrophe in front. A text that starts with an
/// apostrophe gets one, too, so that removing one apostrophe from each such text restores all texts.
fn defuse(text: &str) -> String {
    match text.starts_with(FORMULA_STARTS) || text.starts_with('\'') {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
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
    use axum::http::HeaderValue;
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

    #[test]
    fn no_text_is_a_formula_and_each_can_be_restored() {
        for text in [
            "=1+1",
            "+49 30",
            "-7",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "'quoted'",
            "＝1+1",
            "＋1",
            "－1",
            "＠SUM(A1)",
        ] {
            let written = defuse(text);
            assert!(written.starts_with('\''), "{written}");
            assert_eq!(written.strip_prefix('\''), Some(text));
        }
        for text in ["", "order 1", "a=b", "{\"a\":1}"] {
            assert_eq!(defuse(text), text);
        }
    }

    #[test]
    fn the_format_is_what_the_client_accepts() {
        let of = |accept: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            Format::accepted_by(&headers)
        };
        assert_eq!(of("application/x-ndjson"), Format::Ndjson);
        assert_eq!(of("text/csv, application/x-ndjson;q=0.5"), Format::Csv);
        assert_eq!(of("*/*"), Format::Csv);
        assert_eq!(Format::accepted_by(&HeaderMap::new()), Format::Csv);
    }
}
