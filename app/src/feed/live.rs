//! The change feed: one EventSource for the whole page, from hydration on.

use std::{sync::Arc, time::Duration};

use domain::{Counts, PostingStatus, Transaction};
use leptos::{logging, prelude::*};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent, VisibilityState};

/// Where the server sends its events.
const STREAM: &str = "/api/stream";
/// How long to wait before asking again where the browser has given up: it tries again itself after
/// a broken connection, but not after an answer that is no stream, such as a proxy's 502.
const ASK_AGAIN: Duration = Duration::from_secs(3);

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
pub enum News<'a> {
    /// It is open, for the first time or again: whatever happened before was missed.
    Opened,
    /// These transactions changed, each in its latest version.
    Changed(&'a [Transaction]),
}

type Listener = Arc<dyn Fn(News<'_>) + Send + Sync>;

/// The page's end of the feed.
#[derive(Clone, Copy)]
pub struct Live {
    connection: RwSignal<Connection>,
    counts: RwSignal<Option<Counts>>,
    posting: RwSignal<Option<PostingStatus>>,
    listeners: StoredValue<Vec<Listener>>,
}

impl Live {
    /// Provides the feed to everything on the page, and opens it once that is hydrated.
    pub fn provide() {
        let live = Self {
            connection: RwSignal::new(Connection::Unopened),
            counts: RwSignal::new(None),
            posting: RwSignal::new(None),
            listeners: StoredValue::default(),
        };
        provide_context(live);
        Effect::new(move |_| {
            let feed = Feed { live, stream: StoredValue::new_local(None) };
            feed.follow_visibility();
            window_event_listener_untyped("visibilitychange", move |_| feed.follow_visibility());
        });
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
    pub fn listen(self, listener: impl Fn(News<'_>) + Send + Sync + 'static) {
        let listener: Listener = Arc::new(listener);
        // Who comes later than the opening has missed it.
        if self.connection.get_untracked() == Connection::Open {
            listener(News::Opened);
        }
        let ours = Arc::clone(&listener);
        self.listeners.update_value(|all| all.push(listener));
        on_cleanup(move || {
            self.listeners.try_update_value(|all| all.retain(|one| !Arc::ptr_eq(one, &ours)));
        });
    }

    fn tell(self, news: News<'_>) {
        // A listener may add or remove others.
        for listener in self.listeners.get_value() {
            listener(news);
        }
    }
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
