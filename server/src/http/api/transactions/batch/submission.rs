//! Submits the lines of a batch, many at once.

use std::{collections::HashSet, time::Duration};

use domain::{IdempotencyKey, Principal, Reference, Submission};
use futures::{StreamExt, stream};
use gateway::{Gateway, SubmitError, Submitted};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use uuid::Uuid;

use crate::http::problem::Problem;

/// Lines of one batch in flight: as many as one commit takes.
const MAX_LINES_IN_FLIGHT: usize = 256;
/// Permits for the lines of all batches in flight. The batcher's queue is four times as long, so that batches never fill
/// it and single submissions find room.
static PERMITS: Semaphore = Semaphore::const_new(1024);
/// How long a line may wait until it is submitted. After that it is answered with 503.
const START_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause of a line before it tries a full queue again.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Submits the lines that could be read, and returns a result for each line, in order.
pub async fn submit_all(
    gateway: &Gateway,
    principal: &Principal,
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
    let start_before = Instant::now() + START_TIMEOUT;
    // If two lines share a name, the first one is stored. So all lines that repeat a name wait for the second wave.
    for wave in [firsts, repetitions] {
        let submitted = stream::iter(wave)
            .map(async |(index, submission)| {
                (index, submit_line(gateway, principal, submission, start_before).await)
            })
            .buffer_unordered(MAX_LINES_IN_FLIGHT);
        results.extend(submitted.collect::<Vec<_>>().await);
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A name by which a line may be the same transaction as another line.
#[derive(PartialEq, Eq, Hash)]
enum Name {
    Id(Uuid),
    Reference(String),
    Key(IdempotencyKey),
}

fn names_of(submission: &Submission) -> Vec<Name> {
    let id = submission.id.map(Name::Id);
    let reference = submission.reference.clone().map(Reference::into_string).map(Name::Reference);
    let key = submission.idempotency_key.clone().map(Name::Key);
    [id, reference, key].into_iter().flatten().collect()
}

async fn submit_line(
    gateway: &Gateway,
    principal: &Principal,
    submission: Submission,
    start_before: Instant,
) -> Result<Submitted, Problem> {
    loop {
        let permit = timeout_at(start_before, PERMITS.acquire()).await;
        if permit.is_err() || Instant::now() >= start_before {
            return Err(SubmitError::Overloaded.into());
        }
        match gateway.submit(principal, submission.clone()).await {
            Err(SubmitError::Overloaded) => sleep(RETRY_PAUSE).await,
            Err(error) => return Err(Problem::from(error).about(submission.id)),
            Ok(submitted) => return Ok(submitted),
        }
    }
}
