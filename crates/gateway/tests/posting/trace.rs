//! The trace of a submission continues at the posting service.

use domain::{Ending, Finding, Principal, TraceParent, TraceState};
use serde_json::json;

use crate::support::{Scripted, database, execute, executor, gateway, let_time_pass, submission};

#[tokio::test]
async fn every_request_continues_the_trace_of_the_submission_or_starts_one_for_the_transaction() {
    let pool = database().await;
    let gateway = gateway(&pool);
    let clients = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
    let vendors: TraceState = "rojo=00f067aa0ba902b7".parse().unwrap();
    for trace_parent in [Some(clients), None] {
        let service = Scripted::new();
        let (executor, _) = executor(&pool, &service).await;
        let mut submission = submission(json!({"amount": 1, "currency": "USD"}));
        submission.trace_parent = trace_parent;
        submission.trace_state = Some(vendors.clone());
        let submitted = gateway.submit(&Principal::anonymous(), submission).await.unwrap();
        let id = submitted.transaction.transaction_id;
        service.answers(Ending::TimedOut).shows(Finding::Absent).shows(Finding::Absent);
        service.answers_status(201);
        for _ in 0..3 {
            let_time_pass(&pool, id, 60).await;
            execute(&executor, &pool, id).await.unwrap();
        }
        assert_eq!(service.requests(), ["post", "verify", "verify", "post"]);
        let expected = trace_parent.unwrap_or(TraceParent::of_transaction(id));
        // Without a traceparent, a tracestate says nothing.
        let state = trace_parent.map(|_| vendors.clone());
        let traces = std::mem::take(&mut *service.traces.lock().unwrap());
        assert_eq!(traces, vec![(expected, state); 4]);
        assert!(trace_parent.is_some() || expected.trace_id() == id.simple().to_string());
    }
}
