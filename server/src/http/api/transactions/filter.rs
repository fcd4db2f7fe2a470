//! The filter of transactions in a query or a body.

use std::str::FromStr;

use axum::extract::{Query, rejection::QueryRejection};
use domain::{Currency, IdempotencyKey, State, date_time::read_date_time, number::ExactNumber};
use gateway::Filter;
use serde_json::Value;

use crate::http::{
    problem::Problem,
    request::fields::{Fields, without_nul},
};

/// A query whose fields are not checked yet.
pub type UncheckedQuery = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The fields of a filter.
pub const FIELDS: [&str; 7] =
    ["status", "currency", "reference", "idempotencyKey", "from", "to", "minAttempts"];

/// The largest number of attempts that a row can hold.
const MAX_ATTEMPTS: u32 = i32::MAX as u32;

/// Reads the filter of a query. The caller still reads the fields `others`.
///
/// # Errors
/// 400 if the query cannot be read.
pub fn of_query(query: UncheckedQuery, others: &[&str]) -> Result<(Filter, Fields), Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut fields = Fields::of_query(query);
    fields.refuse_unknown("", &[&FIELDS, others].concat());
    let filter = read(&mut fields, "", State::from_str);
    Ok((filter, fields))
}

/// Reads the filter whose fields are below the JSON pointer `at`; `status` parses the states that are allowed.
pub fn read<E: ToString>(
    fields: &mut Fields,
    at: &str,
    status: impl FnOnce(&str) -> Result<State, E>,
) -> Filter {
    let at = |name: &str| format!("{at}/{name}");
    Filter {
        status: fields.text(&at("status"), status),
        currency: fields.text(&at("currency"), Currency::from_stored),
        reference: fields.text(&at("reference"), without_nul),
        idempotency_key: fields.text(&at("idempotencyKey"), IdempotencyKey::from_str),
        from: fields.text(&at("from"), read_date_time),
        to: fields.text(&at("to"), read_date_time),
        min_attempts: fields.read(&at("minAttempts"), |value| {
            // A string in a query; a number in a body, where 2.0 is 2.
            let number = match value {
                Value::String(text) => text.parse().ok(),
                Value::Number(number) => {
                    ExactNumber::parse(number.as_str()).and_then(|number| number.as_u64())
                }
                _ => None,
            };
            let number = number.and_then(|number| u32::try_from(number).ok());
            number
                .filter(|number| *number <= MAX_ATTEMPTS)
                .ok_or_else(|| format!("must be a whole number from 0 to {MAX_ATTEMPTS}"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_attempts_in_a_body_is_read_exactly() {
        let of = |json: &str| {
            let mut fields = Fields::of_body(serde_json::from_str(json).unwrap_or_default());
            let filter = read(&mut fields, "", State::from_str);
            fields.finish(Some(filter.min_attempts)).ok()
        };
        for number in ["2", "2.0", "20e-1"] {
            assert_eq!(of(&format!(r#"{{"minAttempts": {number}}}"#)), Some(Some(2)), "{number}");
        }
        for number in ["2.00000000000000000000000001", "-1", "2147483648", "1e999", "true"] {
            assert_eq!(of(&format!(r#"{{"minAttempts": {number}}}"#)), None, "{number}");
        }
    }
}
