//! The users, for administrators.

use chrono::{DateTime, Utc};
use domain::Role;
use leptos::prelude::*;

use super::document::{Frame, time};
use crate::components::address::address;

/// The page of the users. Not shown by Debug: it may have a link.
#[derive(Clone)]
pub struct Users {
    /// Every user, by name.
    pub users: Vec<UserRow>,
    /// A link that was just made, and for whom: it is shown once.
    pub new_link: Option<(String, String)>,
}

/// A user in the list.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether it has a password.
    pub has_password: bool,
    /// Whether it has an authenticator app.
    pub has_totp: bool,
    /// How many sessions it has.
    pub sessions: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Whether it is disabled.
    pub is_disabled: bool,
}

impl Users {
    /// Its document.
    pub fn document(self, frame: Frame) -> String {
        let Self { users, new_link } = self;
        let content = view! {
            {new_link.map(|(user, link)| {
                view! {
                    <section class="card people-section" aria-labelledby="link-heading">
                        <h2 id="link-heading" class="section-heading">{format!("A link for {user}")}</h2>
                        <p>
                            "With it, " {user} " sets a password, once and within 24 hours. "
                            <strong>"It is not shown again."</strong>
                        </p>
                        <code class="code">{link}</code>
                    </section>
                }
            })}
            <section class="people-section" aria-label="Users">{table(users)}</section>
            <section class="card people-section" aria-labelledby="create-heading">
                <h2 id="create-heading" class="section-heading">"Create a user"</h2>
                <form method="post" action=address("/users") class="people-form">
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
                            "Small letters, digits and . _ @ -. It stays for ever: transactions keep it."
                        </span>
                    </p>
                    <p class="field">
                        <label for="role">"Role"</label>
                        {roles("role", Role::Viewer, "control", None)}
                    </p>
                    <p><button class="button">"Create, and make a link"</button></p>
                </form>
            </section>
        };
        frame.document("Users", content)
    }
}

/// A field to choose a role.
pub(super) fn roles(
    id: &'static str,
    chosen: Role,
    class: &'static str,
    label: Option<String>,
) -> impl IntoView {
    let options = Role::ALL.into_iter().map(move |role| {
        view! { <option value=role.as_str() selected={role == chosen}>{role.as_str()}</option> }
    });
    let id = label.is_none().then_some(id);
    view! { <select class=class id=id name="role" aria-label=label>{options.collect_view()}</select> }
}

fn table(users: Vec<UserRow>) -> impl IntoView {
    view! {
        <div class="people-table" role="region" aria-label="Users" tabindex="0">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col">"Signs in with"</th>
                        <th scope="col">"Sessions"</th>
                        <th scope="col">"Created"</th>
                        <th scope="col"><span class="sr-only">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>{users.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

fn row(user: UserRow) -> impl IntoView {
    let UserRow { name, role, has_password, has_totp, sessions, created_at, is_disabled } = user;
    let factors = match (is_disabled, has_password, has_totp) {
        (true, ..) => "disabled",
        (_, false, _) => "no password yet",
        (_, true, false) => "password",
        (_, true, true) => "password and app",
    };
    let path = |action: &str| address(&format!("/users/{name}/{action}"));
    let (other, able) = if is_disabled { ("enable", "Enable") } else { ("disable", "Disable") };
    view! {
        <tr>
            <th scope="row" class="font-medium">{name.clone()}</th>
            <td>
                <form method="post" action=path("role") class="flex gap-2">
                    {roles("", role, "people-select", Some(format!("Role of {name}")))}
                    <button class="button-quiet">"Change"</button>
                </form>
            </td>
            <td>{factors}</td>
            <td>{sessions}</td>
            <td>{time(created_at)}</td>
            <td>
                <form method="post" action=path("change") class="flex gap-2">
                    <button class="button-quiet" name="change" value="link">"Reset password"</button>
                    {has_totp
                        .then(|| {
                            view! {
                                <button class="button-quiet" name="change" value="remove-totp">
                                    "Remove app"
                                </button>
                            }
                        })}
                    <button class="button-quiet" name="change" value="end-sessions">"End sessions"</button>
                    <button class="button-quiet" name="change" value=other>{able}</button>
                </form>
            </td>
        </tr>
    }
}
