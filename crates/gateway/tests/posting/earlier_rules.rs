//! Rules that became stricter apply to new submissions, never to what is stored.

use domain::{Currency, Principal, Scope, State};
use gateway::Filter;
use serde_json::json;

use crate::support::{Scripted, database, execute, executor, gateway, submission};

#[tokio::test]
async fn a_transaction_in_a_currency_that_is_refused_by_now_is_posted_shown_and_found() {
    let pool = database().await;
    let gateway = gateway(&pool);
    for code in ["HRK", "XXX"] {
        let service = Scripted::new();
        let (executor, _) = executor(&pool, &service).await;
        let currency = Currency::from_stored(code).unwrap();
        let mut submission = submission(json!({"amount": 1, "currency": "USD"}));
        submission.currency = currency;
        let submitted = gateway.submit(&Principal::anonymous(), submission).await.unwrap();
        let id = submitted.transaction.transaction_id;
        service.answers_status(201);
        execute(&executor, &pool, id).await.unwrap();
        let shown = gateway.transaction(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((shown.status, shown.currency), (State::Completed, currency));
        let filter = Filter { currency: Some(currency), ..Filter::default() };
        let found = gateway.transactions(&Scope::All, &filter, None, 10).await.unwrap();
        assert_eq!(found.data, [shown]);
    }
}
