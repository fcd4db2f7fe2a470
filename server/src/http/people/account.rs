//! Your account: the password, the authenticator app, and the sessions.

use access::{NewPassword, Refusal, Session};
use app::pages::people::{Account, SessionRow, TotpStatus};
use axum::{
    Form,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::Response,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    page::{Done, back, frame_of, page, refusal},
    signed_in::SignedInUser,
};
use crate::http::{WebState, problem::Problem};

/// What a refusal of a password says.
const WRONG_PASSWORD: &str = "The present password is wrong.";

/// What the form of the password says.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Passwords {
    password: SecretString,
    new_password: SecretString,
}

/// What the form that confirms an authenticator app says.
#[derive(Deserialize)]
pub struct FirstCode {
    code: String,
}

/// What the form of an authenticator app in use says.
#[derive(Deserialize)]
pub struct TotpChange {
    password: SecretString,
    change: ChangeOfTotp,
}

/// What to do with an authenticator app in use.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ChangeOfTotp {
    RenewCodes,
    GiveUp,
}

/// What is shown besides the account itself.
#[derive(Default)]
struct Shown {
    done: Option<&'static str>,
    error: Option<String>,
    new_codes: Vec<SecretString>,
}

/// The page.
pub async fn show(
    State(state): State<WebState>,
    user: SignedInUser,
    Query(done): Query<Done>,
) -> Result<Response, Problem> {
    let shown = Shown { done: done.text(), ..Shown::default() };
    answer(&state, &user.session, StatusCode::OK, shown).await
}

/// Changes the password, and begins a new session: the old ones have ended.
pub async fn change_password(
    State(state): State<WebState>,
    user: SignedInUser,
    Form(typed): Form<Passwords>,
) -> Result<Response, Problem> {
    let SignedInUser { session, browser } = user;
    let new = match NewPassword::check(&typed.new_password, &session.user) {
        Ok(new) => new,
        Err(rule) => {
            let error = format!("The new password {rule}.");
            return refused(&state, &session, StatusCode::UNPROCESSABLE_ENTITY, error).await;
        }
    };
    let changed =
        state.access.change_password(&session, &typed.password, new, &browser.visit).await?;
    match changed {
        Ok(begun) => {
            let mut response = back("/account?done=password");
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, browser.cookies.set_session(&begun.id));
            if let Some(device) = begun.device {
                headers.append(header::SET_COOKIE, browser.cookies.set_device(&device));
            }
            Ok(response)
        }
        Err(refusal) => refused_for(&state, &session, refusal, WRONG_PASSWORD).await,
    }
}

/// Begins to set up an authenticator app.
pub async fn begin_totp(
    State(state): State<WebState>,
    user: SignedInUser,
) -> Result<Response, Problem> {
    state.access.begin_totp(&user.session).await?;
    Ok(back("/account?done=totp-begun"))
}

/// Confirms an authenticator app by its first code, and shows the recovery codes.
pub async fn confirm_totp(
    State(state): State<WebState>,
    user: SignedInUser,
    Form(typed): Form<FirstCode>,
) -> Result<Response, Problem> {
    let session = &user.session;
    match state.access.confirm_totp(&user.actor(), session, &typed.code).await? {
        Ok(new_codes) => {
            let session =
                Session { has_totp: true, must_set_up_totp: false, ..(**session).clone() };
            let done = Some("The authenticator app is in use.");
            let shown = Shown { done, new_codes, ..Shown::default() };
            answer(&state, &session, StatusCode::OK, shown).await
        }
        Err(refusal) => refused_for(&state, session, refusal, "The code is wrong.").await,
    }
}

/// Gives up the authenticator app, or makes new recovery codes.
pub async fn change_totp(
    State(state): State<WebState>,
    user: SignedInUser,
    Form(typed): Form<TotpChange>,
) -> Result<Response, Problem> {
    let session = &user.session;
    let refusal = match typed.change {
        ChangeOfTotp::GiveUp => {
            match state.access.give_up_totp(&user.actor(), session, &typed.password).await? {
                Ok(()) => return Ok(back("/account?done=app-removed")),
                Err(refusal) => refusal,
            }
        }
        ChangeOfTotp::RenewCodes => {
            match state.access.renew_recovery_codes(&user.actor(), session, &typed.password).await?
            {
                Ok(new_codes) => {
                    let shown = Shown { new_codes, ..Shown::default() };
                    return answer(&state, session, StatusCode::OK, shown).await;
                }
                Err(refusal) => refusal,
            }
        }
    };
    refused_for(&state, session, refusal, WRONG_PASSWORD).await
}

/// Ends another session of the user.
pub async fn end_session(
    State(state): State<WebState>,
    user: SignedInUser,
    Path(handle): Path<Uuid>,
) -> Result<Response, Problem> {
    state.access.end_session(&user.actor(), Some(&user.session.user), handle).await?;
    Ok(back("/account?done=session-ended"))
}

/// Ends all other sessions of the user.
pub async fn end_other_sessions(
    State(state): State<WebState>,
    user: SignedInUser,
) -> Result<Response, Problem> {
    let session = &user.session;
    state.access.end_sessions(&user.actor(), session.user_id, Some(session.handle)).await?;
    Ok(back("/account?done=sessions-ended"))
}

async fn refused_for(
    state: &WebState,
    session: &Session,
    why: Refusal,
    wrong: &str,
) -> Result<Response, Problem> {
    let (status, error) = refusal(why, wrong);
    refused(state, session, status, error).await
}

async fn refused(
    state: &WebState,
    session: &Session,
    status: StatusCode,
    error: String,
) -> Result<Response, Problem> {
    answer(state, session, status, Shown { error: Some(error), ..Shown::default() }).await
}

async fn answer(
    state: &WebState,
    session: &Session,
    status: StatusCode,
    shown: Shown,
) -> Result<Response, Problem> {
    let totp = match session.has_totp {
        true => TotpStatus::On { codes_left: state.access.recovery_codes_left(session).await? },
        false => match state.access.totp_enrolment(session).await? {
            Some(enrolment) => TotpStatus::Begun {
                secret: enrolment.secret.expose_secret().to_owned(),
                uri: enrolment.uri.expose_secret().to_owned(),
            },
            None => TotpStatus::None,
        },
    };
    let sessions = state.access.sessions(&session.user).await?;
    let sessions = sessions.into_iter().map(|listed| SessionRow {
        handle: listed.handle.to_string(),
        is_this: listed.handle == session.handle,
        created_at: listed.created_at,
        last_seen_at: listed.last_seen_at,
        address: listed.address.unwrap_or_default(),
        user_agent: listed.user_agent.unwrap_or_default(),
    });
    let account = Account {
        must_set_up_totp: session.must_set_up_totp,
        totp,
        new_codes: shown.new_codes.iter().map(|code| code.expose_secret().to_owned()).collect(),
        sessions: sessions.collect(),
    };
    let mut frame = frame_of(state, session);
    frame.done = shown.done;
    frame.error = shown.error;
    Ok(page(status, account.document(frame)))
}
