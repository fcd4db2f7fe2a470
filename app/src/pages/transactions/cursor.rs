//! The cursor of the page after a transaction.

use domain::Transaction;
use uuid::Uuid;

/// The cursor of the page after `last`, as `gateway::Cursor` parses it. The server returns one with
/// every page, but a live list no longer ends where that page ended.
pub fn cursor_after(last: &Transaction) -> String {
    format!("{}_{}", last.submitted_at.timestamp_micros(), last.transaction_id.simple())
}

/// Whether a text has the form of a cursor.
pub fn is_cursor(text: &str) -> bool {
    let parts = text.split_once('_');
    parts.is_some_and(|(micros, id)| micros.parse::<i64>().is_ok() && id.parse::<Uuid>().is_ok())
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn the_engine_parses_the_cursor() {
        let transaction: Transaction = serde_json::from_value(serde_json::json!({
            "transactionId": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "status": "pending",
            "amount": 1, "currency": "USD", "submittedAt": "2026-01-31T12:00:00.123456Z",
            "attempts": 0,
        }))
        .unwrap();
        let cursor = cursor_after(&transaction);
        assert!(is_cursor(&cursor));
        assert!(!is_cursor("1_2") && !is_cursor(&cursor[..20]));
        assert_eq!(cursor.parse::<gateway::Cursor>().map(|it| it.to_string()), Ok(cursor));
    }
}
