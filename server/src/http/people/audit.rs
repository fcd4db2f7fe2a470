//! The audit, for people.

use access::{AuditCursor, AuditFilter};
use app::pages::audit::{Audit, AuditQuery};
use axum::{
    Extension,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use domain::{Caller, date_time::read_date_time};

use super::page::{frame_for, page};
use crate::http::{WebState, problem::Problem};

/// The number of entries on a page.
const LIST_LENGTH: u32 = 50;

/// The page. A filter that is wrong is explained on it.
pub async fn show(
    State(state): State<WebState>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let (status, entries) = match read(&query) {
        Ok((filter, cursor)) => {
            let entries = state.access.audit(&filter, cursor.as_ref(), LIST_LENGTH).await?;
            (StatusCode::OK, Ok(entries))
        }
        Err(wrong) => (StatusCode::UNPROCESSABLE_ENTITY, Err(wrong)),
    };
    let frame = frame_for(&state, &caller);
    Ok(page(status, Audit { query, page: entries }.document(frame)))
}

fn read(query: &AuditQuery) -> Result<(AuditFilter, Option<AuditCursor>), String> {
    let given = |text: &str| {
        let text = text.trim().replace('\0', "");
        (!text.is_empty()).then_some(text)
    };
    let time = |name: &str, text: &str| {
        let read = given(text).map(|text| read_date_time(&text)).transpose();
        read.map_err(|wrong| format!("{name} {wrong}."))
    };
    let cursor = given(&query.cursor).map(|text| text.parse()).transpose();
    let filter = AuditFilter {
        principal: given(&query.principal),
        action: given(&query.action),
        object: given(&query.object),
        from: time("From", &query.from)?,
        to: time("To", &query.to)?,
    };
    Ok((filter, cursor.map_err(|_| "No page of the audit begins there.".to_owned())?))
}
