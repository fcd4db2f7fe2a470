//! What a page must know of the program that serves it.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::components::clock::Clock;

/// What the program was told at its start. The server puts it into the context of every page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Where the simulated posting service listens, if it runs inside.
    pub simulator: Option<String>,
    /// How many counted attempts a transaction gets.
    pub max_attempts: u32,
}

/// Where the page was asked for, such as `http://127.0.0.1:3000`: what its example commands address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin(pub String);

#[derive(Serialize, Deserialize)]
struct PageContext {
    setting: Setting,
    origin: Origin,
    rendered_at: DateTime<Utc>,
}

/// Hands the server's [`Setting`], [`Origin`] and time on to the browser, and provides them as
/// context to everything on the page.
pub fn provide_page_context() {
    let PageContext { setting, origin, rendered_at } =
        SharedValue::new(read_page_context).into_inner();
    provide_context(setting);
    provide_context(origin);
    Clock::provide(rendered_at);
}

#[cfg(feature = "ssr")]
fn read_page_context() -> PageContext {
    use axum::http::{header::HOST, request::Parts};

    let parts = use_context::<Parts>();
    let header = |name| parts.as_ref()?.headers.get(name)?.to_str().ok();
    let host = header(HOST.as_str()).unwrap_or("127.0.0.1:3000");
    let scheme = if header("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    PageContext {
        // Absent only where the routes are listed at the start, and nothing is shown.
        setting: use_context().unwrap_or_default(),
        origin: Origin(format!("{scheme}://{host}")),
        rendered_at: Utc::now(),
    }
}

/// Never called: the browser hydrates what the server has rendered, and reads it from there.
#[cfg(not(feature = "ssr"))]
fn read_page_context() -> PageContext {
    PageContext {
        setting: Setting::default(),
        origin: Origin::default(),
        rendered_at: DateTime::UNIX_EPOCH,
    }
}
