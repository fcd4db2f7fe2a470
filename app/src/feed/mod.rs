//! Live updates: the change feed that the server sends, and what of it the page keeps.
//!
//! What a page does with a change is in the page's folder.

mod event_source;
mod live_feed;

use leptos::prelude::*;

pub use live_feed::{Connection, Live, News};

/// Provides the feed to everything on the page, and opens it once that is hydrated.
pub fn provide_live() {
    let live = Live::new();
    provide_context(live);
    Effect::new(move |_| event_source::follow(live));
}
