//! The browser's connection to the change feed: one EventSource for the whole page.

use std::time::Duration;

use domain::Transaction;
use leptos::{logging, prelude::*};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent, VisibilityState};

use crate::feed::live_feed::{Connection, Live, News};

/// Where the server sends its events.
const STREAM: &str = "/api/stream";
/// How long to wait before asking again where the browser has given up: it tries again itself after
/// a broken connection, but not after an answer that is no stream, such as a proxy's 502.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// Opens the feed and keeps it open while the page is visible.
pub(super) fn follow(live: Live) {
    let feed = Feed { live, stream: StoredValue::new_local(None) };
    feed.follow_visibility();
    window_event_listener_untyped("visibilitychange", move |_| feed.follow_visibility());
}

/// The feed in the browser. The server has none of it: there a page is rendered on one thread and
/// dropped on another, and nothing of JavaScript's may be.
#[derive(Clone, Copy)]
struct Feed {
    live: Live,
    stream: StoredValue<Option<Stream>, LocalStorage>,
}

impl Feed {
    /// A page that nobody sees needs no feed. HTTP/1.1 gives a browser six connections to a host,
    /// and six tabs in the background must not use them up.
    fn follow_visibility(self) {
        if document().visibility_state() == VisibilityState::Hidden {
            self.stream.set_value(None);
        } else if self.stream.with_value(Option::is_none) {
            self.stream.set_value(Stream::open(self));
        }
    }

    fn opened(self) {
        self.live.connection.set(Connection::Open);
        self.live.tell(News::Opened);
    }

    fn lost(self, given_up: bool) {
        self.live.connection.set(Connection::Lost);
        if given_up {
            self.stream.set_value(None);
            set_timeout(move || self.follow_visibility(), ASK_AGAIN);
        }
    }
}

/// An open EventSource with what it calls; closed when it is dropped.
struct Stream {
    source: EventSource,
    _callbacks: [Closure<dyn Fn(Event)>; 5],
}

impl Stream {
    fn open(feed: Feed) -> Option<Self> {
        let source = EventSource::new(STREAM).ok()?;
        let on = |name: &str, callback: Box<dyn Fn(Event)>| {
            let callback = Closure::wrap(callback);
            source
                .add_event_listener_with_callback(name, callback.as_ref().unchecked_ref())
                .ok()?;
            Some(callback)
        };
        let callbacks = [
            on("open", Box::new(move |_| feed.opened()))?,
            on(
                "error",
                Box::new(move |event| {
                    let source = event.target().map(JsCast::unchecked_into::<EventSource>);
                    let closed = |source: EventSource| source.ready_state() == EventSource::CLOSED;
                    feed.lost(source.is_none_or(closed));
                }),
            )?,
            on(
                "transactions",
                Box::new(move |event| {
                    if let Some(batch) = read::<Vec<Transaction>>(&event) {
                        feed.live.tell(News::Changed(&batch));
                    }
                }),
            )?,
            on(
                "counts",
                Box::new(move |event| {
                    if let Some(counts) = read(&event) {
                        feed.live.counts.set(Some(counts));
                    }
                }),
            )?,
            on(
                "posting",
                Box::new(move |event| {
                    if let Some(posting) = read(&event) {
                        feed.live.set_posting(posting);
                    }
                }),
            )?,
        ];
        Some(Self { source, _callbacks: callbacks })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.close();
    }
}

/// What an event carries. Unreadable where a newer server sends to an older page; what is shown
/// then stays as it is.
fn read<T: DeserializeOwned>(event: &Event) -> Option<T> {
    let data = event.unchecked_ref::<MessageEvent>().data().as_string()?;
    serde_json::from_str(&data)
        .inspect_err(|error| logging::error!("unreadable event: {error}"))
        .ok()
}
