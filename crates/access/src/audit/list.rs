//! Reading the audit, newest first.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use domain::{AuditEntry, AuditPage};
use futures::{Stream, stream};
use gateway::{BadCursor, MAX_PAGE};
use serde::Serialize;
use serde_json::Value;
use sqlx::{Postgres, QueryBuilder, types::Json};

use crate::{Access, AccessError};

/// Which entries to select. An absent field does not restrict them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditFilter {
    /// Of this principal.
    pub principal: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// On this object.
    pub object: Option<String>,
    /// At or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

/// Where a page begins: after this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditCursor {
    at: DateTime<Utc>,
    id: i64,
}

impl fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.timestamp_micros(), self.id)
    }
}

impl FromStr for AuditCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (micros, id) = text.split_once('_').ok_or(BadCursor)?;
        let at = micros.parse().ok().and_then(DateTime::from_timestamp_micros);
        Ok(Self { at: at.ok_or(BadCursor)?, id: id.parse().map_err(|_| BadCursor)? })
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    at: DateTime<Utc>,
    principal: String,
    kind: String,
    credential: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    action: String,
    object: String,
    outcome: String,
    before: Option<Json<Value>>,
    after: Option<Json<Value>>,
    reason: Option<String>,
    part_of: Option<String>,
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.at,
            principal: row.principal,
            kind: row.kind,
            credential: row.credential,
            address: row.address,
            request_id: row.request_id,
            action: row.action,
            object: row.object,
            outcome: row.outcome,
            before: row.before.map(|json| json.0),
            after: row.after.map(|json| json.0),
            reason: row.reason,
            part_of: row.part_of,
        }
    }
}

impl Access {
    /// The entries that match a filter, newest first, from `cursor` on; at most `limit` and [`MAX_PAGE`].
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&AuditCursor>,
        limit: u32,
    ) -> Result<AuditPage, AccessError> {
        let (data, next) = self.audit_page(filter, cursor, limit).await?;
        Ok(AuditPage { data, next_cursor: next.map(|cursor| cursor.to_string()) })
    }

    /// All entries that match a filter, newest first, a page at a time. Each page is a query of its own, made when the
    /// page is polled. An error ends the export.
    ///
    /// What existed when the first page was read is exported exactly once: an entry never changes.
    pub fn export_audit(
        &self,
        filter: AuditFilter,
    ) -> impl Stream<Item = Result<Vec<AuditEntry>, AccessError>> + Send + use<> {
        let start = (self.clone(), filter, None, false);
        stream::try_unfold(start, async |(access, filter, cursor, is_over)| {
            if is_over {
                return Ok(None);
            }
            let (data, next) = access.audit_page(&filter, cursor.as_ref(), MAX_PAGE).await?;
            let is_over = next.is_none();
            Ok(Some((data, (access, filter, next, is_over))))
        })
    }

    async fn audit_page(
        &self,
        filter: &AuditFilter,
        cursor: Option<&AuditCursor>,
        limit: u32,
    ) -> Result<(Vec<AuditEntry>, Option<AuditCursor>), AccessError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let mut query = QueryBuilder::<Postgres>::new(
            "select id, at, principal, kind, credential, host(address) as address, request_id, action, object, outcome,
                before, after, reason, part_of
             from audit where true",
        );
        let texts = [
            (" and principal = ", &filter.principal),
            (" and action = ", &filter.action),
            (" and object = ", &filter.object),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.push(condition).push_bind(text.clone());
            }
        }
        if let Some(from) = filter.from {
            query.push(" and at >= ").push_bind(from);
        }
        if let Some(to) = filter.to {
            query.push(" and at < ").push_bind(to);
        }
        if let Some(AuditCursor { at, id }) = cursor {
            query.push(" and (at, id) < (").push_bind(*at).push(", ").push_bind(*id).push(")");
        }
        // One more than requested shows whether there is a next page.
        query.push(format_args!(" order by at desc, id desc limit {}", limit + 1));
        let mut rows: Vec<Row> = query.build_query_as().fetch_all(&self.pool).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| AuditCursor { at: row.at, id: row.id });
        Ok((rows.into_iter().map(AuditEntry::from).collect(), next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_same_after_its_text_is_parsed() {
        let at = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap();
        let cursor = AuditCursor { at, id: 7 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "_", "1_", "_1", "x_7", "99999999999999999999_0", "1_99999999999999999999"]
        {
            assert_eq!(text.parse::<AuditCursor>(), Err(BadCursor), "{text}");
        }
    }
}
