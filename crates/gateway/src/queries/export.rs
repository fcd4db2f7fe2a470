//! Reading all transactions that match a filter, however many there are.

use domain::{Page, Scope};
use futures::{Stream, stream};

use super::{cursor::Cursor, filter::Filter, list::MAX_PAGE};
use crate::{EngineError, Gateway};

/// Where an export continues.
enum Next {
    /// At the newest transaction.
    Newest,
    After(Cursor),
    End,
}

impl Gateway {
    /// All transactions of this scope that match `filter`, newest first, a page of the list at a time, and without its cursor. Each page is a query
    /// of its own, made when the page is polled; no connection is held between pages. An error ends the export.
    ///
    /// A transaction that existed when the first page was read, and matches the filter when its own page is
    /// read, is exported exactly once: neither its place in the list nor its id ever changes.
    pub fn export(
        &self,
        scope: Scope,
        filter: Filter,
    ) -> impl Stream<Item = Result<Page, EngineError>> + Send + use<> {
        let start = (self.clone(), scope, filter, Next::Newest);
        stream::try_unfold(start, async |(gateway, scope, filter, next)| {
            let cursor = match next {
                Next::Newest => None,
                Next::After(cursor) => Some(cursor),
                Next::End => return Ok(None),
            };
            let (page, next) = gateway.page(&scope, &filter, cursor.as_ref(), MAX_PAGE).await?;
            let next = next.map_or(Next::End, Next::After);
            Ok(Some((page, (gateway, scope, filter, next))))
        })
    }
}
