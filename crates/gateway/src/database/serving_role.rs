//! The role that serves: it reads and writes Onceward's tables, but owns none of them, and may only add to the audit.

use std::{fmt, str::FromStr};

use sqlx::{AssertSqlSafe, PgPool, postgres::PgConnectOptions};
use thiserror::Error;

use super::{migrate::PrepareError, pools::for_migrations, schema::Schema};

/// The longest name of PostgreSQL, in bytes.
const MAX_BYTES: usize = 63;

/// The name of a role, as it stands between double quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingRole(String);

/// The text is not the name of a role that Onceward takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be the name of a role, of at most {MAX_BYTES} bytes and without double quotes")]
pub struct BadRole;

impl fmt::Display for ServingRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServingRole {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        let is_name = (1..=MAX_BYTES).contains(&text.len()) && !text.contains(['"', '\0']);
        is_name.then(|| Self(text.to_owned())).ok_or(BadRole)
    }
}

/// Why a role cannot be the one that serves.
#[derive(Debug, Error)]
pub enum UnfitRole {
    /// There is no such role.
    #[error("there is no role {0}: create it first")]
    Absent(ServingRole),
    /// No grant would limit it.
    #[error(
        "the role {0} has the rights of the owner of Onceward's tables, so nothing would keep it from changing the \
         audit: use another role"
    )]
    Owner(ServingRole),
}

/// Gives a role exactly the rights that it needs to serve a migrated database, and takes others on Onceward's tables from
/// it. `may_empty` adds the right to truncate tables other than those of the audit, which a cleanup needs.
///
/// # Errors
/// [`PrepareError::UnfitRole`] or [`PrepareError::Database`].
pub async fn grant_serving(
    options: &PgConnectOptions,
    schema: Option<&Schema>,
    role: &ServingRole,
    may_empty: bool,
) -> Result<(), PrepareError> {
    let pool = for_migrations(options, schema);
    let granted = grant(&pool, role, may_empty).await;
    pool.close().await;
    granted
}

async fn grant(pool: &PgPool, role: &ServingRole, may_empty: bool) -> Result<(), PrepareError> {
    let has_rights_of_owner: Option<bool> = sqlx::query_scalar(
        "select pg_has_role(r.oid, c.relowner, 'member') from pg_roles r, pg_class c
         where r.rolname = $1 and c.oid = 'audit'::regclass",
    )
    .bind(&role.0)
    .fetch_optional(pool)
    .await?;
    match has_rights_of_owner {
        None => return Err(UnfitRole::Absent(role.clone()).into()),
        Some(true) => return Err(UnfitRole::Owner(role.clone()).into()),
        Some(false) => {}
    }
    // What others own in these schemas, another program for example, is left alone.
    let (schema, tables, sequences, functions): (String, String, String, String) = sqlx::query_as(
        "with owned as (
            select c.relowner as owner, array[c.relnamespace, 'apalis'::regnamespace::oid] as schemas
            from pg_class c where c.oid = 'audit'::regclass
         )
         select quote_ident(current_schema()),
            (select string_agg(oid::regclass::text, ', ') from pg_class
             where relowner = owner and relnamespace = any (schemas) and relkind in ('r', 'p', 'v')),
            (select string_agg(oid::regclass::text, ', ') from pg_class
             where relowner = owner and relnamespace = any (schemas) and relkind = 'S'),
            (select string_agg(oid::regprocedure::text, ', ') from pg_proc
             where proowner = owner and pronamespace = any (schemas))
         from owned",
    )
    .fetch_one(pool)
    .await?;
    let rights = if may_empty { "all" } else { "select, insert, update, delete" };
    // One implicit database transaction: nobody sees rights that are taken away again.
    let statements = format!(
        r#"
        grant usage on schema {schema}, apalis to "{role}";
        revoke all on {tables} from "{role}";
        grant {rights} on {tables} to "{role}";
        grant usage on sequence {sequences} to "{role}";
        grant execute on routine {functions} to "{role}";
        revoke all on {schema}._sqlx_migrations, apalis._sqlx_migrations, audit, audit_chain from "{role}";
        grant select on {schema}._sqlx_migrations, apalis._sqlx_migrations, audit, audit_chain to "{role}";
        grant insert on audit to "{role}";
        "#
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_quotes_is_refused() {
        for name in ["onceward_app", "Onceward-App", "ö"] {
            assert_eq!(name.parse::<ServingRole>().unwrap().to_string(), name);
        }
        for name in ["", "a\"b", "a\0", &"a".repeat(64)] {
            assert_eq!(name.parse::<ServingRole>(), Err(BadRole), "{name}");
        }
    }
}
