//! The document around a page that has no script, and what several of these pages use.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::components::{address::address, time_format};

/// What surrounds a page.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The path of the style sheet.
    pub styles: String,
    /// Who is signed in.
    pub signed_in: Option<SignedInAs>,
    /// The address of the simulated posting service, if it runs in this process.
    pub simulator: Option<String>,
    /// What has just been done.
    pub done: Option<&'static str>,
    /// Why it has not been done.
    pub error: Option<String>,
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct SignedInAs {
    /// The user's name.
    pub name: String,
    /// The user's role.
    pub role: &'static str,
    /// Whether the user manages users and clients.
    pub administers: bool,
}

impl Frame {
    /// The whole document.
    pub(in crate::pages) fn document(self, title: &str, content: impl IntoAny) -> String {
        let Self { styles, signed_in, simulator, done, error } = self;
        let header = signed_in.map(navigation);
        let page = view! {
            <html lang="en">
                <head>
                    <meta charset="utf-8"/>
                    <meta name="viewport" content="width=device-width, initial-scale=1"/>
                    <meta name="color-scheme" content="light dark"/>
                    <link rel="icon" href=address("/favicon.svg") type="image/svg+xml"/>
                    <link rel="stylesheet" href=address(&styles)/>
                    <title>{format!("{title} · Onceward")}</title>
                </head>
                <body>
                    <a class="skip-link" href="#main">"Skip to the content"</a>
                    <header>
                        <a class="brand" href=address("/")>"Onceward"</a>
                        {header}
                        {simulator
                            .map(|address| {
                                view! {
                                    <p role="note" class="notice">
                                        <strong>"Simulated posting service."</strong>
                                        " Transactions go to a deliberately unreliable simulator on "
                                        <code>{address}</code>
                                        "; no money moves."
                                    </p>
                                }
                            })}
                    </header>
                    <main id="main" tabindex="-1">
                        <h1 class="page-heading">{title.to_owned()}</h1>
                        {done.map(|done| view! { <p role="status" class="people-done">{done}</p> })}
                        {error.map(|error| view! { <p role="alert" class="people-error">{error}</p> })}
                        {content.into_any()}
                    </main>
                </body>
            </html>
        };
        format!("<!DOCTYPE html>{}", page.to_html())
    }
}

fn navigation(who: SignedInAs) -> impl IntoView {
    let SignedInAs { name, role, administers } = who;
    view! {
        <nav class="people-navigation" aria-label="Pages">
            <a class="link" href=address("/")>"Transactions"</a>
            <a class="link" href=address("/account")>"Your account"</a>
            {administers
                .then(|| {
                    view! {
                        <a class="link" href=address("/users")>"Users"</a>
                        <a class="link" href=address("/clients")>"Clients and keys"</a>
                    }
                })}
        </nav>
        <form method="post" action=address("/sign-out") class="people-sign-out">
            <span class="text-muted">{format!("{name}, {role}")}</span>
            <button class="button-quiet">"Sign out"</button>
        </form>
    }
}

/// A labelled field of a form.
pub(super) fn field(
    id: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    hint: Option<&'static str>,
    required: bool,
) -> AnyView {
    let hint_id = hint.map(|_| format!("{id}-hint"));
    view! {
        <p class="field">
            <label for=id>{label}</label>
            <input
                class="control"
                id=id
                name=id
                type=kind
                autocomplete=autocomplete
                required=required
                aria-describedby=hint_id.clone()
            />
            {hint.map(|hint| view! { <span id=hint_id class="people-hint">{hint}</span> })}
        </p>
    }
    .into_any()
}

/// A point in time.
pub(super) fn time(at: DateTime<Utc>) -> AnyView {
    view! { <time datetime=time_format::datetime_attribute(at)>{time_format::absolute(at)}</time> }
        .into_any()
}
