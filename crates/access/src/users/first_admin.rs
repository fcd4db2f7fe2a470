//! The first administrator, without whom nobody could create users.

use domain::{Actor, Role};

use super::{NewPassword, SecretToken};
use crate::{Access, AccessError};

/// The name of the first administrator, whose password is set at the start.
const NAME: &str = "admin";
/// The name of the one who sets it by a link. People like to create an `admin` themselves, so that name stays free.
const NAME_BY_LINK: &str = "first-admin";

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

    /// Creates an administrator if there is none who can sign in: `admin` with this password, or `first-admin` with a
    /// one-time link. While nobody has used it, each start makes a new link, and the one before is no longer valid.
    ///
    /// # Errors
    /// See [`AccessError`]; [`AccessError::NameTaken`] if the name is that of a client or a user who is no administrator.
    pub async fn ensure_admin(
        &self,
        password: Option<NewPassword>,
    ) -> Result<FirstAdmin, AccessError> {
        if self.has_admin().await? {
            return Ok(FirstAdmin::Exists);
        }
        let actor = Actor::command_line();
        let name = if password.is_some() { NAME } else { NAME_BY_LINK };
        match self.create_user(&actor, name, Role::Admin, None).await {
            Ok(_) => {}
            // Created by an earlier start, or by another process at this moment.
            Err(AccessError::NameTaken) if self.is_waiting_admin(name).await? => {}
            Err(error) => return Err(error),
        }
        match password {
            Some(password) => {
                self.set_user_password(&actor, name, password).await?;
                Ok(FirstAdmin::Created)
            }
            None => Ok(FirstAdmin::NeedsLink(self.create_link(&actor, name).await?)),
        }
    }

    /// Whether the user with this name is an administrator.
    async fn is_waiting_admin(&self, name: &str) -> Result<bool, AccessError> {
        let exists = sqlx::query_scalar!(
            r#"select exists (
                select from principals
                where name = $1 and kind = 'user' and role = 'admin' and disabled_at is null
             ) as "exists!""#,
            name,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(exists)
    }
}
