//! The audit of a scenario: every accepted transaction is stored, and was posted exactly once.

use uuid::Uuid;

use crate::environment::posting_service::PostingService;
use crate::environment::testbed::Testbed;
use crate::error::Fallible;

/// Checks that all accepted transactions are in the table.
///
/// # Errors
/// Some are missing: how many, and the id of one.
pub async fn stored(testbed: &Testbed, database: &str, accepted: &[Uuid]) -> Fallible<()> {
    let mut connection = testbed.cluster.connect(database).await?;
    let lost: Vec<Uuid> = sqlx::query_scalar(
        "select id from unnest($1::uuid[]) as given (id)
         where not exists (select from transactions where transactions.id = given.id)",
    )
    .bind(accepted)
    .fetch_all(&mut connection)
    .await?;
    match lost.first() {
        None => Ok(()),
        Some(id) => {
            Err(format!("{} transactions were accepted and lost, such as {id}", lost.len()).into())
        }
    }
}

/// Checks that all accepted transactions arrived at the posting service exactly once.
///
/// # Errors
/// Some are missing or arrived more than once: how many, and the id of one.
pub fn posted_once(service: &PostingService, accepted: &[Uuid]) -> Fallible<()> {
    let entries = service.entries();
    let missing: Vec<&Uuid> = accepted.iter().filter(|id| !entries.contains_key(*id)).collect();
    let twice: Vec<&Uuid> =
        entries.iter().filter(|(_, entry)| entry.posts > 1).map(|(id, _)| id).collect();
    for (ids, what) in [(&missing, "accepted and never posted"), (&twice, "posted more than once")]
    {
        if let Some(id) = ids.first() {
            return Err(format!("{} transactions were {what}, such as {id}", ids.len()).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Connection;

    fn post_of(id: Uuid) -> Vec<u8> {
        let body = format!(r#"{{"id":"{id}","amount":12.30,"currency":"EUR"}}"#);
        let length = body.len();
        format!("POST /transactions HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes()
    }

    #[tokio::test]
    async fn missing_and_duplicate_posts_are_found() {
        let service = PostingService::start().unwrap();
        let addr = service.url().strip_prefix("http://").unwrap().parse().unwrap();
        let mut client = Connection::open(addr).await.unwrap();
        let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
        assert_eq!(client.call(&post_of(first)).await.unwrap().0, 201);
        posted_once(&service, &[first]).unwrap();
        let missing = posted_once(&service, &[first, second]).unwrap_err();
        assert!(missing.to_string().contains("never posted"), "{missing}");
        client.call(&post_of(first)).await.unwrap();
        let twice = posted_once(&service, &[first]).unwrap_err();
        assert!(twice.to_string().contains("more than once"), "{twice}");
    }
}
