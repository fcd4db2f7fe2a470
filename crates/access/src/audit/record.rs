//! Writing entries.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::entry::{Entry, stored};
use crate::{Access, AccessError};

impl Access {
    /// Writes an entry, and returns when it is committed. For acts of which no entry may be lost.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub async fn record(&self, entry: Entry) -> Result<(), AccessError> {
        Ok(insert(&self.pool, &[(None, entry)]).await?)
    }
}

/// Writes entries in one statement, each with the time at which it happened, or with the time of the statement.
pub(super) async fn insert(
    executor: impl PgExecutor<'_>,
    entries: &[(Option<DateTime<Utc>>, Entry)],
) -> Result<(), sqlx::Error> {
    let texts = |text: fn(&Entry) -> Option<&str>| -> Vec<Option<String>> {
        entries.iter().map(|(_, entry)| text(entry).map(stored)).collect()
    };
    let names = |name: fn(&Entry) -> &'static str| -> Vec<&'static str> {
        entries.iter().map(|(_, entry)| name(entry)).collect()
    };
    let ats: Vec<_> = entries.iter().map(|(at, _)| *at).collect();
    let addresses: Vec<_> = entries.iter().map(|(_, entry)| entry.actor.address_text()).collect();
    let befores: Vec<_> =
        entries.iter().map(|(_, entry)| entry.before.as_ref().map(ToString::to_string)).collect();
    let afters: Vec<_> =
        entries.iter().map(|(_, entry)| entry.after.as_ref().map(ToString::to_string)).collect();
    sqlx::query!(
        "insert into audit
            (at, principal, kind, credential, address, request_id, action, object, outcome, before, after, reason)
         select coalesce(at, clock_timestamp()), principal, kind, credential, address::inet, request_id, action, object,
            outcome, before::json, after::json, reason
         from unnest(
            $1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::text[]
         ) with ordinality as given
            (at, principal, kind, credential, address, request_id, action, object, outcome, before, after, reason,
                position)
         order by position",
        &ats as &[Option<DateTime<Utc>>],
        &texts(|entry| Some(entry.actor.principal.as_str())) as &[Option<String>],
        &names(|entry| entry.actor.kind.as_str()) as &[&str],
        &texts(|entry| entry.actor.credential.as_deref()) as &[Option<String>],
        &addresses as &[Option<String>],
        &texts(|entry| entry.actor.request_id.as_deref()) as &[Option<String>],
        &names(|entry| entry.action.as_str()) as &[&str],
        &texts(|entry| Some(&entry.object)) as &[Option<String>],
        &names(|entry| entry.outcome.as_str()) as &[&str],
        &befores as &[Option<String>],
        &afters as &[Option<String>],
        &texts(|entry| entry.reason.as_deref()) as &[Option<String>],
    )
    .execute(executor)
    .await?;
    Ok(())
}
