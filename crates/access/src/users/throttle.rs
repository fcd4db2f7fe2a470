//! Slowing down guesses without locking anybody out. An attempt is counted before its password is hashed, so that any
//! number of guesses at once are counted too; and it is counted back if it succeeds. An attempt that comes too early is
//! refused without hashing.
//!
//! Who holds the cookie of a *known device*, a browser in which this user has signed in before, has a count of its own,
//! which nobody else raises: while others guess at the account, its owner signs in at once (OWASP, "device cookies").
//!
//! Everybody else, a *stranger*, is counted by address and by account. An address that goes on guessing waits longer
//! and longer, up to 15 minutes. What guesses at one account from many addresses can do is bounded by a pause between
//! any two of them. Its length has a low limit, and addresses that have hardly failed wait in a *lane* of their own: so
//! a user who signs in from a new browser waits for seconds at most, unless the attacker never runs out of fresh
//! addresses. An attempt that is refused for the account's sake counts for its address all the same.

use std::net::IpAddr;

use sqlx::types::Uuid;

use crate::{Access, AccessError};

/// Who attempts something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subjects {
    /// Counted first: the device, the address, or the session.
    first: String,
    /// The account, if strangers' attempts at it are counted too.
    account: Option<String>,
}

impl Subjects {
    /// The holder of a device's cookie.
    pub fn device(token_sha256: &[u8]) -> Self {
        let token = data_encoding::HEXLOWER.encode(token_sha256);
        Self { first: format!("device:{token}"), account: None }
    }

    /// A stranger.
    pub fn stranger(address: Option<IpAddr>, account: &str) -> Self {
        Self {
            first: format!("address:{}", address.map(network).unwrap_or_default()),
            account: Some(account.to_owned()),
        }
    }

    /// A user who is signed in and confirms something with the password.
    pub fn signed_in(user: Uuid) -> Self {
        Self { first: format!("user:{user}"), account: None }
    }
}

/// An IPv6 subscriber has a network of 2^64 addresses, so it counts as one.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// What was counted, so that it can be counted back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted(pub Vec<String>);

/// Whether an attempt may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is counted as a failure until it succeeds.
    Admitted(Counted),
    /// The next attempt may succeed after this many seconds.
    TooEarly(u32),
}

impl Access {
    /// Counts an attempt, or refuses it.
    pub(super) async fn count_attempt(
        &self,
        subjects: &Subjects,
    ) -> Result<Admission, AccessError> {
        let row = sqlx::query!(
            r#"with first as (
                insert into sign_in_failures as f (subject, failures, last_failed_at)
                values ($1, 1, now())
                on conflict (subject) do update
                set failures = case
                        when f.last_failed_at < now() - interval '1 hour' then 1
                        else least(f.failures + 1, 1000)
                    end,
                    last_failed_at = greatest(now(), f.last_failed_at)
                where f.last_failed_at + sign_in_delay(f.failures, 5, 1, 900) <= now()
                returning failures
            ), chosen as (
                select case when failures <= 3 then 'fresh:' else 'suspect:' end || $2::text as subject,
                    case when failures <= 3 then 10 else 5 end as free,
                    case when failures <= 3 then 0.1 else 1 end as shortest,
                    case when failures <= 3 then 5 else 60 end as longest
                from first
                where $2::text is not null
            ), lane as (
                insert into sign_in_failures as f (subject, failures, last_failed_at)
                select subject, 1, now() from chosen
                on conflict (subject) do update
                set failures = case
                        when f.last_failed_at < now() - interval '1 hour' then 1
                        else least(f.failures + 1, 1000)
                    end,
                    last_failed_at = greatest(now(), f.last_failed_at)
                where f.last_failed_at + case
                    when f.subject like 'fresh:%' then sign_in_delay(f.failures, 10, 0.1, 5)
                    else sign_in_delay(f.failures, 5, 1, 60)
                end <= now()
                returning subject
            )
            select
                exists (select from first) as "is_counted!",
                (select subject from lane) as lane,
                (select extract(epoch from
                    last_failed_at + sign_in_delay(failures, 5, 1, 900) - now())::float8
                 from sign_in_failures where subject = $1) as first_wait,
                (select extract(epoch from
                    f.last_failed_at + sign_in_delay(f.failures, free, shortest, longest) - now())::float8
                 from sign_in_failures f, chosen where f.subject = chosen.subject) as lane_wait"#,
            subjects.first,
            subjects.account,
        )
        .fetch_one(&self.pool)
        .await?;
        let wait = match (row.is_counted, subjects.account.is_some(), row.lane) {
            (true, false, _) => {
                return Ok(Admission::Admitted(Counted(vec![subjects.first.clone()])));
            }
            (true, true, Some(lane)) => {
                return Ok(Admission::Admitted(Counted(vec![subjects.first.clone(), lane])));
            }
            (true, true, None) => row.lane_wait,
            (false, ..) => row.first_wait,
        };
        Ok(Admission::TooEarly(whole_seconds(wait)))
    }

    /// Counts an attempt back: it succeeded.
    pub(super) async fn count_back(&self, counted: &Counted) -> Result<(), AccessError> {
        sqlx::query!(
            "with gone as (
                delete from sign_in_failures where subject = any($1) and failures = 1
             )
             update sign_in_failures set failures = failures - 1
             where subject = any($1) and failures > 1",
            &counted.0,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// At least one second: what is read here is a moment older than the refusal.
fn whole_seconds(wait: Option<f64>) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = wait.unwrap_or_default().ceil().clamp(1.0, 3600.0) as u32;
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let network = |address: &str| network(address.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2::1"), "2001:db8:1:2::/64");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}
