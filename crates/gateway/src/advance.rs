//! The changes that a claim makes. Each is one statement, guarded by the fence, and records why
//! together with what. Where it changes no row, the claim was taken over: [`Lost`].

use chrono::{DateTime, Utc};
use domain::{
    Outcome, State, Window,
    protocol::{DoubtReason, Failure, Step},
};
use sqlx::PgPool;

use crate::{
    EngineError,
    claim::Claim,
    job::{Job, POSTING, VERIFICATION},
    posting::{Answer, Sighting},
};

/// The fence was raised by somebody else; this claim changes nothing any more.
#[derive(Debug)]
pub struct Lost;

/// Why a change is made: what has been learnt since the last one.
#[derive(Debug)]
pub enum Evidence {
    /// Nothing new.
    None,
    /// How the claim's attempt ended.
    Attempt { answer: Answer, outcome: Outcome, window: Option<Window> },
    /// What a verification of the latest attempt showed.
    Verification { sighting: Sighting, started_at: DateTime<Utc>, ended_at: DateTime<Utc> },
}

impl Evidence {
    /// In words, for the transaction's `error`; `None` where it is no trouble.
    fn trouble(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Attempt { outcome: Outcome::Posted, .. } => None,
            Self::Attempt { answer, .. } => Some(match (&answer.transport_error, &answer.ending) {
                (_, domain::Ending::Answered { status, .. }) => match &answer.excerpt {
                    Some(excerpt) => format!("the posting service answered {status}: {excerpt}"),
                    None => format!("the posting service answered {status}"),
                },
                (Some(error), _) => error.clone(),
                (None, _) => "no answer from the posting service".to_owned(),
            }),
            Self::Verification { sighting, .. } => {
                let error = sighting.error.as_deref()?;
                Some(format!("verification: {error}"))
            }
        }
    }
}

/// Where a step leaves the transaction.
struct Destination {
    /// `None` where it stays claimed as it is.
    state: Option<State>,
    /// When it is due again.
    due_at: Option<DateTime<Utc>>,
    /// `None` keeps the error that is there.
    error: Option<String>,
}

fn destination(step: &Step, evidence: &Evidence) -> Destination {
    let trouble = evidence.trouble();
    match step {
        Step::Verify | Step::Post => Destination { state: None, due_at: None, error: trouble },
        Step::Complete => Destination { state: Some(State::Completed), due_at: None, error: None },
        Step::Retry { at } | Step::PostAgain { at } => {
            Destination { state: Some(State::Pending), due_at: Some(*at), error: trouble }
        }
        Step::Fail(Failure::Refused) => {
            Destination { state: Some(State::Failed), due_at: None, error: trouble }
        }
        Step::Fail(Failure::ProvenAbsent) => Destination {
            state: Some(State::Failed),
            due_at: None,
            error: Some(
                "no attempts are left, and the posting service does not have it".to_owned(),
            ),
        },
        Step::InDoubt { reason, at } => {
            let reason = match reason {
                DoubtReason::OutcomeUnknown => "no attempts are left, and the outcome is unknown",
                DoubtReason::Mismatch => {
                    "the posting service has an entry under this id with another amount or currency"
                }
            };
            let error = Some(reason.to_owned());
            Destination { state: Some(State::InDoubt), due_at: *at, error }
        }
    }
}

/// Records the evidence and does what `step` says to the transaction and its job. After
/// [`Step::Verify`] the claim holds; after any other step it is over.
pub async fn record(
    pool: &PgPool,
    claim: &Claim,
    evidence: &Evidence,
    step: &Step,
) -> Result<Result<(), Lost>, EngineError> {
    let to = destination(step, evidence);
    let (mut ended, mut seen) = (None, None);
    match evidence {
        Evidence::None => {}
        Evidence::Attempt { answer, outcome, window } => ended = Some((answer, *outcome, *window)),
        Evidence::Verification { sighting, started_at, ended_at } => {
            seen = Some((sighting, *started_at, *ended_at));
        }
    }
    let http_status = ended.and_then(|(answer, ..)| match answer.ending {
        domain::Ending::Answered { status, .. } => Some(i32::from(status)),
        _ => None,
    });
    let changed = sqlx::query_scalar!(
        r#"
        with moved as (
            update transactions set
                state = coalesce($3, state),
                claimed_by = case when $3::text is null then claimed_by end,
                next_attempt_at = $4,
                error = case when $3 = 'completed' then null else coalesce($5, error) end,
                completed_at = case when $6 then clock_timestamp() end,
                -- An attempt that was not sent is given back.
                attempts = attempts - case when $7 = 'not_sent' then 1 else 0 end,
                verifications = verifications + case when $12::text is null then 0 else 1 end,
                -- What ends a claim without losing its worker shows that it can be worked on.
                lost_claims = case when $3::text is null then lost_claims else 0 end,
                doubt_since = case when $20 then null when $7::text is null then doubt_since
                    when $8::text is null then null else clock_timestamp() end,
                doubt_window = case when $20 then null when $7::text is null then doubt_window
                    else $8 end,
                changed_in = current_change()
            where id = $1 and fence = $2 and claimed_by is not null
                and state in ('processing', 'in_doubt')
            returning id, doubt_since
        ),
        ended as (
            update attempts set
                ended_at = clock_timestamp(), outcome = $7, http_status = $9,
                transport_error = $10, answer_excerpt = $11
            from moved
            where attempts.transaction_id = moved.id and attempts.fence = $2 and $7::text is not null
        ),
        seen as (
            insert into verifications
                (transaction_id, fence, started_at, ended_at, finding, http_status, error)
            select id, (select max(fence) from attempts where transaction_id = $1), $13, $14, $12, $15, $16
            from moved
            where $12::text is not null
        ),
        found as (
            update attempts set outcome = 'posted'
            from moved
            where attempts.transaction_id = moved.id and $12 = 'found'
                and attempts.fence = (select max(fence) from attempts where transaction_id = $1)
        ),
        due as (
            insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            select $17, case when doubt_since is null then $18 else $19 end,
                convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, $4, 0
            from moved
            where $4::timestamptz is not null
            on conflict (id) do update set
                job_type = excluded.job_type, status = 'Pending', attempts = 0,
                run_at = excluded.run_at, lock_by = null, lock_at = null
        ),
        over as (
            delete from apalis.jobs using moved
            where jobs.id = $17 and $3::text is not null and $4::timestamptz is null
        )
        select count(*) as "count!" from moved
        "#,
        claim.posting.id,
        claim.fence,
        to.state.map(State::as_str),
        to.due_at,
        to.error,
        to.state.is_some_and(State::is_final),
        ended.map(|(_, outcome, _)| outcome.as_str()),
        ended.and_then(|(_, _, window)| window).map(Window::as_str),
        http_status,
        ended.and_then(|(answer, ..)| answer.transport_error.as_deref()),
        ended.and_then(|(answer, ..)| answer.excerpt.as_deref()),
        seen.map(|(sighting, ..)| sighting.finding.as_str()),
        seen.map(|(_, started_at, _)| started_at),
        seen.map(|(.., ended_at)| ended_at),
        seen.and_then(|(sighting, ..)| sighting.http_status).map(i32::from),
        seen.and_then(|(sighting, ..)| sighting.error.as_deref()),
        Job::id_of(claim.posting.id),
        POSTING,
        VERIFICATION,
        matches!(step, Step::PostAgain { .. }),
    )
    .fetch_one(pool)
    .await?;
    Ok(if changed == 1 { Ok(()) } else { Err(Lost) })
}
