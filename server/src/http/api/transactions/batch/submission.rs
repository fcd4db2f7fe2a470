//! Submitting the lines of a batch, many at once.

use std::{collections::HashSet, time::Duration};

use domain::{IdempotencyKey, Principal, Submission};
use futures::{StreamExt, stream};
use gateway::{Gateway, SubmitError, Submitted};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use uuid::Uuid;

use crate::http::problem::Problem;

/// Lines of one batch that wait for their commit at once: as many as one commit takes.
const LINES_AT_ONCE: usize = 256;
/// Lines of all batches that do. The queue of the group commit is four times as long, so that batches
/// never take it from those who submit one by one.
static PLACES: Semaphore = Semaphore::const_new(1024);
/// A line that could not be handed over within this time is told to come again.
const BEGINS_WITHIN: Duration = Duration::from_secs(1);
/// How long a line stays away from a full queue.
const PAUSE: Duration = Duration::from_millis(10);

/// Submits what could be read, and gives a result for each line, in order.
pub async fn submit_all(
    gateway: &Gateway,
    lines: Vec<Result<Submission, Problem>>,
) -> Vec<Result<Submitted, Problem>> {
    let mut results = Vec::new();
    let (mut firsts, mut repetitions) = (Vec::new(), Vec::new());
    let mut names = HashSet::new();
    for (index, line) in lines.into_iter().enumerate() {
        match line {
            Err(problem) => results.push((index, Err(problem))),
            Ok(submission) => {
                let its = names_of(&submission);
                let is_first = its.iter().all(|name| !names.contains(name));
                names.extend(its);
                if is_first { &mut firsts } else { &mut repetitions }.push((index, submission));
            }
        }
    }
    let begins_before = Instant::now() + BEGINS_WITHIN;
    // What two lines call the same is the first one's, so the first goes first.
    for wave in [firsts, repetitions] {
        let answered = stream::iter(wave)
            .map(async |(index, submission)| {
                (index, submit_line(gateway, submission, begins_before).await)
            })
            .buffer_unordered(LINES_AT_ONCE);
        results.extend(answered.collect::<Vec<_>>().await);
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What a line may have in common with another one.
#[derive(PartialEq, Eq, Hash)]
enum Name {
    Id(Uuid),
    Reference(String),
    Key(IdempotencyKey),
}

fn names_of(submission: &Submission) -> Vec<Name> {
    let id = submission.id.map(Name::Id);
    let reference = submission.reference.clone().map(Name::Reference);
    let key = submission.idempotency_key.clone().map(Name::Key);
    [id, reference, key].into_iter().flatten().collect()
}

async fn submit_line(
    gateway: &Gateway,
    submission: Submission,
    begins_before: Instant,
) -> Result<Submitted, Problem> {
    loop {
        let place = timeout_at(begins_before, PLACES.acquire()).await;
        if place.is_err() || Instant::now() >= begins_before {
            return Err(SubmitError::Overloaded.into());
        }
        match gateway.submit(&Principal::anonymous(), submission.clone()).await {
            Err(SubmitError::Overloaded) => sleep(PAUSE).await,
            Err(error) => return Err(Problem::from(error).about(submission.id)),
            Ok(submitted) => return Ok(submitted),
        }
    }
}
