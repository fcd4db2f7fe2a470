//! Which transactions are meant: of a list, and of a bulk retry.

use chrono::{DateTime, Utc};
use domain::{Currency, IdempotencyKey, State};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};

/// Which transactions are meant. What is left out does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Of this state.
    pub status: Option<State>,
    /// In this currency.
    pub currency: Option<Currency>,
    /// With this reference.
    pub reference: Option<String>,
    /// With this key.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Submitted at or after.
    pub from: Option<DateTime<Utc>>,
    /// Submitted before.
    pub to: Option<DateTime<Utc>>,
    /// With at least this many counted attempts.
    pub min_attempts: Option<u32>,
}

impl Filter {
    /// Whether it asks for what only a few transactions have.
    pub(crate) fn names_few(&self) -> bool {
        self.reference.is_some() || self.idempotency_key.is_some()
    }

    /// Adds what [`Filter::names_few`] is about to a query on `transactions` that has a `where` already.
    pub(crate) fn push_names(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(reference) = &self.reference {
            query.push(" and reference = ").push_bind(reference.clone());
        }
        if let Some(key) = &self.idempotency_key {
            query.push(" and idempotency_key = ").push_bind(key.as_str().to_owned());
        }
    }

    /// Adds its conditions to a query on `transactions` that has a `where` already. Built, so that each
    /// combination of filters is planned for itself.
    pub(crate) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(status) = self.status {
            query.push(" and state = ").push_bind(status.as_str());
        }
        if let Some(currency) = self.currency {
            query.push(" and currency = ").push_bind(currency.code());
        }
        self.push_names(query);
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
