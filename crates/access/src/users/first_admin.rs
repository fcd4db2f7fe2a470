//! The first administrator, without whom nobody could create users.

use domain::{Actor, Role};

use super::{NewPassword, SecretToken};
use crate::{Access, AccessError};

/// The name of the first administrator.
const NAME: &str = "admin";

/// What was done at a start about the first administrator.
#[derive(Debug)]
pub enum FirstAdmin {
    /// There is an administrator who can sign in.
    Exists,
    /// It was created with the password that was given.
    Created,
    /// It has no password yet; this link sets one.
    NeedsLink(SecretToken),
}

impl Access {
    /// Whether there is an administrator who can sign in.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn has_admin(&self) -> Result<bool, AccessError> {
        let exists = sqlx::query_scalar!(
            r#"select exists (
                select from users u join principals p on p.id = u.id
                where p.role = 'admin' and p.disabled_at is null and u.password_hash is not null
             ) as "exists!""#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(exists)
    }

    /// Creates the administrator `admin` if there is none who can sign in: with this password, or with a one-time link.
    /// While nobody has used it, each start makes a new link, and the one before is no longer valid.
    ///
    /// # Errors
    /// See [`AccessError`]; [`AccessError::NameTaken`] if `admin` is a client or a user who is no administrator.
    pub async fn ensure_admin(
        &self,
        password: Option<NewPassword>,
    ) -> Result<FirstAdmin, AccessError> {
        if self.has_admin().await? {
            return Ok(FirstAdmin::Exists);
        }
        let actor = Actor::command_line();
        match self.create_user(&actor, NAME, Role::Admin, None).await {
            Ok(_) => {}
            // Created by an earlier start, or by another process at this moment.
            Err(AccessError::NameTaken) if self.is_waiting_admin().await? => {}
            Err(error) => return Err(error),
        }
        match password {
            Some(password) => {
                self.set_user_password(&actor, NAME, password).await?;
                Ok(FirstAdmin::Created)
            }
            None => Ok(FirstAdmin::NeedsLink(self.create_link(&actor, NAME).await?)),
        }
    }

    /// Whether `admin` is an administrator.
    async fn is_waiting_admin(&self) -> Result<bool, AccessError> {
        let exists = sqlx::query_scalar!(
            r#"select exists (
                select from principals
                where name = $1 and kind = 'user' and role = 'admin' and disabled_at is null
             ) as "exists!""#,
            NAME,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(exists)
    }
}
