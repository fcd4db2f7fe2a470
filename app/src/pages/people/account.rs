//! Your account: the password, the authenticator app, and the sessions.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use super::{
    document::{Frame, field, time},
    sign_in::new_password,
};
use crate::components::{address::address, outside_text::OutsideText};

/// The page of a user's own account. Not shown by Debug: it may have secrets.
#[derive(Clone)]
pub struct Account {
    /// Whether the user can do nothing else until there is an authenticator app.
    pub must_set_up_totp: bool,
    /// The authenticator app.
    pub totp: TotpStatus,
    /// Recovery codes that were just made: they are shown once.
    pub new_codes: Vec<String>,
    /// The sessions.
    pub sessions: Vec<SessionRow>,
}

/// How far an authenticator app is set up.
#[derive(Clone)]
pub enum TotpStatus {
    /// There is none.
    None,
    /// It waits for its first code.
    Begun {
        /// The secret to type.
        secret: String,
        /// The secret as a link.
        uri: String,
    },
    /// It is in use.
    On {
        /// How many recovery codes are left.
        codes_left: i64,
    },
}

/// A session in the list.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// What names it.
    pub handle: String,
    /// Whether the page was requested in it.
    pub is_this: bool,
    /// When its user signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last used.
    pub last_seen_at: DateTime<Utc>,
    /// From where.
    pub address: String,
    /// With which browser.
    pub user_agent: String,
}

impl Account {
    /// Its document.
    pub fn document(self, frame: Frame) -> String {
        let Self { must_set_up_totp, totp, new_codes, sessions } = self;
        let content = view! {
            {must_set_up_totp
                .then(|| {
                    view! {
                        <p class="people-error">
                            "Your role needs an authenticator app. Set it up to go on."
                        </p>
                    }
                })}
            {(!new_codes.is_empty()).then(|| codes(new_codes))}
            <section class="card people-section" aria-labelledby="totp-heading">
                <h2 id="totp-heading" class="section-heading">"Authenticator app"</h2>
                {authenticator(totp)}
            </section>
            <section class="card people-section" aria-labelledby="password-heading">
                <h2 id="password-heading" class="section-heading">"Password"</h2>
                <form method="post" action=address("/account/password") class="people-form">
                    {field("password", "Present password", "password", "current-password", None, true)}
                    {new_password()}
                    <p><button class="button">"Change the password"</button></p>
                    <p class="people-hint">"Every other session of yours ends."</p>
                </form>
            </section>
            <section class="card people-section" aria-labelledby="sessions-heading">
                <h2 id="sessions-heading" class="section-heading">"Sessions"</h2>
                {session_table(sessions)}
                <form method="post" action=address("/account/end-sessions")>
                    <button class="button-quiet">"End all other sessions"</button>
                </form>
            </section>
        };
        frame.document("Your account", content)
    }
}

fn codes(codes: Vec<String>) -> impl IntoView {
    view! {
        <section class="card people-section" aria-labelledby="codes-heading">
            <h2 id="codes-heading" class="section-heading">"Recovery codes"</h2>
            <p>
                "Keep them where you find them without your phone. Each signs in once in place of a code of the app. "
                <strong>"They are not shown again."</strong>
            </p>
            <ul class="people-codes">
                {codes.into_iter().map(|code| view! { <li>{code}</li> }).collect_view()}
            </ul>
        </section>
    }
}

fn authenticator(totp: TotpStatus) -> AnyView {
    let password = || field("password", "Password", "password", "current-password", None, true);
    match totp {
        TotpStatus::None => view! {
            <form method="post" action=address("/account/totp")>
                <p>"None. With one, signing in also needs a code that the app shows."</p>
                <p class="mt-2"><button class="button">"Set up"</button></p>
            </form>
        }
        .into_any(),
        TotpStatus::Begun { secret, uri } => view! {
            <form method="post" action=address("/account/totp/confirm") class="people-form">
                <p>
                    "Add Onceward to the app: " <a class="link" href=uri>"open the app on this device"</a>
                    ", or type this key into it:"
                </p>
                <p><code class="people-secret">{in_groups(&secret)}</code></p>
                {field("code", "The code that the app shows", "text", "one-time-code", None, true)}
                <p><button class="button">"Confirm"</button></p>
            </form>
        }
        .into_any(),
        TotpStatus::On { codes_left } => view! {
            <p>{format!("In use. {codes_left} of 10 recovery codes are left.")}</p>
            <form method="post" action=address("/account/totp/change") class="people-form">
                {password()}
                <p class="flex gap-2">
                    <button class="button-quiet" name="change" value="renew-codes">
                        "Make new recovery codes"
                    </button>
                    <button class="button-quiet" name="change" value="give-up">
                        "Give up the app"
                    </button>
                </p>
            </form>
        }
        .into_any(),
    }
}

/// In groups of four, so that it can be typed.
fn in_groups(secret: &str) -> String {
    let characters: Vec<char> = secret.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

fn session_table(sessions: Vec<SessionRow>) -> impl IntoView {
    let rows = sessions.into_iter().map(|session| {
        let SessionRow { handle, is_this, created_at, last_seen_at, address: from, user_agent } =
            session;
        let end = match is_this {
            true => view! { "this one" }.into_any(),
            false => view! {
                <form method="post" action=address(&format!("/account/sessions/{handle}/end"))>
                    <button class="button-quiet">"End"</button>
                </form>
            }
            .into_any(),
        };
        view! {
            <tr>
                <td>{time(created_at)}</td>
                <td>{time(last_seen_at)}</td>
                <td>{from}</td>
                <td class="wrap-anywhere"><OutsideText text=user_agent/></td>
                <td>{end}</td>
            </tr>
        }
    });
    view! {
        <div class="people-table" role="region" aria-label="Sessions" tabindex="0">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Signed in"</th>
                        <th scope="col">"Last used"</th>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Browser"</th>
                        <th scope="col"><span class="sr-only">"End"</span></th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
