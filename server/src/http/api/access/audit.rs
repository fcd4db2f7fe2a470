//! `GET /api/audit`: who did what, and who was refused what, newest first; and all of it as a file.

use std::str::FromStr;

use access::{Access, AuditCursor, AuditFilter, Entry};
use axum::{
    BoxError, Extension, Json,
    body::Bytes,
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use chrono::{DateTime, Utc};
use domain::{Action, AuditEntry, AuditPage, Caller, date_time::read_date_time};
use gateway::MAX_PAGE;
use serde_json::{Value, json};
use tower_http::request_id::RequestId;
use utoipa::{
    IntoParams,
    openapi::{Object, ObjectBuilder, schema::Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    api::transactions::{example, filter::UncheckedQuery},
    export::{self, ExportParameters, Format, defuse, instant},
    middleware::standing::Standing,
    problem::{Problem, error_responses},
    request::fields::{Fields, without_nul},
    state::WebState,
};

/// The routes of the audit.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export))
}

/// Entries in a page if the client does not set a limit.
const DEFAULT_LIMIT: u32 = 50;

/// The fields of a filter.
const FIELDS: [&str; 5] = ["principal", "action", "object", "from", "to"];

/// Which entries to select. An absent field does not restrict them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct FilterParameters {
    /// Of this principal.
    #[param(example = "ann")]
    principal: Option<String>,
    /// Of this action.
    #[param(schema_with = actions)]
    action: Option<String>,
    /// On this object, such as `transaction:<id>`, `client:<name>`, `user:<name>`, `key:<id>` or `posting`.
    #[param(example = "transaction:7c9e6679-7425-40de-944b-e07fc1f90ae7")]
    object: Option<String>,
    /// At or after this time: RFC 3339, or the same without an offset, which then is UTC.
    from: Option<DateTime<Utc>>,
    /// Before this time, in the same form.
    to: Option<DateTime<Utc>>,
}

/// Which page is requested.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct PageParameters {
    /// Where the page starts: the `nextCursor` of the previous page.
    #[param(pattern = "^[0-9]{1,18}_[0-9]{1,19}$", example = "1769860800250000_4711")]
    cursor: Option<String>,
    /// Entries in a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

fn actions() -> Object {
    let names = Action::ALL.map(Action::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

/// Reads the filter of a query. The caller still reads the fields `others`.
fn read_filter(query: UncheckedQuery, others: &[&str]) -> Result<(AuditFilter, Fields), Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut fields = Fields::of_query(query);
    fields.refuse_unknown("", &[&FIELDS, others].concat());
    let filter = AuditFilter {
        principal: fields.text("/principal", without_nul),
        action: fields.text("/action", |text| match Action::is_name(text) {
            true => Ok(text.to_owned()),
            false => Err("must be the name of an action"),
        }),
        object: fields.text("/object", without_nul),
        from: fields.text("/from", read_date_time),
        to: fields.text("/to", read_date_time),
    };
    Ok((filter, fields))
}

/// List the audit
///
/// Who did what, and who was refused what, newest first: sign-ins, refused credentials and permissions, what operators and
/// administrators did, exports. Submissions and reads are not in it; a transaction itself has its principal. An entry
/// never changes, and none is ever deleted.
#[utoipa::path(
    get,
    path = "/api/audit",
    operation_id = "listAudit",
    tag = "Access",
    params(FilterParameters, PageParameters),
    responses(
        (
            status = 200,
            description = "A page of the audit.",
            body = AuditPage,
            links(("next" = (operation_id = "listAudit", parameters(("cursor" = "$response.body#/nextCursor"))))),
            example = json!(example_of_page()),
        ),
        error_responses::OfList,
    ),
)]
async fn list(
    State(access): State<Access>,
    query: UncheckedQuery,
) -> Result<Json<AuditPage>, Problem> {
    let (filter, mut fields) = read_filter(query, &["cursor", "limit"])?;
    let cursor = fields.text("/cursor", AuditCursor::from_str);
    let limit = fields.text("/limit", |text| match text.parse() {
        Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {MAX_PAGE}")),
    });
    let (filter, cursor, limit) = fields.finish(Some((filter, cursor, limit)))?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    Ok(Json(access.audit(&filter, cursor.as_ref(), limit).await?))
}

/// The columns of the CSV, named as in JSON.
const COLUMNS: [&str; 14] = [
    "id",
    "at",
    "principal",
    "kind",
    "credential",
    "address",
    "requestId",
    "action",
    "object",
    "outcome",
    "before",
    "after",
    "reason",
    "partOf",
];

/// Export the audit
///
/// All entries that match the filters, newest first, as a file that is sent while it is read. The export is itself in the
/// audit. An export that fails breaks off. In CSV, a text that a spreadsheet would run as a formula, or that starts with
/// an apostrophe, is prefixed with an apostrophe.
#[utoipa::path(
    get,
    path = "/api/audit/export",
    operation_id = "exportAudit",
    tag = "Access",
    params(FilterParameters, ExportParameters),
    responses(
        (
            status = 200,
            description = "The file.",
            headers(("Content-Disposition" = String, description = "The file's name.")),
            content(
                (String = "text/csv", example = json!(example_of_csv())),
                (AuditEntry = "application/x-ndjson", example = json!(example_of_entry())),
            ),
        ),
        error_responses::OfList,
    ),
)]
async fn export(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request_id: Option<Extension<RequestId>>,
    standing: Standing,
    query: UncheckedQuery,
) -> Result<Response, Problem> {
    let (filter, mut fields) = read_filter(query, &export::FIELDS)?;
    let format = Format::read(&mut fields, &headers);
    let filter = fields.finish(Some(filter))?;
    let audited = json!({"filter": filter, "format": format});
    let entry = Entry::done(&caller.actor, Action::Export, "audit").after(audited);
    access.record(entry).await?;
    let head = match format {
        Format::Csv | Format::CsvBom => export::csv(&[COLUMNS.map(str::to_owned)]),
        Format::Ndjson => Ok(Bytes::new()),
    };
    let write = move |page: &Vec<AuditEntry>| write(format, page);
    export::respond("audit", format, head, access.export_audit(filter), write, request_id, standing)
        .await
}

fn write(format: Format, page: &[AuditEntry]) -> Result<Bytes, BoxError> {
    match format {
        Format::Csv | Format::CsvBom => export::csv(&page.iter().map(record).collect::<Vec<_>>()),
        Format::Ndjson => export::ndjson(page).map(Bytes::from),
    }
}

/// The values of an entry in the [`COLUMNS`]; empty if there is none.
fn record(entry: &AuditEntry) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| text.as_deref().map(defuse).unwrap_or_default();
    let json = |json: &Option<Value>| json.as_ref().map(Value::to_string).unwrap_or_default();
    [
        entry.id.to_string(),
        instant(entry.at),
        defuse(&entry.principal),
        entry.kind.clone(),
        text(&entry.credential),
        text(&entry.address),
        text(&entry.request_id),
        entry.action.clone(),
        defuse(&entry.object),
        entry.outcome.clone(),
        json(&entry.before),
        json(&entry.after),
        text(&entry.reason),
        text(&entry.part_of),
    ]
}

fn example_of_page() -> Value {
    let next_cursor = format!("{}_4711", example::at(250).timestamp_micros());
    json!(AuditPage { data: vec![example_of_entry()], next_cursor: Some(next_cursor) })
}

fn example_of_entry() -> AuditEntry {
    AuditEntry {
        id: 4711,
        at: example::at(250),
        principal: "ann".to_owned(),
        kind: "user".to_owned(),
        credential: Some("session:0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1".to_owned()),
        address: Some("192.0.2.7".to_owned()),
        request_id: Some(error_responses::EXAMPLE_REQUEST_ID.to_owned()),
        action: "cancel".to_owned(),
        object: format!("transaction:{}", example::ID),
        outcome: "done".to_owned(),
        before: Some(json!({"status": "pending"})),
        after: Some(json!({"status": "cancelled"})),
        reason: Some("submitted twice by mistake".to_owned()),
        part_of: None,
    }
}

fn example_of_csv() -> String {
    let records = [COLUMNS.map(str::to_owned), record(&example_of_entry())];
    export::csv(&records).map(|csv| String::from_utf8_lossy(&csv).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_value_of_the_field_of_its_name() {
        let entry = AuditEntry { part_of: Some("bulk_retry:1".to_owned()), ..example_of_entry() };
        let Value::Object(mut json) = json!(entry) else { panic!("no object") };
        for (column, text) in COLUMNS.iter().zip(record(&entry)) {
            let value = json.remove(*column).unwrap_or_else(|| panic!("{column}"));
            let expected = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(text, expected, "{column}");
        }
        assert!(json.is_empty(), "fields without a column: {json:?}");
    }
}
