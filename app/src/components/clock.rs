//! What time it is on the page.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use leptos::{prelude::*, reactive::graph::Source};
use web_sys::js_sys;

/// The server's time: as the page was rendered, and once it is hydrated, every second anew.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now: RwSignal<DateTime<Utc>>,
}

impl Clock {
    /// Starts at the time at which the server rendered the page.
    pub fn provide(rendered_at: DateTime<Utc>) {
        let now = RwSignal::new(rendered_at);
        provide_context(Self { now });
        Effect::new(move |_| {
            // The browser's clock may be wrong, and "in 3 s" is about the server's. The page was
            // rendered just after the browser began to ask for it.
            let asked_at = window().performance().map(|performance| performance.time_origin());
            let skew = asked_at.and_then(from_millis).map(|asked_at| rendered_at - asked_at);
            let skew = skew.unwrap_or(TimeDelta::zero());
            let tick = move || {
                if let Some(local) = from_millis(js_sys::Date::now()) {
                    now.set(local + skew);
                    // Whoever follows the clock has been told, and follows it again once it has
                    // looked. Rows that are gone would stay for ever: a signal of Leptos 0.8 never
                    // forgets a subscriber that was dropped.
                    now.clear_subscribers();
                }
            };
            tick();
            set_interval(tick, Duration::from_secs(1));
        });
    }

    /// The time; asking for it within a reactive scope follows it.
    pub fn now(self) -> DateTime<Utc> {
        self.now.get()
    }
}

fn from_millis(millis: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis as i64)
}
