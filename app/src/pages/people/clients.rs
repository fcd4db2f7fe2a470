//! The clients, which are the accounts of programs, and their keys; for administrators.

use chrono::{DateTime, Utc};
use domain::Role;
use leptos::prelude::*;

use super::{
    document::{Frame, time},
    users::roles,
};
use crate::components::address::address;

/// The page of the clients. Not shown by Debug: it may have a key.
#[derive(Clone)]
pub struct Clients {
    /// Every client, by name.
    pub clients: Vec<ClientRow>,
    /// A key that was just made, and for whom: it is shown once.
    pub new_key: Option<(String, String)>,
}

/// A client, with its keys.
#[derive(Debug, Clone)]
pub struct ClientRow {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether it is disabled.
    pub is_disabled: bool,
    /// Its keys, the newest first.
    pub keys: Vec<KeyRow>,
}

/// A key of a client.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// The public part.
    pub id: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whether it is revoked.
    pub is_revoked: bool,
}

impl Clients {
    /// Its document.
    pub fn document(self, frame: Frame) -> String {
        let Self { clients, new_key } = self;
        let content = view! {
            {new_key
                .map(|(client, key)| {
                    view! {
                        <section class="card people-section" aria-labelledby="key-heading">
                            <h2 id="key-heading" class="section-heading">{format!("A key of {client}")}</h2>
                            <p>
                                "The program sends it in the header Authorization, after Bearer. "
                                <strong>"It is not shown again."</strong>
                            </p>
                            <code class="code">{key}</code>
                        </section>
                    }
                })}
            {clients.into_iter().map(client).collect_view()}
            <section class="card people-section" aria-labelledby="create-heading">
                <h2 id="create-heading" class="section-heading">"Create a client"</h2>
                <form method="post" action=address("/clients") class="people-form">
                    <p class="field">
                        <label for="name">"Name"</label>
                        <input
                            class="control"
                            id="name"
                            name="name"
                            autocomplete="off"
                            autocapitalize="none"
                            spellcheck="false"
                            required
                        />
                        <span class="people-hint">
                            "Small letters, digits and . _ @ -. It stays for ever: it is the principal of what the client submits."
                        </span>
                    </p>
                    <p class="field">
                        <label for="role">"Role"</label>
                        {roles("role", Role::Submitter, "control", None)}
                    </p>
                    <p><button class="button">"Create"</button></p>
                </form>
            </section>
        };
        frame.document("Clients and keys", content)
    }
}

fn client(client: ClientRow) -> impl IntoView {
    let ClientRow { name, role, is_disabled, keys } = client;
    let path = |action: &str| address(&format!("/clients/{name}/{action}"));
    let (other, able) = if is_disabled { ("enable", "Enable") } else { ("disable", "Disable") };
    let heading = format!("client-{name}");
    let labelled_by = heading.clone();
    view! {
        <section class="card people-section" aria-labelledby=labelled_by>
            <h2 id=heading class="section-heading">
                {name.clone()} {is_disabled.then_some(" (disabled)")}
            </h2>
            <div class="people-actions">
                <form method="post" action=path("role") class="flex gap-2">
                    {roles("", role, "people-select", Some(format!("Role of {name}")))}
                    <button class="button-quiet">"Change role"</button>
                </form>
                <form method="post" action=path("keys") class="flex gap-2">
                    <select class="people-select" name="days" aria-label=format!("Lifetime of a key of {name}")>
                        <option value="90">"for 90 days"</option>
                        <option value="365">"for a year"</option>
                        <option value="">"for ever"</option>
                    </select>
                    <button class="button-quiet">"Create a key"</button>
                </form>
                <form method="post" action=path("change")>
                    <button class="button-quiet" name="change" value=other>{able}</button>
                </form>
            </div>
            {(!keys.is_empty()).then(|| key_table(keys, path(""), format!("Keys of {name}")))}
        </section>
    }
}

fn key_table(keys: Vec<KeyRow>, path: String, label: String) -> impl IntoView {
    let or_never = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".into_any(), time);
    let rows = keys.into_iter().map(move |key| {
        let end = match key.is_revoked {
            true => "revoked".into_any(),
            false => view! {
                <form method="post" action=format!("{path}keys/{}/revoke", key.id)>
                    <button class="button-quiet">"Revoke"</button>
                </form>
            }
            .into_any(),
        };
        view! {
            <tr>
                <th scope="row"><code>{format!("ow_{}_…", key.id)}</code></th>
                <td>{time(key.created_at)}</td>
                <td>{or_never(key.expires_at)}</td>
                <td>{or_never(key.last_used_at)}</td>
                <td>{end}</td>
            </tr>
        }
    });
    view! {
        <div class="people-table" role="region" aria-label=label tabindex="0">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Key"</th>
                        <th scope="col">"Created"</th>
                        <th scope="col">"Expires"</th>
                        <th scope="col">"Last used"</th>
                        <th scope="col"><span class="sr-only">"Revoke"</span></th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
