//! `GET /api/transactions`: a page of the transactions that match a filter.

use std::str::FromStr;

use axum::{Extension, Json, extract::State};
use domain::{Caller, Page};
use gateway::{Cursor, Filter, Gateway, MAX_PAGE};
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::{
    example,
    filter::{self, UncheckedQuery},
};
use crate::http::problem::{Problem, error_responses};

/// Transactions in a page if the client does not set a limit.
const DEFAULT_LIMIT: u32 = 50;

/// Which page of a list is requested.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct PageParameters {
    /// Where the page starts: the `nextCursor` of the previous page.
    #[param(
        pattern = "^[0-9]{1,16}_[0-9a-f]{32}$",
        example = "1769860800250000_7c9e6679742540de944be07fc1f90ae7"
    )]
    cursor: Option<String>,
    /// Transactions in a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// List transactions
///
/// Newest first, those that match all filters.
#[utoipa::path(
    get,
    path = "/api/transactions",
    operation_id = "listTransactions",
    tag = "Transactions",
    params(Filter, PageParameters),
    responses(
        (
            status = 200,
            description = "A page of the list.",
            body = Page,
            links(("next" = (operation_id = "listTransactions", parameters(("cursor" = "$response.body#/nextCursor"))))),
            example = json!(example_of_page()),
        ),
        error_responses::OfList,
    ),
)]
pub async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: UncheckedQuery,
) -> Result<Json<Page>, Problem> {
    let (filter, mut fields) = filter::of_query(query, &["cursor", "limit"])?;
    let cursor = fields.text("/cursor", Cursor::from_str);
    let limit = fields.text("/limit", |text| match text.parse() {
        Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {MAX_PAGE}")),
    });
    let (filter, cursor, limit) = fields.finish(Some((filter, cursor, limit)))?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    Ok(Json(gateway.transactions(&caller.scope(), &filter, cursor.as_ref(), limit).await?))
}

/// A page with one transaction.
fn example_of_page() -> Value {
    let data = example::transaction().map(example::completed_from).into_iter().collect();
    let next_cursor = format!("{}_{}", example::at(250).timestamp_micros(), example::ID.simple());
    json!(Page { data, unreadable: Vec::new(), next_cursor: Some(next_cursor) })
}
