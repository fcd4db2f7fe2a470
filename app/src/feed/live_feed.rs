//! The latest state from the change feed, and its listeners.

use std::sync::Arc;

use domain::{Counts, PostingStatus, Transaction};
use leptos::prelude::*;

/// The state of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// The page is not hydrated yet, or it is connecting for the first time.
    Unopened,
    /// Changes arrive as they happen.
    Open,
    /// The connection is lost, and changes are missed until it is open again.
    Lost,
}

/// An event that listeners receive.
#[derive(Debug, Clone, Copy)]
pub enum FeedEvent<'a> {
    /// The connection has opened, for the first time or again. All earlier changes were missed.
    Opened,
    /// The page was so far behind that the server left changes out.
    Gap,
    /// These transactions changed, each in its latest version.
    Changed(&'a [Transaction]),
}

type Listener = Arc<dyn Fn(FeedEvent<'_>) + Send + Sync>;

/// The change feed on the page.
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

    /// The state of the connection.
    pub fn connection(self) -> Connection {
        self.connection.get()
    }

    /// The latest counts that arrived; `None` before the first.
    pub fn counts(self) -> Option<Counts> {
        self.counts.get()
    }

    /// The latest state of posting as a whole; `None` before the first arrived.
    pub fn posting(self) -> Option<PostingStatus> {
        self.posting.get()
    }

    /// Sets a state of posting that arrived by another way than the feed.
    pub fn set_posting(self, posting: PostingStatus) {
        self.posting.set(Some(posting));
    }

    /// Calls `listener` with every event until the caller's reactive scope ends.
    pub fn listen(self, listener: impl Fn(FeedEvent<'_>) + Send + Sync + 'static) {
        let listener: Listener = Arc::new(listener);
        // A listener that is added after the opening has missed that event.
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
        // On a copy, because a listener may add or remove others.
        for listener in self.listeners.get_value() {
            listener(event);
        }
    }
}
