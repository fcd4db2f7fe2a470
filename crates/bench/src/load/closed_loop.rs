//! A closed loop: each connection sends its next request when the previous one is answered.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::error::Fallible;
use crate::http::Connection;
use crate::load::submission::Submission;

/// When the loop ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this many requests.
    Sent(usize),
    /// After this time; answers count from the end of `warm_up`.
    Over { warm_up: Duration, measured: Duration },
}

/// The result of a load.
#[derive(Debug, Default)]
pub struct Answers {
    /// Answered with 202, including during the warm-up.
    pub accepted: Vec<Uuid>,
    /// Answered with 202 during the measurement.
    pub measured: u64,
    /// All other answers, by status or by the connection's error.
    pub others: BTreeMap<String, u64>,
}

/// Submits over this many connections, with this bearer credential in each request.
///
/// # Errors
/// A connection cannot be opened at the start.
pub async fn submit(
    addr: SocketAddr,
    connections: usize,
    until: Until,
    bearer: Option<&str>,
) -> Fallible<Answers> {
    let bearer: Option<Arc<str>> = bearer.map(Arc::from);
    let numbers = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(addr).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in open {
        tasks.spawn(one_connection(
            connection,
            addr,
            numbers.clone(),
            until,
            begun,
            bearer.clone(),
        ));
    }
    let mut all = Answers::default();
    for answers in tasks.join_all().await {
        all.accepted.extend(answers.accepted);
        all.measured += answers.measured;
        for (what, count) in answers.others {
            *all.others.entry(what).or_default() += count;
        }
    }
    Ok(all)
}

async fn one_connection(
    mut connection: Connection,
    addr: SocketAddr,
    numbers: Arc<AtomicUsize>,
    until: Until,
    begun: Instant,
    bearer: Option<Arc<str>>,
) -> Answers {
    let mut answers = Answers::default();
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        match until {
            Until::Sent(count) if number >= count => return answers,
            Until::Over { warm_up, measured } if begun.elapsed() >= warm_up + measured => {
                return answers;
            }
            _ => {}
        }
        let submission = Submission::new(number, bearer.as_deref());
        let answer = connection.call(&submission.request).await.map(|(status, _)| status);
        match answer {
            Ok(202) => {
                answers.accepted.push(submission.id);
                answers.measured += u64::from(until.is_measured_at(begun.elapsed()));
            }
            Ok(status) => *answers.others.entry(status.to_string()).or_default() += 1,
            Err(error) => {
                *answers.others.entry(error.to_string()).or_default() += 1;
                match Connection::open(addr).await {
                    Ok(again) => connection = again,
                    Err(_) => return answers,
                }
            }
        }
    }
}

impl Until {
    fn is_measured_at(self, elapsed: Duration) -> bool {
        match self {
            Self::Sent(_) => true,
            Self::Over { warm_up, measured } => elapsed >= warm_up && elapsed < warm_up + measured,
        }
    }
}
