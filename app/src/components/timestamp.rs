//! Points in time on the page.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::components::{clock::Clock, time_format};

/// How long ago; the absolute time is in its title.
#[component]
pub fn RelativeTime(
    /// The point in time.
    at: DateTime<Utc>,
) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let ago = Signal::derive(move || time_format::ago(at, clock.now()));
    view! {
        <time datetime=time_format::datetime_attribute(at) title=time_format::absolute(at)>
            {ago}
        </time>
    }
}

/// The absolute time, to the millisecond.
#[component]
pub fn AbsoluteTime(
    /// The point in time.
    at: DateTime<Utc>,
) -> impl IntoView {
    view! { <time datetime=time_format::datetime_attribute(at)>{time_format::absolute_millis(at)}</time> }
}

/// The time of day, to the millisecond, for a place below the full date; its title has both.
#[component]
pub fn TimeOfDay(
    /// The point in time.
    at: DateTime<Utc>,
) -> impl IntoView {
    view! {
        <time datetime=time_format::datetime_attribute(at) title=time_format::absolute_millis(at)>
            {time_format::time_of_day(at)}
        </time>
    }
}
