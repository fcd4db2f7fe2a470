//! Where the list goes on after a transaction.

use domain::Transaction;

/// The cursor of the page after `last`: what `gateway::Cursor` reads. The server gives one with
/// every page, but a live list moves on from where the server left it.
pub fn cursor_after(last: &Transaction) -> String {
    format!("{}_{}", last.submitted_at.timestamp_micros(), last.transaction_id.simple())
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn the_engine_reads_it_back() {
        let transaction: Transaction = serde_json::from_value(serde_json::json!({
            "transactionId": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "status": "pending",
            "amount": 1, "currency": "USD", "submittedAt": "2026-01-31T12:00:00.123456Z",
            "attempts": 0,
        }))
        .unwrap();
        let cursor = cursor_after(&transaction);
        assert_eq!(cursor.parse::<gateway::Cursor>().map(|it| it.to_string()), Ok(cursor));
    }
}
