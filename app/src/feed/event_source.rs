//! The browser's connection to the change feed: one EventSource for the whole page.

use std::time::Duration;

use domain::Transaction;
use leptos::{logging, prelude::*};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent, VisibilityState};

use crate::{
    components::address::address,
    feed::live_feed::{Connection, FeedEvent, LiveFeed},
};

/// The path of the server's event stream.
const STREAM_PATH: &str = "/api/stream";
/// How long to wait before reconnecting when the browser has given up. The browser reconnects by
/// itself after a broken connection, but not after a response that is not a stream, such as a
/// proxy's 502.
const RECONNECT_DELAY: Duration = Duration::from_secs(3);

/// Opens the connection, and keeps it open while the page is visible.
pub(super) fn follow(feed: LiveFeed) {
    let connection = FeedConnection { feed, stream: StoredValue::new_local(None) };
    connection.follow_visibility();
    window_event_listener_untyped("visibilitychange", move |_| connection.follow_visibility());
}

/// The connection; it exists only in the browser. The server renders a page on one thread and may
/// drop it on another, which JavaScript values do not allow.
#[derive(Clone, Copy)]
struct FeedConnection {
    feed: LiveFeed,
    stream: StoredValue<Option<Stream>, LocalStorage>,
}

impl FeedConnection {
    /// Closes the connection while the page is hidden. With HTTP/1.1, a browser opens at most six
    /// connections to a host, and six tabs in the background must not use them up.
    fn follow_visibility(self) {
        if document().visibility_state() == VisibilityState::Hidden {
            self.stream.set_value(None);
        } else if self.stream.with_value(Option::is_none) {
            self.stream.set_value(Stream::open(self));
        }
    }

    fn opened(self) {
        self.feed.connection.set(Connection::Open);
        self.feed.notify(FeedEvent::Opened);
    }

    fn lost(self, given_up: bool) {
        self.feed.connection.set(Connection::Lost);
        if given_up {
            self.stream.set_value(None);
            set_timeout(move || self.follow_visibility(), RECONNECT_DELAY);
        }
    }
}

/// An open EventSource with its callbacks. Closed when dropped.
struct Stream {
    source: EventSource,
    _callbacks: [Closure<dyn Fn(Event)>; 7],
}

impl Stream {
    fn open(connection: FeedConnection) -> Option<Self> {
        let source = EventSource::new(&address(STREAM_PATH)).ok()?;
        let on = |name: &str, callback: Box<dyn Fn(Event)>| {
            let callback = Closure::wrap(callback);
            source
                .add_event_listener_with_callback(name, callback.as_ref().unchecked_ref())
                .ok()?;
            Some(callback)
        };
        let callbacks = [
            on("open", Box::new(move |_| connection.opened()))?,
            on(
                "error",
                Box::new(move |event| {
                    let source = event.target().map(JsCast::unchecked_into::<EventSource>);
                    let closed = |source: EventSource| source.ready_state() == EventSource::CLOSED;
                    connection.lost(source.is_none_or(closed));
                }),
            )?,
            on(
                "transactions",
                Box::new(move |event| {
                    if let Some(batch) = parse::<Vec<Transaction>>(&event) {
                        connection.feed.notify(FeedEvent::Changed(&batch));
                    }
                }),
            )?,
            // What can be shown of them is in the page.
            on("unreadable", Box::new(move |_| connection.feed.notify(FeedEvent::Gap)))?,
            on("gap", Box::new(move |_| connection.feed.notify(FeedEvent::Gap)))?,
            on(
                "counts",
                Box::new(move |event| {
                    if let Some(counts) = parse(&event) {
                        connection.feed.counts.set(Some(counts));
                    }
                }),
            )?,
            on(
                "posting",
                Box::new(move |event| {
                    if let Some(posting) = parse(&event) {
                        connection.feed.set_posting(posting);
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

/// Parses the data of an event. It is unreadable if a newer server sends to an older page; the page
/// then keeps what it shows.
fn parse<T: DeserializeOwned>(event: &Event) -> Option<T> {
    let data = event.unchecked_ref::<MessageEvent>().data().as_string()?;
    serde_json::from_str(&data)
        .inspect_err(|error| logging::error!("unreadable event: {error}"))
        .ok()
}
