//! Whether what a verified token stands for still holds. It is read at most every half second, so that a revocation is
//! obeyed within a second though verified tokens are remembered.

use domain::{Principal, PrincipalKind};

use super::{
    authenticate::TokenHolder,
    error::{TokenError, TokenRefusal},
    verify::{Subject, VerifiedToken},
};
use crate::{Access, AccessError, KeyRefusal, recent::Recent};

/// How many names are remembered.
const CAPACITY: usize = 4_096;

/// Who tokens stand for.
#[derive(Debug)]
pub(super) struct Standings {
    access: Access,
    /// Whether a user or client of Onceward has a name.
    local_names: Recent<String, bool>,
}

impl Standings {
    /// Nothing read yet.
    pub fn new(access: Access) -> Self {
        Self { access, local_names: Recent::new(CAPACITY) }
    }

    /// Who a verified token stands for now.
    ///
    /// # Errors
    /// If it stands for no one any more, or the database does not answer.
    pub async fn holder(&self, token: &VerifiedToken) -> Result<TokenHolder, TokenError> {
        let credential = format!("token:{}", token.id);
        match &token.subject {
            Subject::Client { name, key } => {
                let holder =
                    self.access.key_with_id(key).await.map_err(|refusal| match refusal {
                        KeyRefusal::Access(error) => TokenError::Access(error),
                        _ => TokenRefusal::Revoked.into(),
                    })?;
                if holder.client != *name {
                    return Err(TokenRefusal::Revoked.into());
                }
                Ok(TokenHolder {
                    principal: Principal::named(holder.client),
                    kind: PrincipalKind::Client,
                    role: holder.role,
                    rate_limit: holder.rate_limit,
                    credential,
                    expires_at: token.expires_at,
                })
            }
            Subject::External { principal, role } => {
                // Otherwise another issuer could let someone act as a client of Onceward, and see its transactions.
                if self.is_local(principal.as_str()).await? {
                    return Err(TokenRefusal::NameTaken.into());
                }
                Ok(TokenHolder {
                    principal: principal.clone(),
                    kind: PrincipalKind::External,
                    role: *role,
                    rate_limit: None,
                    credential,
                    expires_at: token.expires_at,
                })
            }
        }
    }

    async fn is_local(&self, name: &str) -> Result<bool, AccessError> {
        let read = async || {
            let query = sqlx::query_scalar!(
                r#"select exists (select from principals where name = $1) as "exists!""#,
                name,
            );
            Ok(query.fetch_one(&self.access.pool).await?)
        };
        self.local_names.get_or_read(&name.to_owned(), read).await
    }
}
