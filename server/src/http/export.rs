//! Exports: CSV or NDJSON, read and sent page by page, so that no database transaction stays open for a slow client. If
//! the database fails in the middle, the response breaks off and does not end like a complete one.

use std::{error::Error, str::FromStr};

use axum::{
    BoxError, Extension,
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tower_http::request_id::RequestId;
use utoipa::{IntoParams, ToSchema};

use super::{middleware::standing::Standing, problem::Problem, request::fields::Fields};

/// U+FEFF: without it, common spreadsheets read UTF-8 as something else.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The fields of a query that say how a file is written.
pub const FIELDS: [&str; 1] = ["format"];

/// The format of an export, as a query names it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
pub struct ExportParameters {
    /// If absent, `Accept` decides: NDJSON if it is accepted and CSV is not named, and CSV otherwise.
    #[param(inline)]
    format: Option<Format>,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(rename_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Format {
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
    /// The format that a query names in its [`FIELDS`]; `Accept` decides if it names none.
    pub fn read(fields: &mut Fields, headers: &HeaderMap) -> Self {
        let format = fields.text("/format", Self::from_str);
        format.unwrap_or_else(|| Self::accepted_by(headers))
    }

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
}

/// Answers with a file whose name begins with `name`. It begins with `head` and then has what `write` makes of each page.
/// It breaks off when the caller may no longer read it.
///
/// # Errors
/// If the first page cannot be read.
pub async fn respond<P: Send + 'static, E>(
    name: &str,
    format: Format,
    head: Result<Bytes, BoxError>,
    pages: impl Stream<Item = Result<P, E>> + Send + 'static,
    write: impl Fn(&P) -> Result<Bytes, BoxError> + Send + 'static,
    request_id: Option<Extension<RequestId>>,
    standing: Standing,
) -> Result<Response, Problem>
where
    E: Error + Send + Sync + 'static,
    Problem: From<E>,
{
    let mut pages = Box::pin(pages);
    // Read before the response starts: a database that does not answer is a problem, not a broken file.
    let first = pages.try_next().await?;
    let rest = pages.map_err(BoxError::from).and_then(move |page| {
        let standing = standing.clone();
        async move {
            match standing.holds().await {
                true => Ok(page),
                false => Err(BoxError::from("the caller's credential is no longer valid")),
            }
        }
    });
    let rest = rest.map_err(move |error| {
        let request_id = request_id.as_ref().and_then(|id| id.header_value().to_str().ok());
        let cause = error.source().map(tracing::field::display);
        tracing::error!(request_id, cause, "an export broke off: {error}");
        error
    });
    let pages = stream::iter(first.map(Ok)).chain(rest);
    let mark = if format == Format::CsvBom { BYTE_ORDER_MARK } else { "" };
    let mark = Bytes::from_static(mark.as_bytes());
    let body = stream::iter([Ok(mark), head])
        .chain(pages.map(move |page| page.and_then(|page| write(&page))));

    let (content_type, extension) = match format {
        Format::Csv | Format::CsvBom => ("text/csv; charset=utf-8; header=present", "csv"),
        Format::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    let now = Utc::now().format("%Y%m%dT%H%M%SZ");
    let disposition = format!("attachment; filename=\"{name}-{now}.{extension}\"");
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::VARY, "accept".to_owned()),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Records as CSV.
///
/// # Errors
/// None: the records are as long as each other, and memory can be written.
pub fn csv<const COLUMNS: usize>(records: &[[String; COLUMNS]]) -> Result<Bytes, BoxError> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for record in records {
        writer.write_record(record)?;
    }
    let written = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(written.into())
}

/// Values as NDJSON.
///
/// # Errors
/// If one is not representable in JSON.
pub fn ndjson<T: Serialize>(values: impl IntoIterator<Item = T>) -> Result<Vec<u8>, BoxError> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, &value)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A time, in the format of JSON.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// What a formula may begin with. Spreadsheets set to an East Asian language take the full-width characters, too.
const FORMULA_STARTS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Prevents a spreadsheet from running a text as a formula by an apostrophe in front. A text that starts with an
/// apostrophe gets one, too, so that removing one apostrophe from each such text restores all texts.
pub fn defuse(text: &str) -> String {
    match text.starts_with(FORMULA_STARTS) || text.starts_with('\'') {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

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
