//! What the page keeps of the change feed, and who listens to it.

use std::sync::Arc;

use domain::{Counts, PostingStatus, Transaction};
use leptos::prelude::*;

/// How current the page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Not hydrated yet, or connecting for the first time.
    Unopened,
    /// Changes arrive as they happen.
    Open,
    /// Changes are being missed until it is open again.
    Lost,
}

/// What the feed tells those who listen to it.
#[derive(Debug, Clone, Copy)]
pub enum FeedEvent<'a> {
    /// It is open, for the first time or again: whatever happened before was missed.
    Opened,
    /// These transactions changed, each in its latest version.
    Changed(&'a [Transaction]),
}

type Listener = Arc<dyn Fn(FeedEvent<'_>) + Send + Sync>;

/// The page's end of the feed.
#[derive(Clone, Copy)]
pub struct LiveFeed {
    pub(super) connection: RwSignal<Connection>,
    pub(super) counts: RwSignal<Option<Counts>>,
    posting: RwSignal<Option<PostingStatus>>,
    listeners: StoredValue<Vec<Listener>>,
}

impl LiveFeed {
    pub(super) fn new() -> Self {
        Self {
            connection: RwSignal::new(Connection::Unopened),
            counts: RwSignal::new(None),
            posting: RwSignal::new(None),
            listeners: StoredValue::default(),
        }
    }

    /// Whether changes arrive.
    pub fn connection(self) -> Connection {
        self.connection.get()
    }

    /// The latest counts that arrived; `None` before the first.
    pub fn counts(self) -> Option<Counts> {
        self.counts.get()
    }

    /// How posting as a whole stood last; `None` before that arrived first.
    pub fn posting(self) -> Option<PostingStatus> {
        self.posting.get()
    }

    /// Takes up how posting stands from elsewhere, until the feed tells more.
    pub fn set_posting(self, posting: PostingStatus) {
        self.posting.set(Some(posting));
    }

    /// Calls `listener` with all news, until the scope that this is called in ends.
    pub fn listen(self, listener: impl Fn(FeedEvent<'_>) + Send + Sync + 'static) {
        let listener: Listener = Arc::new(listener);
        // Who comes later than the opening has missed it.
        if self.connection.get_untracked() == Connection::Open {
            listener(FeedEvent::Opened);
        }
        let ours = Arc::clone(&listener);
        self.listeners.update_value(|all| all.push(listener));
        on_cleanup(move || {
            self.listeners.try_update_value(|all| all.retain(|one| !Arc::ptr_eq(one, &ours)));
        });
    }

    pub(super) fn notify(self, event: FeedEvent<'_>) {
        // A listener may add or remove others.
        for listener in self.listeners.get_value() {
            listener(event);
        }
    }
}
