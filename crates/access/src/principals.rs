//! Principals: what users and clients have in common.

use chrono::{DateTime, Utc};
use domain::{PrincipalKind, Role};
use uuid::Uuid;

use crate::{Access, AccessError};

/// A user or client as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPrincipal {
    /// Its id.
    pub id: Uuid,
    /// Its name, which transactions and the audit use.
    pub name: String,
    /// A user or a client.
    pub kind: PrincipalKind,
    /// Its role.
    pub role: Role,
    /// Its own rate limit, such as `100/s`.
    pub rate_limit: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// The longest name of a principal, in characters.
const MAX_NAME_CHARS: usize = 64;
/// Names with a meaning of their own.
pub(crate) const RESERVED: [&str; 2] = ["anonymous", "command-line"];

/// Checks the name of a principal by the rules of the table.
///
/// # Errors
/// [`AccessError::Invalid`].
pub(crate) fn check_name(name: &str) -> Result<(), AccessError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let wrong = if name.is_empty() || name.len() > MAX_NAME_CHARS {
        "must have 1 to 64 characters"
    } else if !name.starts_with(is_plain)
        || !name.chars().all(|c| is_plain(c) || "._@-".contains(c))
    {
        "must consist of small letters, digits and . _ @ - and begin with a letter or a digit"
    } else if RESERVED.contains(&name) {
        "is reserved"
    } else {
        return Ok(());
    };
    Err(AccessError::Invalid("name", wrong.to_owned()))
}

/// The columns of a principal.
pub(crate) struct PrincipalRow {
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    pub role: String,
    pub rate_limit: Option<String>,
    pub created_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
}

impl TryFrom<PrincipalRow> for StoredPrincipal {
    type Error = AccessError;

    fn try_from(row: PrincipalRow) -> Result<Self, AccessError> {
        let PrincipalRow { id, name, kind, role, rate_limit, created_at, disabled_at } = row;
        let decode =
            |what: &str| sqlx::Error::Decode(format!("{name} has an unknown {what}").into());
        let kind = match kind.as_str() {
            "user" => PrincipalKind::User,
            "client" => PrincipalKind::Client,
            _ => return Err(decode("kind").into()),
        };
        let role = role.parse().map_err(|_| decode("role"))?;
        Ok(Self { id, name, kind, role, rate_limit, created_at, disabled_at })
    }
}

impl Access {
    /// The users or clients, by name.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn principals(
        &self,
        kind: PrincipalKind,
    ) -> Result<Vec<StoredPrincipal>, AccessError> {
        let rows = sqlx::query_as!(
            PrincipalRow,
            "select id, name, kind, role, rate_limit, created_at, disabled_at
             from principals where kind = $1 order by name",
            kind.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(StoredPrincipal::try_from).collect()
    }

    /// The client with this id.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn client(&self, id: Uuid) -> Result<Option<StoredPrincipal>, AccessError> {
        let row = sqlx::query_as!(
            PrincipalRow,
            "select id, name, kind, role, rate_limit, created_at, disabled_at
             from principals where kind = 'client' and id = $1",
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(StoredPrincipal::try_from).transpose()
    }

    /// The user or client with this name.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn principal(
        &self,
        kind: PrincipalKind,
        name: &str,
    ) -> Result<Option<StoredPrincipal>, AccessError> {
        let row = sqlx::query_as!(
            PrincipalRow,
            "select id, name, kind, role, rate_limit, created_at, disabled_at
             from principals where kind = $1 and name = $2",
            kind.as_str(),
            name,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(StoredPrincipal::try_from).transpose()
    }
}
