//! Whether what was accepted is there, and was posted: each exactly once.

use uuid::Uuid;

use crate::{Fallible, posting_service::PostingService, stage::Stage};

/// Looks for what was accepted in the table.
///
/// # Errors
/// Where something is not there: it says how many, and names one.
pub async fn stored(stage: &Stage, database: &str, accepted: &[Uuid]) -> Fallible<()> {
    let mut connection = stage.cluster.connect(database).await?;
    let lost: Vec<Uuid> = sqlx::query_scalar(
        "select id from unnest($1::uuid[]) as given (id)
         where not exists (select from transactions where transactions.id = given.id)",
    )
    .bind(accepted)
    .fetch_all(&mut connection)
    .await?;
    match lost.first() {
        None => Ok(()),
        Some(id) => Err(format!("{} were accepted and lost, such as {id}", lost.len()).into()),
    }
}

/// Compares what was accepted with what arrived at the posting service.
///
/// # Errors
/// Where something is missing or arrived twice: it says how many, and names one.
pub fn posted_once(service: &PostingService, accepted: &[Uuid]) -> Fallible<()> {
    let entries = service.entries();
    let missing: Vec<&Uuid> = accepted.iter().filter(|id| !entries.contains_key(*id)).collect();
    let twice: Vec<&Uuid> =
        entries.iter().filter(|(_, entry)| entry.posts > 1).map(|(id, _)| id).collect();
    for (ids, what) in [(&missing, "accepted and never posted"), (&twice, "posted more than once")]
    {
        if let Some(id) = ids.first() {
            return Err(format!("{} were {what}, such as {id}", ids.len()).into());
        }
    }
    Ok(())
}
