//! The transactions that a live list shows, and those that wait to be shown. No Leptos views here.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use domain::{Page, State, Transaction, Unreadable};
use leptos::prelude::*;
use uuid::Uuid;

use super::cursor::cursor_after;

/// A transaction in the list. It keeps its signal as long as it is shown, so that a change
/// re-renders only what changed.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which transaction.
    pub id: Uuid,
    /// Its latest version.
    pub transaction: ArcRwSignal<Transaction>,
}

impl Row {
    fn new(transaction: Transaction) -> Self {
        Self { id: transaction.transaction_id, transaction: ArcRwSignal::new(transaction) }
    }

    fn set(&self, latest: &Transaction) {
        if *self.transaction.read_untracked() != *latest {
            self.transaction.set(latest.clone());
        }
    }

    fn sort_key(&self) -> SortKey {
        sort_key(&self.transaction.read_untracked())
    }
}

/// A list, newest first, of at most `length` transactions.
#[derive(Debug, Clone)]
pub struct Rows {
    status: Option<State>,
    length: usize,
    /// On the first page, transactions enter and leave. On an older page they stay and only change.
    is_first_page: bool,
    shown: Vec<Row>,
    waiting: Vec<Transaction>,
    /// Those of the page that the server cannot read.
    unreadable: Vec<Unreadable>,
    has_older: bool,
    /// Where the server's page ended.
    next_cursor: Option<String>,
    /// How many rows were ever added to those shown.
    shown_in_total: usize,
}

impl Rows {
    /// A list of the transactions in `status` that starts with a page from the server.
    pub fn new(status: Option<State>, length: usize, is_first_page: bool, page: Page) -> Self {
        Self {
            status,
            length,
            is_first_page,
            has_older: page.next_cursor.is_some(),
            shown: page.data.into_iter().map(Row::new).collect(),
            waiting: Vec::new(),
            unreadable: page.unreadable,
            next_cursor: page.next_cursor,
            shown_in_total: 0,
        }
    }

    /// The rows that are shown, newest first.
    pub fn shown(&self) -> &[Row] {
        &self.shown
    }

    /// The transactions that the server cannot read.
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }

    /// The cursor of the next page, if there is one: after the last row, or where the server's page ended if none of
    /// it is shown.
    pub fn cursor(&self) -> Option<String> {
        match self.shown.last() {
            Some(last) if self.has_older => Some(cursor_after(&last.transaction.read_untracked())),
            Some(_) => None,
            None => self.next_cursor.clone(),
        }
    }

    /// The number of transactions that wait to be shown, at most the length of the list.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Changes after every thousand rows that were added, and never while the list is frozen.
    pub fn generation(&self) -> usize {
        self.shown_in_total / 1_000
    }

    /// Applies changes. Shown rows change in place; while the list is `frozen`, none is added or
    /// removed. Returns whether the list itself changed, and not only its rows.
    pub fn apply(&mut self, changed: &[Transaction], frozen: bool) -> bool {
        let before = self.waiting.len();
        for latest in changed {
            let id = latest.transaction_id;
            if let Some(row) = self.shown.iter().find(|row| row.id == id) {
                row.set(latest);
                continue;
            }
            self.waiting.retain(|one| one.transaction_id != id);
            if self.is_first_page && self.matches_filter(latest) && self.fits_page(latest) {
                self.waiting.push(latest.clone());
            }
        }
        self.waiting.sort_unstable_by_key(|one| Reverse(sort_key(one)));
        self.waiting.truncate(self.length);
        let moved = !frozen && self.show_waiting();
        moved || self.waiting.len() != before
    }

    /// Shows the waiting transactions, and removes those that have left `status`. Returns whether
    /// that changed anything.
    pub fn show_waiting(&mut self) -> bool {
        if !self.is_first_page {
            return false;
        }
        let before = self.shown.len();
        let status = self.status;
        self.shown.retain(|row| matches_filter(status, &row.transaction.read_untracked()));
        let changed = self.shown.len() != before || !self.waiting.is_empty();
        self.shown_in_total += self.waiting.len();
        self.shown.extend(self.waiting.drain(..).map(Row::new));
        self.shown.sort_by_key(|row| Reverse(row.sort_key()));
        self.has_older |= self.shown.len() > self.length;
        self.shown.truncate(self.length);
        changed
    }

    /// Applies a reload of the same page. A frozen list is updated in place, not replaced. Returns
    /// whether the list itself changed.
    pub fn reload(&mut self, page: Page, frozen: bool) -> bool {
        let changed = self.unreadable != page.unreadable;
        self.unreadable = page.unreadable;
        self.next_cursor = page.next_cursor;
        if frozen && self.is_first_page {
            return self.apply(&page.data, frozen) || changed;
        }
        let row = |latest: Transaction| {
            let shown = self.shown.iter().find(|row| row.id == latest.transaction_id);
            match shown {
                Some(row) => {
                    row.set(&latest);
                    row.clone()
                }
                None => Row::new(latest),
            }
        };
        let rows: Vec<_> = page.data.into_iter().map(row).collect();
        let same = rows.iter().map(|row| row.id).eq(self.shown.iter().map(|row| row.id));
        let changed = changed || !same || !self.waiting.is_empty();
        self.shown = rows;
        self.waiting.clear();
        self.has_older = self.next_cursor.is_some();
        changed
    }

    fn matches_filter(&self, transaction: &Transaction) -> bool {
        matches_filter(self.status, transaction)
    }

    /// Whether the transaction is new enough for this page.
    fn fits_page(&self, transaction: &Transaction) -> bool {
        !self.has_older
            || self.shown.last().is_none_or(|oldest| sort_key(transaction) > oldest.sort_key())
    }
}

type SortKey = (DateTime<Utc>, Uuid);

/// The sort key of the list, the same as in the engine.
fn sort_key(transaction: &Transaction) -> SortKey {
    (transaction.submitted_at, transaction.transaction_id)
}

fn matches_filter(status: Option<State>, transaction: &Transaction) -> bool {
    status.is_none_or(|status| status == transaction.status)
}

#[cfg(test)]
mod tests;
