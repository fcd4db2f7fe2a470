//! The audit, for its page.

use domain::AuditPage;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::server_functions::{json_codec::JsonAnswer, load_error::LoadError};

/// The number of entries on a page.
#[cfg(feature = "ssr")]
const LIST_LENGTH: u32 = 50;

/// Which entries to show, and where to begin, as in the address. What is empty does not restrict them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditQuery {
    /// Of this principal.
    pub principal: String,
    /// Of this action.
    pub action: String,
    /// On this object.
    pub object: String,
    /// At or after this time.
    pub from: String,
    /// Before this time.
    pub to: String,
    /// Where the page begins; empty for the newest entries.
    pub cursor: String,
}

/// A page of the audit, newest first; or what is wrong with a filter, as a sentence.
#[server(output = JsonAnswer)]
pub async fn list_audit(
    /// Which entries.
    query: AuditQuery,
) -> Result<Result<AuditPage, String>, LoadError> {
    let (filter, cursor) = match read(query) {
        Ok(read) => read,
        Err(wrong) => return Ok(Err(wrong)),
    };
    crate::server_functions::permitted::permitted(domain::Permission::ReadAll)?;
    let access = expect_context::<access::Access>();
    match access.audit(&filter, cursor.as_ref(), LIST_LENGTH).await {
        Ok(page) => Ok(Ok(page)),
        Err(error) => {
            tracing::warn!(%error, source = ?error, "the audit could not be loaded");
            Err(LoadError(error.to_string()))
        }
    }
}

#[cfg(feature = "ssr")]
fn read(query: AuditQuery) -> Result<(access::AuditFilter, Option<access::AuditCursor>), String> {
    use domain::date_time::read_date_time;

    let given = |text: String| {
        let text = text.trim().replace('\0', "");
        (!text.is_empty()).then_some(text)
    };
    let time = |name: &str, text: String| {
        let read = given(text).map(|text| read_date_time(&text)).transpose();
        read.map_err(|wrong| format!("{name} {wrong}."))
    };
    let cursor = given(query.cursor).map(|text| text.parse()).transpose();
    let filter = access::AuditFilter {
        principal: given(query.principal),
        action: given(query.action),
        object: given(query.object),
        from: time("From", query.from)?,
        to: time("To", query.to)?,
    };
    Ok((filter, cursor.map_err(|_| "No page of the audit begins there.".to_owned())?))
}
