//! Stored transactions that cannot be read. Whoever finds one goes on with the others, and notes it for health.

use domain::{Transaction, Unreadable};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::row::Row;
use crate::database::StoredTime;

/// How many notes a housekeeping pass checks.
const MAX_CHECKED: i64 = 1_000;

/// Reads rows; those that cannot be read are apart.
pub fn read_rows(rows: Vec<Row>) -> (Vec<Transaction>, Vec<Unreadable>) {
    let mut transactions = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in rows {
        match row.read() {
            Ok(transaction) => transactions.push(transaction),
            Err(found) => unreadable.push(found),
        }
    }
    (transactions, unreadable)
}

/// Notes transactions that cannot be read, each once, and logs those that are new. A database that cannot be written
/// leaves them unnoted.
pub async fn note(pool: impl PgExecutor<'_>, found: &[Unreadable]) {
    if found.is_empty() {
        return;
    }
    let ids: Vec<Uuid> = found.iter().map(|one| one.transaction_id).collect();
    let reasons: Vec<String> = found.iter().map(|one| one.reason.clone()).collect();
    let noted = sqlx::query!(
        "insert into unreadable_transactions (id, reason)
         select * from unnest($1::uuid[], $2::text[]) on conflict do nothing
         returning id, reason",
        &ids,
        &reasons,
    )
    .fetch_all(pool)
    .await;
    match noted {
        Ok(new) => {
            for one in new {
                tracing::error!(transaction_id = %one.id, reason = one.reason, "a stored transaction cannot be read");
            }
        }
        Err(error) => tracing::debug!(%error, "transactions that cannot be read were not noted"),
    }
}

/// Deletes the notes of transactions that can be read again, or are gone.
///
/// # Errors
/// If PostgreSQL does not answer.
pub async fn forget_readable(pool: impl PgExecutor<'_> + Copy) -> Result<(), sqlx::Error> {
    let noted: Vec<Uuid> = sqlx::query_scalar!(
        // At random: if there are more, none is left out for ever.
        "select id from unreadable_transactions order by random() limit $1",
        MAX_CHECKED,
    )
    .fetch_all(pool)
    .await?;
    if noted.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_as!(
        Row,
        r#"select id, principal, state, amount::text as "amount!", currency, reference, idempotency_key, description,
            occurred_at as "occurred_at: StoredTime", source_account, destination_account,
            metadata::text as metadata, submitted_at as "submitted_at: StoredTime",
            completed_at as "completed_at: StoredTime", error, attempts,
            next_attempt_at as "next_attempt_at: StoredTime"
        from transactions where id = any ($1)"#,
        &noted,
    )
    .fetch_all(pool)
    .await?;
    let still: Vec<Uuid> = read_rows(rows).1.iter().map(|one| one.transaction_id).collect();
    sqlx::query!(
        "delete from unreadable_transactions where id = any ($1) and id <> all ($2)",
        &noted,
        &still,
    )
    .execute(pool)
    .await?;
    Ok(())
}
