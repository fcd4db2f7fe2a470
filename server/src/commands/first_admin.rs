//! The first administrator, at the start of the web side.

use access::{Access, AccessError, FirstAdmin};
use secrecy::ExposeSecret;

use super::{
    fatal::Fatal,
    settings::access::AccessSettings,
    user::{link, link_note, read_password},
};
/// Sees to it that an administrator can sign in: creates `admin` with the password of the settings, or
/// `first-admin` and a link with which its password is set. Returns what to print. `url` is where people reach Onceward.
///
/// # Errors
/// If the password cannot be read or breaks a rule, or the database does not answer.
pub async fn ensure(
    access: &Access,
    settings: &AccessSettings,
    url: &str,
) -> Result<Option<String>, Fatal> {
    let password = match &settings.admin_password_file {
        // Whoever has changed the password since may have deleted the file.
        Some(_) if access.has_admin().await? => return Ok(None),
        Some(file) => Some(
            read_password(file, "admin")
                .map_err(|error| format!("ONCEWARD_ADMIN_PASSWORD_FILE: {error}"))?,
        ),
        None => None,
    };
    match access.ensure_admin(password).await {
        Ok(FirstAdmin::Exists) => Ok(None),
        Ok(FirstAdmin::Created) => Ok(Some("The administrator admin was created.".to_owned())),
        Ok(FirstAdmin::NeedsLink(token)) => {
            let (link, note) = (link(url, &token), link_note());
            Ok(Some(format!(
                "No administrator can sign in yet. Set the password of first-admin at {} ({note})",
                link.expose_secret()
            )))
        }
        Err(AccessError::NameTaken) => {
            tracing::warn!(
                "no administrator can sign in, and the name of the first one belongs to someone else: \
             create one by `onceward user create`"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
