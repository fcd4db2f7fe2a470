//! What a page must know about the server: its settings, its addresses and its time.

use chrono::{DateTime, Utc};
use domain::{Permission, Role};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::components::{
    address::{path_prefix, set_path_prefix},
    clock::Clock,
};

/// The settings that the pages need. The server puts them into the context of every page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The address of the simulated posting service, if it runs in this process.
    pub simulator: Option<String>,
    /// The maximum number of counted attempts per transaction.
    pub max_attempts: u32,
}

/// The address of Onceward that the page was requested from, such as `http://127.0.0.1:3000`, without a slash at its
/// end. Example commands on the page use it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin(pub String);

/// Who looks at the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// Whether it is a user, who has an account.
    pub has_account: bool,
    /// Its role.
    pub role: Option<Role>,
}

/// Whether the visitor has a permission. The page offers nothing else; the server decides again in any case.
pub fn may(permission: Permission) -> bool {
    let visitor = use_context::<Visitor>().unwrap_or_default();
    visitor.role.is_some_and(|role| role.may(permission))
}

#[derive(Serialize, Deserialize)]
struct PageContext {
    path_prefix: String,
    setting: Setting,
    origin: Origin,
    visitor: Visitor,
    rendered_at: DateTime<Utc>,
}

/// Sends the path prefix, the server's [`Setting`], [`Origin`] and time, and the [`Visitor`] to the browser, and
/// provides them as context to everything on the page.
pub fn provide_page_context() {
    let PageContext { path_prefix, setting, origin, visitor, rendered_at } =
        SharedValue::new(read_page_context).into_inner();
    provide_context(visitor);
    set_path_prefix(&path_prefix);
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
    let caller = parts.as_ref().and_then(|parts| parts.extensions.get::<domain::Caller>());
    PageContext {
        path_prefix: path_prefix().to_owned(),
        visitor: Visitor {
            has_account: caller
                .is_some_and(|caller| caller.actor.kind == domain::PrincipalKind::User),
            role: caller.map(|caller| caller.role),
        },
        // Absent only when the routes are listed at startup, where no page is shown.
        setting: use_context().unwrap_or_default(),
        origin: Origin(format!("{scheme}://{host}{}", path_prefix())),
        rendered_at: Utc::now(),
    }
}

/// Never called: the browser reads the context from the page that the server has rendered.
#[cfg(not(feature = "ssr"))]
fn read_page_context() -> PageContext {
    PageContext {
        path_prefix: path_prefix().to_owned(),
        setting: Setting::default(),
        origin: Origin::default(),
        visitor: Visitor::default(),
        rendered_at: DateTime::UNIX_EPOCH,
    }
}
