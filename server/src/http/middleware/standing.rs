//! Whether the caller of a request still may do what it began. A request is checked when it arrives; what it opens, such
//! as a stream, can last for days.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use domain::{Caller, Role};
use tokio::time::sleep;

use super::authentication::{Authentication, Credential};

/// How long a check counts. Another half second passes at most until a check sees a change.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The standing of a request's caller. Cheap to clone.
#[derive(Clone)]
pub struct Standing(Option<Arc<Checked>>);

struct Checked {
    authentication: Authentication,
    credential: Credential,
    role: Role,
}

impl<S: Sync> FromRequestParts<S> for Standing
where
    Authentication: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let authentication = Authentication::from_ref(state);
        if !authentication.required {
            return Ok(Self(None));
        }
        let credential = Credential::of(&parts.headers, &parts.extensions).ok();
        let role = parts.extensions.get::<Caller>().map(|caller| caller.role);
        let checked = credential.zip(role);
        Ok(Self(
            checked
                .map(|(credential, role)| Arc::new(Checked { authentication, credential, role })),
        ))
    }
}

impl Standing {
    /// Whether it is as it was: the key is not revoked, the session has not ended, the token has not expired, and the
    /// account is not disabled and has no other role. Always where authentication is off.
    pub async fn holds(&self) -> bool {
        match self.0.as_deref() {
            Some(Checked { authentication, credential, role }) => {
                authentication.still_stands(credential, *role).await
            }
            None => true,
        }
    }

    /// Returns within a second after it no longer holds.
    pub async fn ended(self) {
        loop {
            sleep(CHECK_INTERVAL).await;
            if !self.holds().await {
                return;
            }
        }
    }
}
