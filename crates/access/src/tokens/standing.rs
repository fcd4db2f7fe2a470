//! Whether what a verified token stands for still holds. It is read at most every half second for each token's key or
//! name, so that a revocation is obeyed within a second though verified tokens are remembered.

use domain::{PrincipalKind, Role};
use gateway::database::BoundedPool;

use super::{
    authenticate::TokenHolder,
    error::{TokenError, TokenRefusal},
    verify::{Subject, VerifiedToken},
};
use crate::{AccessError, recent::Recent};

/// How many keys and how many names are remembered.
const CAPACITY: usize = 4_096;

/// What was read lately.
#[derive(Debug)]
pub(super) struct Standings {
    pool: BoundedPool,
    /// The client of a key and its role, by the key's id; none if the key or the client is no longer valid.
    clients: Recent<String, Option<(String, Role)>>,
    /// Whether a user or client of Onceward has a name.
    local_names: Recent<String, bool>,
}

impl Standings {
    /// Nothing read yet.
    pub fn new(pool: BoundedPool) -> Self {
        Self { pool, clients: Recent::new(CAPACITY), local_names: Recent::new(CAPACITY) }
    }

    /// Who a verified token stands for now.
    ///
    /// # Errors
    /// If it stands for no one any more, or the database does not answer.
    pub async fn holder(&self, token: &VerifiedToken) -> Result<TokenHolder, TokenError> {
        let (principal, kind, role) = match &token.subject {
            Subject::Client { name, key } => match self.client(key).await? {
                Some((client, role)) if client == *name => {
                    (domain::Principal::named(client), PrincipalKind::Client, role)
                }
                _ => return Err(TokenRefusal::Revoked.into()),
            },
            // Otherwise another issuer could let someone act as a client of Onceward, and see its transactions.
            Subject::External { principal, .. } if self.is_local(principal.as_str()).await? => {
                return Err(TokenRefusal::NameTaken.into());
            }
            Subject::External { principal, role } => {
                (principal.clone(), PrincipalKind::External, *role)
            }
        };
        let credential = format!("token:{}", token.id);
        Ok(TokenHolder { principal, kind, role, credential, expires_at: token.expires_at })
    }

    async fn client(&self, key: &String) -> Result<Option<(String, Role)>, AccessError> {
        let read = async || {
            let row = sqlx::query!(
                "select name, role
                 from client_keys join principals on principals.id = client_keys.client_id
                 where client_keys.id = $1 and revoked_at is null and disabled_at is null
                     and (expires_at is null or expires_at > clock_timestamp())",
                key,
            )
            .fetch_optional(&self.pool)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let unknown = |_| sqlx::Error::Decode("the client has an unknown role".into());
            let role = row.role.parse().map_err(unknown)?;
            Ok(Some((row.name, role)))
        };
        self.clients.get_or_read(key, read).await
    }

    async fn is_local(&self, name: &str) -> Result<bool, AccessError> {
        let read = async || {
            let query = sqlx::query_scalar!(
                r#"select exists (select from principals where name = $1) as "exists!""#,
                name,
            );
            Ok(query.fetch_one(&self.pool).await?)
        };
        self.local_names.get_or_read(&name.to_owned(), read).await
    }
}
