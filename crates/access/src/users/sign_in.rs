//! Signing in with a name, a password and, if the user has an authenticator app, a code.

use chrono::Utc;
use domain::{Action, Actor, PrincipalKind};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    NewPassword, SecretToken, Visit,
    password::{Lane, Verified},
    recovery_codes,
    sessions::interval,
    throttle::{Admission, Counted, Subjects},
    totp::TotpSecret,
};
use crate::{Access, AccessError, Entry, principals::check_name};

/// What someone who signs in has typed, and what the browser sent along.
#[derive(Debug)]
pub struct Attempt {
    /// The name, as it was typed.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// The code of the authenticator app, or a recovery code.
    pub code: String,
    /// The cookie of a known device.
    pub device: Option<SecretToken>,
    /// The session so far; it ends if the attempt succeeds.
    pub session: Option<SecretToken>,
    /// The browser.
    pub visit: Visit,
}

/// A session that has begun.
#[derive(Debug)]
pub struct SignedIn {
    /// Its id, for a cookie.
    pub id: SecretToken,
    /// The cookie of the device, if it has become known.
    pub device: Option<SecretToken>,
}

/// Why an attempt is refused. Nothing tells whether the name, the password or the code is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The name, the password or the code is wrong.
    Wrong,
    /// Too many attempts have failed: the next one may succeed after this time. Nothing was checked.
    TooEarly {
        /// The time to wait, in seconds.
        seconds: u32,
    },
}

/// A second factor as it was typed.
enum Code {
    /// Of the authenticator app, with its time step.
    Totp(i64),
    /// The hash of a recovery code.
    Recovery([u8; 32]),
    /// The user has no authenticator app.
    NotNeeded,
}

impl Code {
    /// Its name in the audit.
    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Totp(_) => Some("totp"),
            Self::Recovery(_) => Some("recovery_code"),
            Self::NotNeeded => None,
        }
    }
}

struct StoredUser {
    id: Uuid,
    password_hash: Option<String>,
    totp_secret: Option<Vec<u8>>,
    totp_last_step: Option<i64>,
    /// Whether the attempt comes from a device of this user.
    is_known: bool,
}

impl Access {
    /// Signs a user in. A refusal that is too early costs no more than two short statements.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn sign_in(
        &self,
        attempt: &Attempt,
    ) -> Result<Result<SignedIn, Refusal>, AccessError> {
        let name = attempt.name.trim().to_lowercase();
        let device = attempt.device.as_ref().map(SecretToken::sha256);
        // A name that nobody can have is not looked for.
        let user = match check_name(&name) {
            Ok(()) => self.stored_user(&name, device.as_ref()).await?,
            Err(_) => None,
        };
        // What was typed may be a password, and the audit keeps everything.
        let object = user.as_ref().map_or("user:?".to_owned(), |_| format!("user:{name}"));
        let result = self.try_to_sign_in(attempt, &name, device, user).await?;
        if let Err(refusal) = &result {
            let actor = Actor {
                address: attempt.visit.address,
                request_id: attempt.visit.request_id.clone(),
                ..Actor::anonymous()
            };
            let why = match refusal {
                Refusal::Wrong => "the name, the password or the code is wrong",
                Refusal::TooEarly { .. } => "too many attempts have failed",
            };
            self.note(Entry::refused(&actor, Action::SignIn, object, why));
        }
        Ok(result)
    }

    async fn try_to_sign_in(
        &self,
        attempt: &Attempt,
        name: &str,
        device: Option<[u8; 32]>,
        user: Option<StoredUser>,
    ) -> Result<Result<SignedIn, Refusal>, AccessError> {
        let known = device.filter(|_| user.as_ref().is_some_and(|user| user.is_known));
        let (lane, subjects) = match &known {
            Some(device) => (Lane::Known, Subjects::device(device)),
            // Whether there is such a user makes no difference. No name is longer.
            None => {
                let account: String = name.chars().take(64).collect();
                (Lane::Stranger, Subjects::stranger(attempt.visit.address, &account))
            }
        };
        let counted = match self.count_attempt(&subjects).await? {
            Admission::Admitted(counted) => counted,
            Admission::TooEarly(seconds) => return Ok(Err(Refusal::TooEarly { seconds })),
        };
        let stored = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let verified = self.people.hashing.verify(lane, &attempt.password, stored).await?;
        let Some(verified) = verified else {
            // It was not looked at.
            self.count_back(&counted).await?;
            return Ok(Err(Refusal::TooEarly { seconds: 1 }));
        };
        let (Some(user), Verified::Right | Verified::Outdated) = (user, verified) else {
            return Ok(Err(Refusal::Wrong));
        };
        let Some(code) = code(&user, &attempt.code) else { return Ok(Err(Refusal::Wrong)) };
        let begun = self.begin_session(attempt, &user, &code, known.is_none()).await?;
        let Some(signed_in) = begun else { return Ok(Err(Refusal::Wrong)) };
        self.people.sessions.forget();
        self.after_sign_in(attempt, &user, verified, &counted).await;
        Ok(Ok(signed_in))
    }

    async fn stored_user(
        &self,
        name: &str,
        device: Option<&[u8; 32]>,
    ) -> Result<Option<StoredUser>, AccessError> {
        let user = sqlx::query_as!(
            StoredUser,
            r#"select u.id, u.password_hash, u.totp_last_step,
                case when u.totp_confirmed_at is not null then u.totp_secret end as totp_secret,
                exists (
                    select from known_devices d
                    where d.token_sha256 = $2 and d.user_id = u.id and d.expires_at > now()
                ) as "is_known!"
             from users u join principals p on p.id = u.id
             where p.name = $1 and p.disabled_at is null"#,
            name,
            device.map(|hash| &hash[..]),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(user)
    }

    /// Begins a session, unless the user has changed meanwhile or the code is used up. The same statement ends the
    /// session so far, uses the code up, and makes the device known.
    async fn begin_session(
        &self,
        attempt: &Attempt,
        user: &StoredUser,
        code: &Code,
        make_known: bool,
    ) -> Result<Option<SignedIn>, AccessError> {
        let (step, recovery) = match code {
            Code::Totp(step) => (Some(*step), None),
            Code::Recovery(hash) => (None, Some(&hash[..])),
            Code::NotNeeded => (None, None),
        };
        let id = SecretToken::random();
        let device = make_known.then(SecretToken::random);
        let begun = sqlx::query!(
            "with code as (
                update recovery_codes set used_at = now()
                where user_id = $1 and code_sha256 = $4 and used_at is null
                returning user_id
             ), signed_in as (
                update users u set totp_last_step = coalesce($3, u.totp_last_step)
                from principals p
                where u.id = $1 and p.id = u.id and p.disabled_at is null and u.password_hash = $2
                    and (u.totp_confirmed_at is null) = ($3::bigint is null and $4::bytea is null)
                    and ($3::bigint is null or u.totp_last_step is null or u.totp_last_step < $3)
                    and ($4::bytea is null or exists (select from code))
                returning u.id, p.name
             ), ended as (
                delete from sessions using signed_in where id_sha256 = $5
             ), known as (
                insert into known_devices (token_sha256, user_id, expires_at)
                select $6, id, now() + interval '1 year' from signed_in where $6::bytea is not null
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object, after)
                select name, $12, 'session:' || $8::uuid, $10::text::inet, $13, 'sign_in', 'user:' || name,
                    json_build_object('secondFactor', $14::text)
                from signed_in
             )
             insert into sessions (id_sha256, handle, user_id, expires_at, address, user_agent)
             select $7, $8, id, now() + $9::interval, $10::text::inet, $11 from signed_in",
            user.id,
            user.password_hash,
            step,
            recovery,
            attempt.session.as_ref().map(|id| id.sha256().to_vec()),
            device.as_ref().map(|token| token.sha256().to_vec()),
            &id.sha256()[..],
            Uuid::now_v7(),
            interval(self.people.settings.lifetime)?,
            attempt.visit.address.map(|address| address.to_string()),
            attempt.visit.browser(),
            PrincipalKind::User.as_str(),
            attempt.visit.request_id,
            code.name(),
        )
        .execute(&self.pool)
        .await?;
        Ok((begun.rows_affected() > 0).then_some(SignedIn { id, device }))
    }

    /// What need not succeed: the user is signed in already.
    async fn after_sign_in(
        &self,
        attempt: &Attempt,
        user: &StoredUser,
        verified: Verified,
        counted: &Counted,
    ) {
        let done = async {
            self.count_back(counted).await?;
            match verified {
                Verified::Outdated => self.hash_again(user, &attempt.password).await,
                _ => Ok(()),
            }
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, "what follows a sign-in could not be stored");
        }
    }

    /// Hashes a password with today's parameters.
    async fn hash_again(
        &self,
        user: &StoredUser,
        password: &SecretString,
    ) -> Result<(), AccessError> {
        let hash = self.people.hashing.hash(NewPassword::in_use(password)).await?;
        sqlx::query!(
            "update users set password_hash = $3 where id = $1 and password_hash = $2",
            user.id,
            user.password_hash,
            hash,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// The second factor that was typed. `None` if the user needs one and it is wrong.
fn code(user: &StoredUser, typed: &str) -> Option<Code> {
    let Some(secret) = &user.totp_secret else { return Some(Code::NotNeeded) };
    if let Some(hash) = recovery_codes::hash_of_typed(typed) {
        return Some(Code::Recovery(hash));
    }
    let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let secret = TotpSecret::stored(secret.clone());
    secret.step_of(&digits, Utc::now().timestamp(), user.totp_last_step).map(Code::Totp)
}
