//! Setting up an authenticator app, and recovery codes with it; and giving it up.

use chrono::Utc;
use domain::Actor;
use secrecy::SecretString;

use super::{
    Refusal, Session,
    accounts::NO_USER,
    recovery_codes::new_codes,
    throttle::{Admission, Subjects},
    totp::TotpSecret,
};
use crate::{Access, AccessError};

/// What the user enters into an authenticator app.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret in base32, to type.
    pub secret: SecretString,
    /// The secret as a link, to open.
    pub uri: SecretString,
}

impl Access {
    /// Begins to set up an authenticator app: makes a new secret, which counts once a code confirms it. `None` if the
    /// user has an app already.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn begin_totp(&self, session: &Session) -> Result<Option<Enrolment>, AccessError> {
        let secret = TotpSecret::random();
        let begun = sqlx::query!(
            "update users set totp_secret = $2, totp_last_step = null
             where id = $1 and totp_confirmed_at is null",
            session.user_id,
            secret.bytes(),
        )
        .execute(&self.pool)
        .await?;
        Ok((begun.rows_affected() > 0).then(|| enrolment(&secret, session)))
    }

    /// The set-up that has begun, if one has.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn totp_enrolment(
        &self,
        session: &Session,
    ) -> Result<Option<Enrolment>, AccessError> {
        Ok(self.unconfirmed_secret(session).await?.map(|secret| enrolment(&secret, session)))
    }

    /// Ends setting up an authenticator app by its first code. Returns the recovery codes, which are shown once; earlier
    /// ones are no longer valid.
    ///
    /// # Errors
    /// See [`AccessError`]; a wrong code is a [`Refusal`].
    pub async fn confirm_totp(
        &self,
        actor: &Actor,
        session: &Session,
        code: &str,
    ) -> Result<Result<Vec<SecretString>, Refusal>, AccessError> {
        let subjects = Subjects::signed_in(session.user_id);
        let counted = match self.count_attempt(&subjects).await? {
            Admission::Admitted(counted) => counted,
            Admission::TooEarly(seconds) => return Ok(Err(Refusal::TooEarly { seconds })),
        };
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let Some(secret) = self.unconfirmed_secret(session).await? else {
            return Ok(Err(Refusal::Wrong));
        };
        let Some(step) = secret.step_of(&digits, Utc::now().timestamp(), None) else {
            return Ok(Err(Refusal::Wrong));
        };
        let (codes, hashes) = new_codes();
        let confirmed = sqlx::query!(
            "with confirmed as (
                update users set totp_confirmed_at = now(), totp_last_step = $3
                where id = $1 and totp_secret = $2 and totp_confirmed_at is null
                returning id
             ), earlier as (
                delete from recovery_codes c using confirmed where c.user_id = confirmed.id
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object)
                select $5, $6, $7, $8::text::inet, $9, 'enable_totp', 'user:' || $5 from confirmed
             )
             insert into recovery_codes (user_id, code_sha256)
             select id, code from confirmed, unnest($4::bytea[]) code",
            session.user_id,
            secret.bytes(),
            step,
            &hashes,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await?;
        self.people.sessions.forget();
        if confirmed.rows_affected() == 0 {
            return Ok(Err(Refusal::Wrong));
        }
        self.count_back(&counted).await?;
        Ok(Ok(codes))
    }

    /// Makes new recovery codes for a user who knows the password; the earlier ones are no longer valid.
    ///
    /// # Errors
    /// See [`AccessError`]; a wrong password, or no authenticator app, is a [`Refusal`].
    pub async fn renew_recovery_codes(
        &self,
        actor: &Actor,
        session: &Session,
        password: &SecretString,
    ) -> Result<Result<Vec<SecretString>, Refusal>, AccessError> {
        if let Err(refusal) = self.confirm_password(session, password).await? {
            return Ok(Err(refusal));
        }
        let (codes, hashes) = new_codes();
        let renewed = sqlx::query!(
            "with owner as (
                select id from users where id = $1 and totp_confirmed_at is not null
             ), earlier as (
                delete from recovery_codes c using owner where c.user_id = owner.id
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object)
                select $3, $4, $5, $6::text::inet, $7, 'renew_recovery_codes', 'user:' || $3 from owner
             )
             insert into recovery_codes (user_id, code_sha256)
             select id, code from owner, unnest($2::bytea[]) code",
            session.user_id,
            &hashes,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .execute(&self.pool)
        .await?;
        Ok(if renewed.rows_affected() > 0 { Ok(codes) } else { Err(Refusal::Wrong) })
    }

    /// How many recovery codes a user has left.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn recovery_codes_left(&self, session: &Session) -> Result<i64, AccessError> {
        let left = sqlx::query_scalar!(
            r#"select count(*) as "count!" from recovery_codes where user_id = $1 and used_at is null"#,
            session.user_id,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(left)
    }

    /// Gives up the authenticator app and the recovery codes of a user who knows the password.
    ///
    /// # Errors
    /// See [`AccessError`]; a wrong password is a [`Refusal`].
    pub async fn give_up_totp(
        &self,
        actor: &Actor,
        session: &Session,
        password: &SecretString,
    ) -> Result<Result<(), Refusal>, AccessError> {
        match self.confirm_password(session, password).await? {
            Err(refusal) => Ok(Err(refusal)),
            Ok(_) => Ok(Ok(self.remove_totp(actor, &session.user).await?)),
        }
    }

    /// Removes the authenticator app and the recovery codes of a user who has lost them.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub async fn remove_totp(&self, actor: &Actor, name: &str) -> Result<(), AccessError> {
        let removed = sqlx::query_scalar!(
            "with removed as (
                update users u
                set totp_secret = null, totp_confirmed_at = null, totp_last_step = null
                from principals p where p.id = u.id and p.name = $1
                returning u.id
             ), codes as (
                delete from recovery_codes c using removed where c.user_id = removed.id
             ), recorded as (
                insert into audit (principal, kind, credential, address, request_id, action, object)
                select $2, $3, $4, $5::text::inet, $6, 'disable_totp', 'user:' || $1 from removed
             )
             select id from removed",
            name,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        self.people.sessions.forget();
        removed.map(|_| ()).ok_or(AccessError::NotFound(NO_USER))
    }

    async fn unconfirmed_secret(
        &self,
        session: &Session,
    ) -> Result<Option<TotpSecret>, AccessError> {
        let secret = sqlx::query_scalar!(
            "select totp_secret from users where id = $1 and totp_confirmed_at is null",
            session.user_id,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(secret.flatten().map(TotpSecret::stored))
    }
}

fn enrolment(secret: &TotpSecret, session: &Session) -> Enrolment {
    Enrolment { secret: secret.base32(), uri: secret.uri(&session.user) }
}
