//! Points in time on the page.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::components::{clock::Clock, time_format as time};

/// How long ago; the absolute time in its title.
#[component]
pub fn Ago(
    /// When.
    at: DateTime<Utc>,
) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let ago = Signal::derive(move || time::ago(at, clock.now()));
    view! {
        <time datetime=time::machine(at) title=time::absolute(at)>
            {ago}
        </time>
    }
}

/// The absolute time, to the millisecond.
#[component]
pub fn At(
    /// When.
    at: DateTime<Utc>,
) -> impl IntoView {
    view! { <time datetime=time::machine(at)>{time::absolute_millis(at)}</time> }
}

/// The time of day, to the millisecond, where the date stands above it; in the title it is whole.
#[component]
pub fn TimeOfDay(
    /// When.
    at: DateTime<Utc>,
) -> impl IntoView {
    view! {
        <time datetime=time::machine(at) title=time::absolute_millis(at)>
            {time::clock_millis(at)}
        </time>
    }
}
