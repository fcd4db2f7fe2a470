//! The changes that a claim makes. Each is guarded by the fence and records its evidence in the same
//! statement. If it changes no row, the claim no longer holds: [`StaleFence`].

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use domain::{
    Outcome, State, Window, error_text,
    protocol::{DoubtReason, Failure, Step},
};
use uuid::Uuid;

use super::{
    claim::Claim,
    service::{LookupAnswer, PostAnswer},
};
use crate::{
    database::BoundedPool,
    job::{Job, POSTING, VERIFICATION},
};

/// The fence was raised by another process; this claim can change nothing any more.
#[derive(Debug)]
pub struct StaleFence;

/// Why a change is made: what was learnt since the last one.
#[derive(Debug)]
pub enum Evidence {
    /// Nothing was learnt.
    None,
    /// How the claim's attempt ended.
    Attempt { answer: PostAnswer, outcome: Outcome, window: Option<Window> },
    /// What a verification of the latest attempt found.
    Verification { lookup: LookupAnswer, started_at: DateTime<Utc>, ended_at: DateTime<Utc> },
}

impl Evidence {
    /// The text for the transaction's `error`; `None` if there was no error.
    fn error(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Attempt { outcome: Outcome::Posted, .. } => None,
            Self::Attempt { answer, .. } => Some(match (&answer.transport_error, &answer.ending) {
                (_, domain::Ending::Answered { status, .. }) => {
                    error_text::answered(*status, answer.excerpt.as_deref())
                }
                (Some(error), _) => error.clone(),
                (None, _) => "no answer from the posting service".to_owned(),
            }),
            Self::Verification { lookup, .. } => {
                let error = lookup.error.as_deref()?;
                Some(error_text::of_verification(error))
            }
        }
    }
}

/// The transaction after a step.
#[derive(Debug)]
struct Destination {
    /// `None` if it stays claimed in its current state.
    state: Option<State>,
    /// When it is due again.
    due_at: Option<DateTime<Utc>>,
    /// `None` keeps the current error.
    error: Option<String>,
}

fn destination(step: &Step, evidence: &Evidence) -> Destination {
    let error = evidence.error();
    match step {
        Step::Verify | Step::Post => Destination { state: None, due_at: None, error },
        Step::Complete => Destination { state: Some(State::Completed), due_at: None, error: None },
        Step::Retry { at } | Step::PostAgain { at } => {
            Destination { state: Some(State::Pending), due_at: Some(*at), error }
        }
        Step::Fail(Failure::Refused) => {
            Destination { state: Some(State::Failed), due_at: None, error }
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
                DoubtReason::OutcomeUnknown => {
                    "no attempts are left, and the outcome is unknown".to_owned()
                }
                DoubtReason::VerificationFails => {
                    let error = error.as_deref().unwrap_or("no answer");
                    format!("the outcome is unknown, and verification has failed for long: {error}")
                }
                DoubtReason::Mismatch => {
                    "the posting service has an entry under this id with another amount or currency"
                        .to_owned()
                }
            };
            Destination { state: Some(State::InDoubt), due_at: *at, error: Some(reason) }
        }
    }
}

/// A change that a claim makes: the evidence, and the effect of the step on the transaction and its job.
/// After [`Step::Verify`] the claim still holds; after any other step it has ended.
#[derive(Debug)]
pub struct Change {
    id: Uuid,
    fence: i64,
    evidence: Evidence,
    to: Destination,
    /// Whether no doubt is left about the attempts so far.
    is_clear: bool,
}

impl Change {
    /// The change that `step` makes to a claimed transaction.
    pub fn new(claim: &Claim, evidence: Evidence, step: &Step) -> Self {
        Self {
            id: claim.id,
            fence: claim.fence,
            to: destination(step, &evidence),
            evidence,
            is_clear: matches!(step, Step::PostAgain { .. }),
        }
    }

    fn attempt(&self) -> Option<(&PostAnswer, Outcome, Option<Window>)> {
        match &self.evidence {
            Evidence::Attempt { answer, outcome, window } => Some((answer, *outcome, *window)),
            _ => None,
        }
    }

    fn verification(&self) -> Option<(&LookupAnswer, DateTime<Utc>, DateTime<Utc>)> {
        match &self.evidence {
            Evidence::Verification { lookup, started_at, ended_at } => {
                Some((lookup, *started_at, *ended_at))
            }
            _ => None,
        }
    }

    fn http_status(&self) -> Option<i32> {
        match self.attempt()?.0.ending {
            domain::Ending::Answered { status, .. } => Some(status.into()),
            _ => None,
        }
    }
}

/// Makes the changes. Returns for each, in order, whether its claim held.
pub async fn record(
    pool: &BoundedPool,
    changes: &[Change],
) -> Result<Vec<Result<(), StaleFence>>, sqlx::Error> {
    let mut sorted: Vec<&Change> = changes.iter().collect();
    // Two batches that share ids take their locks in the same order.
    sorted.sort_by_key(|change| change.id);
    let ids = column(&sorted, |change| change.id);
    let fences = column(&sorted, |change| change.fence);
    let job_ids = column(&sorted, |change| Job::id_of(change.id));
    let states = column(&sorted, |change| change.to.state.map(State::as_str));
    let are_final = column(&sorted, |change| change.to.state.is_some_and(State::is_final));
    let due_ats = column(&sorted, |change| change.to.due_at);
    let errors = column(&sorted, |change| change.to.error.as_deref());
    let are_clear = column(&sorted, |change| change.is_clear);
    let outcomes =
        column(&sorted, |change| change.attempt().map(|(_, outcome, _)| outcome.as_str()));
    let windows = column(&sorted, |change| change.attempt()?.2.map(Window::as_str));
    let http_statuses = column(&sorted, |change| change.http_status());
    let transport_errors = column(&sorted, |change| change.attempt()?.0.transport_error.as_deref());
    let excerpts = column(&sorted, |change| change.attempt()?.0.excerpt.as_deref());
    let findings =
        column(&sorted, |change| change.verification().map(|(lookup, ..)| lookup.finding.as_str()));
    let started_ats =
        column(&sorted, |change| change.verification().map(|(_, started_at, _)| started_at));
    let ended_ats = column(&sorted, |change| change.verification().map(|(.., ended_at)| ended_at));
    let lookup_statuses =
        column(&sorted, |change| change.verification()?.0.http_status.map(i32::from));
    let lookup_errors = column(&sorted, |change| change.verification()?.0.error.as_deref());
    let rows = sqlx::query!(
        r#"
        with given as (
            select * from unnest(
                $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[],
                $7::text[], $8::boolean[], $9::text[], $10::text[], $11::integer[], $12::text[],
                $13::text[], $14::text[], $15::timestamptz[], $16::timestamptz[], $17::integer[],
                $18::text[]
            ) as given (
                id, fence, job_id, state, is_final, due_at, error, is_clear, outcome, doubt_window,
                http_status, transport_error, answer_excerpt, finding, started_at, ended_at,
                lookup_status, lookup_error
            )
        ),
        moved as (
            update transactions t set
                state = coalesce(given.state, t.state),
                claimed_by = case when given.state is null then t.claimed_by end,
                next_attempt_at = given.due_at,
                error = case when given.state = 'completed' then null
                    else coalesce(given.error, t.error) end,
                completed_at = case when given.is_final then clock_timestamp() end,
                -- An attempt that was not sent does not count.
                attempts = t.attempts - case when given.outcome = 'not_sent' then 1 else 0 end,
                verifications = t.verifications + (given.finding is not null)::int,
                -- A claim that ends while its worker lives ends the series of worker deaths.
                lost_claims = case when given.state is null then t.lost_claims else 0 end,
                doubt_since = case when given.is_clear then null
                    when given.outcome is null then t.doubt_since
                    when given.doubt_window is null then null else clock_timestamp() end,
                doubt_window = case when given.is_clear then null
                    when given.outcome is null then t.doubt_window else given.doubt_window end,
                changed_in = current_change()
            from given
            -- The rows are found by their ids, as in the statement that claims.
            where t.id = given.id and case when t.fence = given.fence and t.claimed_by is not null
                and t.state in ('processing', 'in_doubt') then true end
            returning t.id, t.doubt_since, given.fence, given.job_id, given.state, given.due_at,
                given.outcome, given.http_status, given.transport_error, given.answer_excerpt,
                given.finding, given.started_at, given.ended_at, given.lookup_status,
                given.lookup_error
        ),
        ended as (
            update attempts set
                ended_at = clock_timestamp(), outcome = moved.outcome,
                http_status = moved.http_status, transport_error = moved.transport_error,
                answer_excerpt = moved.answer_excerpt
            from moved
            where attempts.transaction_id = moved.id and attempts.fence = moved.fence
                and moved.outcome is not null
        ),
        seen as (
            select id, (select max(fence) from attempts where transaction_id = moved.id) as fence,
                started_at, ended_at, finding, lookup_status, lookup_error
            from moved
            where finding is not null
        ),
        -- Verifications in a row that end alike are one row, unless an operator intervened between them.
        repeated as (
            update verifications v set
                first_started_at = coalesce(v.first_started_at, v.started_at),
                started_at = seen.started_at, ended_at = seen.ended_at, count = v.count + 1
            from seen
            where v.id = (
                    select id from verifications
                    where transaction_id = seen.id and fence = seen.fence
                    order by id desc limit 1
                )
                and v.finding = seen.finding
                and v.http_status is not distinct from seen.lookup_status
                and v.error is not distinct from seen.lookup_error
                and not exists (
                    select from audit a
                    where a.object = 'transaction:' || seen.id and a.outcome = 'done'
                        and a.at > v.ended_at
                )
            returning v.transaction_id
        ),
        noted as (
            insert into verifications
                (transaction_id, fence, started_at, ended_at, finding, http_status, error)
            select id, fence, started_at, ended_at, finding, lookup_status, lookup_error
            from seen
            where id not in (select transaction_id from repeated)
        ),
        found as (
            update attempts set outcome = 'posted'
            from moved
            where attempts.transaction_id = moved.id and moved.finding = 'found'
                and attempts.fence = (select max(fence) from attempts where transaction_id = moved.id)
        ),
        due as (
            insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            select job_id, case when doubt_since is null then $19 else $20 end,
                convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, due_at, 0
            from moved
            where due_at is not null
            on conflict (id) do update set
                job_type = excluded.job_type, status = 'Pending', attempts = 0,
                run_at = excluded.run_at, lock_by = null, lock_at = null
        ),
        over as (
            delete from apalis.jobs using moved
            where jobs.id = moved.job_id and moved.state is not null and moved.due_at is null
        )
        select id, fence as "fence!" from moved
        "#,
        &ids,
        &fences,
        &job_ids,
        &states as &[Option<&str>],
        &are_final,
        &due_ats as &[Option<DateTime<Utc>>],
        &errors as &[Option<&str>],
        &are_clear,
        &outcomes as &[Option<&str>],
        &windows as &[Option<&str>],
        &http_statuses as &[Option<i32>],
        &transport_errors as &[Option<&str>],
        &excerpts as &[Option<&str>],
        &findings as &[Option<&str>],
        &started_ats as &[Option<DateTime<Utc>>],
        &ended_ats as &[Option<DateTime<Utc>>],
        &lookup_statuses as &[Option<i32>],
        &lookup_errors as &[Option<&str>],
        POSTING,
        VERIFICATION,
    )
    .fetch_all(pool)
    .await?;
    let mut moved: HashSet<(Uuid, i64)> = rows.iter().map(|row| (row.id, row.fence)).collect();
    // Each entry is found only once: if two changes belong to one claim, the statement made only one.
    let held = |change: &Change| moved.remove(&(change.id, change.fence));
    Ok(changes.iter().map(held).map(|held| if held { Ok(()) } else { Err(StaleFence) }).collect())
}

/// One column of the changes, as a parameter of the statement.
fn column<'a, T>(changes: &[&'a Change], of: impl Fn(&'a Change) -> T) -> Vec<T> {
    changes.iter().map(|change| of(change)).collect()
}
