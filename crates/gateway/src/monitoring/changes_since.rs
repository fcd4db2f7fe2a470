//! The change feed for a reader that polls.

use domain::{Scope, Transaction, Unreadable};

use super::{
    change_page::{Progress, position_now},
    position::Position,
};
use crate::{EngineError, Gateway};

/// Transactions that changed since a position.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesPage {
    /// Each in its latest version, oldest change first.
    pub data: Vec<Transaction>,
    /// Those that changed and cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// The position of the next page.
    pub next_since: Position,
    /// Whether there are more changes already.
    pub has_more: bool,
}

impl Gateway {
    /// The transactions of this scope that changed since a position: a page of them. Without a position there are none, and
    /// `next_since` is that of now. A position that this database cannot have given is taken as the beginning,
    /// because nobody knows what its holder has seen.
    ///
    /// A change whose commit comes late is in a later page, whatever its time is.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn changes_since(
        &self,
        scope: &Scope,
        since: Option<Position>,
    ) -> Result<ChangesPage, EngineError> {
        let now = position_now(&self.pool).await?;
        let Some(since) = since else {
            return Ok(ChangesPage {
                data: Vec::new(),
                unreadable: Vec::new(),
                next_since: now,
                has_more: false,
            });
        };
        // Nothing is left out: each page begins where the reader has asked.
        let mut page = Progress::new(since.known_at(&now)).page(&self.pool).await?;
        page.restrict(scope);
        Ok(ChangesPage {
            data: page.transactions,
            unreadable: page.unreadable,
            next_since: page.end,
            has_more: !page.is_last,
        })
    }
}
