//! Transactions that were stored by an earlier version: their repetitions are found, although contents and references
//! are compared otherwise by now.

use domain::{Caller, Principal, Scope};
use gateway::{Filter, Gateway, SubmitError, Submitted};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{database, gateway, submission};

/// White space around it, and an accent of its own.
const AS_SENT: &str = " cafe\u{301} 1 ";
const COMPOSED: &str = "caf\u{e9} 1";
/// In the form in which it is stored.
const METADATA: &str = "{\"a\":1.0,\"e\":\"cafe\u{301}\"}";

async fn submit(gateway: &Gateway, body: Value) -> Result<Submitted, SubmitError> {
    gateway.submit(&Principal::anonymous(), submission(body)).await
}

fn body(reference: Option<&str>, key: Option<&str>) -> Value {
    let metadata: Value = serde_json::from_str(METADATA).unwrap();
    json!({
        "amount": "1.50", "currency": "USD", "reference": reference, "idempotencyKey": key,
        "metadata": metadata,
    })
}

/// Stores the body as the first version did: with the reference as it was sent, and the fingerprint of the metadata as
/// it was written.
async fn store_as_at_first(
    pool: &PgPool,
    gateway: &Gateway,
    reference: Option<&str>,
    key: Option<&str>,
) {
    let first = submit(gateway, body(None, key)).await.unwrap().transaction;
    sqlx::raw_sql(
        "create or replace function pg_temp.field(text text) returns bytea language sql as $$
            select coalesce(int8send(octet_length(text)) || convert_to(text, 'UTF8'), '\\xffffffffffffffff')
        $$",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "update transactions set reference = $2, fingerprint = sha256(
            pg_temp.field('1.5') || pg_temp.field('USD') || pg_temp.field($2) || pg_temp.field(null)
            || pg_temp.field(null) || pg_temp.field(null) || pg_temp.field(null) || pg_temp.field($3)
        ) where id = $1",
    )
    .bind(first.transaction_id)
    .bind(reference)
    .bind(METADATA)
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_repetition_of_what_an_earlier_version_stored_is_its_replay() {
    let pool = database().await;
    let one = pool.options().clone().min_connections(0).max_connections(1);
    let one = one.connect_lazy_with(pool.connect_options().as_ref().clone());
    let gateway = gateway(&pool);
    store_as_at_first(&one, &gateway, Some(AS_SENT), None).await;
    store_as_at_first(&one, &gateway, None, Some("k")).await;
    for (reference, key) in [(Some(AS_SENT), None), (None, Some("k"))] {
        let again = submit(&gateway, body(reference, key)).await.unwrap();
        assert!(again.replayed, "{again:?}");
        assert_eq!(again.transaction.reference.as_deref(), reference);
        let mut other = body(reference, key);
        other["metadata"]["a"] = json!(2);
        assert!(submit(&gateway, other).await.is_err());
    }
    let rows = sqlx::query_scalar::<_, i64>("select count(*) from transactions");
    assert_eq!(rows.fetch_one(&pool).await.unwrap(), 2);
}

#[tokio::test]
async fn a_reference_of_an_earlier_version_is_found_by_the_text_that_was_sent() {
    let pool = database().await;
    let one = pool.options().clone().min_connections(0).max_connections(1);
    let one = one.connect_lazy_with(pool.connect_options().as_ref().clone());
    let gateway = gateway(&pool);
    store_as_at_first(&one, &gateway, Some(AS_SENT), None).await;
    let of = async |text: &str| {
        let found = gateway.transaction_of_reference(&Caller::anonymous(), text).await.unwrap();
        found.and_then(|found| found.reference)
    };
    let listed = async |text: &str| -> Vec<Option<String>> {
        let filter = Filter { reference: Some(text.to_owned()), ..Filter::default() };
        let page = gateway.transactions(&Scope::All, &filter, None, 10).await.unwrap();
        page.data.into_iter().map(|found| found.reference).collect()
    };
    assert_eq!(of(AS_SENT).await.as_deref(), Some(AS_SENT));
    assert_eq!(listed(AS_SENT).await, [Some(AS_SENT.to_owned())]);
    assert_eq!(of(COMPOSED).await, None);

    // Another spelling made another transaction then, and still does.
    let other = submit(&gateway, body(Some(COMPOSED), None)).await.unwrap();
    assert!(!other.replayed);
    assert_eq!(of(AS_SENT).await.as_deref(), Some(AS_SENT));
    for text in [COMPOSED, "cafe\u{301} 1", "\tcaf\u{e9} 1\n"] {
        assert_eq!(of(text).await.as_deref(), Some(COMPOSED));
        assert_eq!(listed(text).await, [Some(COMPOSED.to_owned())]);
    }
}
