//! Whether what was accepted was posted: each exactly once.

use uuid::Uuid;

use crate::{Fallible, posting_service::PostingService};

/// Compares what was accepted with what arrived.
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
