//! The current time on the page.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use leptos::{prelude::*, reactive::graph::Source};
use web_sys::js_sys;

/// The server's time: the time of rendering, and after hydration updated every second.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now: RwSignal<DateTime<Utc>>,
}

impl Clock {
    /// Starts at the time when the server rendered the page.
    pub fn provide(rendered_at: DateTime<Utc>) {
        let now = RwSignal::new(rendered_at);
        provide_context(Self { now });
        Effect::new(move |_| {
            // The browser's clock may be wrong, and "in 3 s" refers to the server's clock. The
            // server rendered the page just after the browser had started the request.
            let requested_at = window().performance().map(|performance| performance.time_origin());
            let skew =
                requested_at.and_then(from_millis).map(|requested_at| rendered_at - requested_at);
            let skew = skew.unwrap_or(TimeDelta::zero());
            let tick = move || {
                if let Some(local) = from_millis(js_sys::Date::now()) {
                    now.set(local + skew);
                    // All subscribers are notified by now, and subscribe again when they read the
                    // clock. Without this, removed rows would stay in memory for ever: a signal of
                    // Leptos 0.8 never forgets a subscriber that was dropped.
                    now.clear_subscribers();
                }
            };
            tick();
            set_interval(tick, Duration::from_secs(1));
        });
    }

    /// The current time. Reading it in a reactive scope subscribes to it.
    pub fn now(self) -> DateTime<Utc> {
        self.now.get()
    }
}

fn from_millis(millis: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis as i64)
}
