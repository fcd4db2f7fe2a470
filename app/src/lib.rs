//! The dashboard: pages, components, server functions.
//!
//! The server renders every page completely, and the page works as plain HTML. The browser then
//! hydrates it from WASM, and from then on it follows the change feed. [`shell`] is the document,
//! [`App`] its content, and [`pages`] has the page at each address.

pub mod components;
pub mod feed;
pub mod pages;
pub mod server_functions;

use leptos::{html, prelude::*};
use leptos_meta::{MetaTags, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{FlatRoutes, Route, Router},
    hooks::use_location,
    path,
};

pub use crate::components::{
    address::{path_prefix, set_path_prefix},
    page_context::Setting,
};
#[cfg(feature = "ssr")]
pub use crate::server_functions::submit::submit_form;
pub use crate::server_functions::submit::{FormValues, SubmissionError};
use crate::{
    components::{address::address, header::Header, page_context::provide_page_context},
    feed::provide_live_feed,
    pages::{
        not_found::NotFoundPage, transaction::TransactionPage, transactions::TransactionsPage,
    },
};

/// The document around the [`App`]; only the server renders it.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let styles = address(&format!("/{}/{}.css", options.site_pkg_dir, options.output_name));
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href=address("/favicon.svg") type="image/svg+xml"/>
                <link rel="stylesheet" id="leptos" href=styles/>
                <AutoReload options=options.clone()/>
                <HydrationScripts options root=path_prefix()/>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// All pages, and what surrounds them.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    #[cfg(feature = "ssr")]
    components::address::provide_complete_address();
    provide_page_context();
    provide_live_feed();
    // With this, the router keeps the current page until the data of the next one has arrived.
    let (_, set_is_routing) = signal(false);
    view! {
        <Router base=path_prefix() set_is_routing>
            // `rel="external"` leaves it to the browser, which moves the focus; the router would
            // only scroll.
            <a class="skip-link" href="#main" rel="external">"Skip to the content"</a>
            <Header/>
            <Main/>
        </Router>
    }
}

#[component]
fn Main() -> impl IntoView {
    let main = NodeRef::<html::Main>::new();
    let path = use_location().pathname;
    // A new page takes the focus, so that a screen reader starts at its beginning.
    Effect::watch(
        move || path.get(),
        move |_, _, _| {
            main.get_untracked().map(|main| main.focus());
        },
        false,
    );
    view! {
        <main id="main" tabindex="-1" node_ref=main>
            <FlatRoutes fallback=|| view! { <NotFoundPage/> }>
                // Not streamed: the pages work without scripts, and their HTTP status is known.
                <Route path=path!("/") view=TransactionsPage ssr=SsrMode::Async/>
                <Route path=path!("/transactions/:id") view=TransactionPage ssr=SsrMode::Async/>
            </FlatRoutes>
        </main>
    }
}
