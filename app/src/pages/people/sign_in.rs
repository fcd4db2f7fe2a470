//! Signing in, and setting a password with a one-time link.

use leptos::prelude::*;

use super::document::{Frame, field};
use crate::components::address::address;

/// The page to sign in.
#[derive(Debug, Clone, Default)]
pub struct SignIn {
    /// The name that was typed, if the page is shown again.
    pub name: String,
    /// Where to go afterwards.
    pub next: String,
}

impl SignIn {
    /// Its document.
    pub fn document(self, frame: Frame) -> String {
        let Self { name, next } = self;
        let form = view! {
            <form method="post" action=address("/sign-in") class="card people-form">
                <input type="hidden" name="next" value=next/>
                <p class="field">
                    <label for="name">"Name"</label>
                    <input
                        class="control"
                        id="name"
                        name="name"
                        value=name
                        autocomplete="username"
                        autocapitalize="none"
                        spellcheck="false"
                        required
                        autofocus
                    />
                </p>
                {field("password", "Password", "password", "current-password", None, true)}
                {field(
                    "code",
                    "Code",
                    "text",
                    "one-time-code",
                    Some("Only with an authenticator app: its six digits, or a recovery code."),
                    false,
                )}
                <p><button class="button">"Sign in"</button></p>
            </form>
        };
        frame.document("Sign in", form)
    }
}

/// The page to which a one-time link leads.
#[derive(Clone)]
pub struct SetPassword {
    /// Whose password it sets, and the link's token; `None` if the link is not valid.
    pub owner: Option<(String, String)>,
}

impl SetPassword {
    /// Its document.
    pub fn document(self, frame: Frame) -> String {
        let content = match self.owner {
            None => view! {
                <p>
                    "This link is not valid, or no longer. An administrator can make a new one, also by "
                    <code>"onceward user reset-password"</code> "."
                </p>
            }
            .into_any(),
            Some((user, token)) => view! {
                <form method="post" action=address("/set-password") class="card people-form">
                    <input type="hidden" name="token" value=token/>
                    <p class="field">
                        <label for="name">"Name"</label>
                        // A password manager stores it with the password.
                        <input class="control" id="name" name="name" value=user autocomplete="username" readonly/>
                    </p>
                    {new_password()}
                    <p><button class="button">"Set the password"</button></p>
                </form>
            }
            .into_any(),
        };
        frame.document("Set a password", content)
    }
}

/// The field of a new password.
pub(super) fn new_password() -> AnyView {
    let hint =
        "12 characters or more. A few words that are not common are better than signs and digits.";
    field("new-password", "New password", "password", "new-password", Some(hint), true)
}
