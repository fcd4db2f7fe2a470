//! Which transactions a live list shows, and which wait to be shown. Knows nothing of the page.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use domain::{Page, State, Transaction};
use leptos::prelude::*;
use uuid::Uuid;

/// A transaction in the list. It keeps its signal for as long as it is shown, so that a change
/// renders anew what changed and nothing else.
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

    fn age(&self) -> Age {
        age(&self.transaction.read_untracked())
    }
}

/// A list, newest first, of at most `length` transactions.
#[derive(Debug, Clone)]
pub struct Rows {
    status: Option<State>,
    length: usize,
    /// Whether transactions come and go. On an older page they stay and only change.
    moving: bool,
    shown: Vec<Row>,
    waiting: Vec<Transaction>,
    older: bool,
    /// How many have come to be shown, ever.
    entered: usize,
}

impl Rows {
    /// A list of those in `status` that begins with a page from the server. `moving` where that is
    /// the first page.
    pub fn new(status: Option<State>, length: usize, moving: bool, page: Page) -> Self {
        Self {
            status,
            length,
            moving,
            older: page.next_cursor.is_some(),
            shown: page.data.into_iter().map(Row::new).collect(),
            waiting: Vec::new(),
            entered: 0,
        }
    }

    /// What is shown, newest first.
    pub fn shown(&self) -> &[Row] {
        &self.shown
    }

    /// How many wait to be shown. More than fit are not kept.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Changes after every thousand that came to be shown, and never while the list is held.
    pub fn generation(&self) -> usize {
        self.entered / 1_000
    }

    /// Whether the server has older ones than those shown.
    pub fn older(&self) -> bool {
        self.older
    }

    /// Takes up changes. Rows that are shown change in place; none comes or goes while the list is
    /// `held`. Tells whether the list as such changed, and not only its rows.
    pub fn apply(&mut self, changed: &[Transaction], held: bool) -> bool {
        let before = self.waiting.len();
        for latest in changed {
            let id = latest.transaction_id;
            if let Some(row) = self.shown.iter().find(|row| row.id == id) {
                row.set(latest);
                continue;
            }
            self.waiting.retain(|one| one.transaction_id != id);
            if self.moving && self.belongs(latest) && self.reaches(latest) {
                self.waiting.push(latest.clone());
            }
        }
        self.waiting.sort_unstable_by_key(|one| Reverse(age(one)));
        self.waiting.truncate(self.length);
        let moved = !held && self.release();
        moved || self.waiting.len() != before
    }

    /// Shows what waits, and shows no longer what has left `status`. Tells whether that changed
    /// anything.
    pub fn release(&mut self) -> bool {
        if !self.moving {
            return false;
        }
        let before = self.shown.len();
        let status = self.status;
        self.shown.retain(|row| belongs(status, &row.transaction.read_untracked()));
        let changed = self.shown.len() != before || !self.waiting.is_empty();
        self.entered += self.waiting.len();
        self.shown.extend(self.waiting.drain(..).map(Row::new));
        self.shown.sort_by_key(|row| Reverse(row.age()));
        self.older |= self.shown.len() > self.length;
        self.shown.truncate(self.length);
        changed
    }

    /// Takes up the same page read anew. What is held is not exchanged, only brought up to date.
    /// Tells whether the list as such changed.
    pub fn reread(&mut self, page: Page, held: bool) -> bool {
        if held && self.moving {
            return self.apply(&page.data, held);
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
        let changed = !same || !self.waiting.is_empty();
        self.shown = rows;
        self.waiting.clear();
        self.older = page.next_cursor.is_some();
        changed
    }

    fn belongs(&self, transaction: &Transaction) -> bool {
        belongs(self.status, transaction)
    }

    /// Whether it is young enough for this page.
    fn reaches(&self, transaction: &Transaction) -> bool {
        !self.older || self.shown.last().is_none_or(|oldest| age(transaction) > oldest.age())
    }
}

type Age = (DateTime<Utc>, Uuid);

/// What the list is sorted by, as the engine does.
fn age(transaction: &Transaction) -> Age {
    (transaction.submitted_at, transaction.transaction_id)
}

fn belongs(status: Option<State>, transaction: &Transaction) -> bool {
    status.is_none_or(|status| status == transaction.status)
}

#[cfg(test)]
mod tests;
