//! A commit of submissions whose answer is lost, on a connection that stays open and silent.

use domain::{Principal, Scope, State};
use serde_json::json;

use crate::{
    breakpoints::bounded,
    fixture::Environment,
    support::{self, submission},
};

#[tokio::test]
async fn a_submission_that_was_committed_without_an_answer_is_looked_up_and_accepted() {
    let env = Environment::new().await;
    let gateway = support::gateway(&env.connections());
    for id in [None, Some("7c9e6679-7425-40de-944b-e07fc1f90ae7")] {
        env.proxy.silence("insert into transactions", 1);
        let body = submission(json!({"id": id, "amount": 1, "currency": "USD"}));
        let principal = Principal::anonymous();
        let submitted = bounded("a submission", gateway.submit(&principal, body)).await.unwrap();
        assert_eq!(env.proxy.take_lost(), 1);
        assert_eq!(submitted.transaction.status, State::Pending);
        // Of an id that the client chose, it is unknown which submission stored it.
        assert_eq!(submitted.replayed, id.is_some());
        let stored = env
            .gateway
            .transaction(&Scope::All, submitted.transaction.transaction_id)
            .await
            .unwrap();
        assert_eq!(stored, Some(submitted.transaction));
    }
}
