//! Live updates: the change feed that the server sends, and the state that the page keeps from it.
//!
//! How a page reacts to a change is in the page's folder.

mod event_source;
mod live_feed;

use leptos::prelude::*;

pub use live_feed::{Connection, FeedEvent, LiveFeed};

/// Provides the feed to everything on the page, and opens it once the page is hydrated.
pub fn provide_live_feed() {
    let feed = LiveFeed::new();
    provide_context(feed);
    Effect::new(move |_| event_source::follow(feed));
}
