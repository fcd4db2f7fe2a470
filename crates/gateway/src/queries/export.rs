//! Reading all transactions that pass a filter, however many they are.

use domain::Transaction;
use futures::{Stream, stream};

use crate::{Cursor, EngineError, Filter, Gateway, MAX_PAGE};

/// Where an export goes on.
enum Next {
    /// At the newest.
    Newest,
    After(Cursor),
    Nowhere,
}

impl Gateway {
    /// All transactions that pass `filter`, newest first, a page of the list at a time. Each page is a
    /// question of its own, asked when it is wanted; nothing is held between them. An error ends it.
    ///
    /// What existed when the first page was read, and passes the filter when its own is, comes exactly
    /// once: neither its place in the list nor its id ever changes.
    pub fn export(
        &self,
        filter: Filter,
    ) -> impl Stream<Item = Result<Vec<Transaction>, EngineError>> + Send + use<> {
        let start = (self.clone(), filter, Next::Newest);
        stream::try_unfold(start, async |(gateway, filter, next)| {
            let cursor = match next {
                Next::Newest => None,
                Next::After(cursor) => Some(cursor),
                Next::Nowhere => return Ok(None),
            };
            let page = gateway.transactions(&filter, cursor.as_ref(), MAX_PAGE).await?;
            let next = match (page.next_cursor, page.data.last()) {
                (Some(_), Some(last)) => Next::After(Cursor::after(last)),
                _ => Next::Nowhere,
            };
            Ok(Some((page.data, (gateway, filter, next))))
        })
    }
}
