//! The filter of a list and of a bulk retry.

use chrono::{DateTime, Utc};
use domain::{Currency, IdempotencyKey, Reference, State};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};

/// Which transactions to select. An absent field does not restrict them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// In this state.
    pub status: Option<State>,
    /// In this currency.
    pub currency: Option<Currency>,
    /// With this reference, whatever white space is around it.
    pub reference: Option<String>,
    /// With this idempotency key.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Submitted at or after this time: RFC 3339, or the same without an offset, which then is UTC. Do not poll by it: a
    /// transaction whose commit comes late appears behind this time; `GET /api/transactions/changes` misses none.
    pub from: Option<DateTime<Utc>>,
    /// Submitted before this time, in the same form.
    pub to: Option<DateTime<Utc>>,
    /// With at least this many counted attempts.
    pub min_attempts: Option<u32>,
}

impl Filter {
    /// Whether it has a condition that only a few transactions match.
    pub(crate) fn is_selective(&self) -> bool {
        self.reference.is_some() || self.idempotency_key.is_some()
    }

    /// Adds the conditions of [`Filter::is_selective`] to a query on `transactions` that has a `where`
    /// already.
    pub(crate) fn push_selective(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(text) = &self.reference {
            let reference = Reference::of(text);
            query.push(" and reference in (").push_bind(reference.as_str().to_owned());
            // A transaction that was stored before references had one form has the text itself.
            if let Some(text) = reference.sent_otherwise() {
                query.push(", ").push_bind(text.to_owned());
            }
            query.push(")");
        }
        if let Some(key) = &self.idempotency_key {
            query.push(" and idempotency_key = ").push_bind(key.as_str().to_owned());
        }
    }

    /// Adds its conditions to a query on `transactions` that has a `where` already. The text depends on the
    /// fields, so that each combination is planned separately.
    pub(crate) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(status) = self.status {
            query.push(" and state = ").push_bind(status.as_str());
        }
        if let Some(currency) = self.currency {
            query.push(" and currency = ").push_bind(currency.code().to_owned());
        }
        self.push_selective(query);
        if let Some(from) = self.from {
            query.push(" and submitted_at >= ").push_bind(from);
        }
        if let Some(to) = self.to {
            query.push(" and submitted_at < ").push_bind(to);
        }
        if let Some(min_attempts) = self.min_attempts {
            query.push(" and attempts >= ").push_bind(i64::from(min_attempts));
        }
    }
}
