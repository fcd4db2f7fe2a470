//! The transactions that are not final, by the time since their submission. A transaction that is tried again and again
//! is never due for long; only its age shows that it does not come to an end.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{EngineError, database::BoundedPool};

/// The ages that are counted, in seconds.
const LIMITS_SECONDS: [u32; 3] = [60, 300, 3600];
/// No more transactions are counted than this: what counts is whether there are some, or many, and health is asked
/// each second.
const COUNTED: i64 = 1_000;

/// The transactions that are not final.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    /// The time since the submission of the oldest; 0 if there is none.
    pub oldest_seconds: f64,
    /// How many are older than each limit.
    pub older_than: Vec<OlderThan>,
}

/// How many transactions that are not final were submitted longer ago than a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OlderThan {
    /// The limit.
    pub seconds: u32,
    /// The transactions; no more than 1,000 are counted.
    #[schema(maximum = 1000)]
    pub count: u64,
}

/// Reads the ages of the transactions that are not final: at most [`COUNTED`] entries of an index for each state,
/// however many there are.
pub async fn unfinished(pool: &BoundedPool) -> Result<Unfinished, EngineError> {
    let row = sqlx::query!(
        r#"with oldest as (
            -- Infinite times cannot be subtracted.
            select clock_timestamp() - greatest(least(
                (select min(submitted_at) from transactions where state = 'pending'),
                (select min(submitted_at) from transactions where state = 'processing'),
                (select min(submitted_at) from transactions where state = 'in_doubt'),
                clock_timestamp()
            ), 'epoch') as age
        ),
        old as (
            select submitted_at
            from oldest_unfinished(now() - make_interval(secs => ($1::float8[])[1]), $2) as o (submitted_at)
        )
        select
            coalesce(extract(epoch from (select age from oldest)), 0)::float8 as "oldest_seconds!",
            array(
                select count(old) from unnest($1::float8[]) with ordinality as l (seconds, n)
                left join old on submitted_at < now() - make_interval(secs => seconds)
                group by n order by n
            ) as "counts!""#,
        &LIMITS_SECONDS.map(f64::from),
        COUNTED,
    )
    .fetch_one(pool)
    .await?;
    let older_than = LIMITS_SECONDS.into_iter().zip(row.counts).map(|(seconds, count)| OlderThan {
        seconds,
        count: count.clamp(0, COUNTED).unsigned_abs(),
    });
    Ok(Unfinished { oldest_seconds: row.oldest_seconds.max(0.0), older_than: older_than.collect() })
}
