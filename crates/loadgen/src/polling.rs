//! Polls Onceward until every accepted transaction is final.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::progress::Progress;
use crate::transaction::Transaction;

/// How many polls run at once.
const CONCURRENT_POLLS: usize = 32;

/// How long one poll may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The shortest pause between two rounds.
const MIN_ROUND_PAUSE: Duration = Duration::from_millis(200);

/// After how many 404s in a row a transaction is no longer polled.
const MAX_NOT_FOUND: u32 = 3;

/// The longest text of a reason, in characters.
const MAX_REASON_LENGTH: usize = 120;

/// The state that Onceward last reported for a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportedState {
    Completed,
    Failed {
        reason: String,
    },
    Screened,
    Cancelled,
    InDoubt,
    /// Pending, processing, or a state that this program does not know.
    InProgress,
    /// Onceward does not know the id.
    NotFound,
    /// Onceward has not answered yet.
    Unknown,
}

impl ReportedState {
    fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed { .. } | Self::Screened | Self::Cancelled)
    }
}

/// The last reported states when polling ended.
#[derive(Debug)]
pub(crate) struct FinalStates {
    pub(crate) states: HashMap<Uuid, ReportedState>,
    /// When all were final; `None` if they never were.
    pub(crate) all_final_at: Option<Instant>,
}

/// A transaction that is still polled.
struct Polled {
    id: Uuid,
    /// 404s in a row.
    not_found: u32,
}

/// Polls every transaction until it is final, the deadline passes, or the waiting is stopped; there is one round at
/// least. A poll that fails, for example while Onceward restarts, is repeated.
pub(crate) async fn wait_until_final(
    client: &Client,
    target: &str,
    accepted: &[Transaction],
    deadline: Instant,
    stop: &CancellationToken,
    progress: &Progress,
) -> FinalStates {
    let mut states: HashMap<Uuid, ReportedState> =
        accepted.iter().map(|transaction| (transaction.id, ReportedState::Unknown)).collect();
    let mut open: Vec<Polled> =
        accepted.iter().map(|transaction| Polled { id: transaction.id, not_found: 0 }).collect();
    while !open.is_empty() {
        let round = Instant::now();
        let mut answers = stream::iter(open)
            .map(async |polled| {
                let answer = poll(client, target, polled.id).await;
                (polled, answer)
            })
            .buffer_unordered(CONCURRENT_POLLS);
        let mut still_open = Vec::new();
        while let Some((mut polled, answer)) = answers.next().await {
            let Some(state) = answer else {
                still_open.push(polled);
                continue;
            };
            let not_found = state == ReportedState::NotFound;
            polled.not_found = if not_found { polled.not_found + 1 } else { 0 };
            let is_final = state.is_final();
            states.insert(polled.id, state);
            if is_final {
                progress.finalized();
            } else if polled.not_found < MAX_NOT_FOUND {
                still_open.push(polled);
            }
        }
        drop(answers);
        open = still_open;
        // At least as long as the round took, so that polls run at most half of the time.
        let pause = MIN_ROUND_PAUSE.max(round.elapsed());
        if !open.is_empty() {
            if Instant::now() + pause >= deadline {
                break;
            }
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
    }
    let all_final_at = states.values().all(ReportedState::is_final).then(Instant::now);
    FinalStates { states, all_final_at }
}

/// The part of Onceward's answer that matters here.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Value,
}

/// The state of a transaction; `None` if the poll failed.
async fn poll(client: &Client, target: &str, id: Uuid) -> Option<ReportedState> {
    let url = format!("{target}/api/transactions/{id}");
    let response = client.get(url).timeout(REQUEST_TIMEOUT).send().await.ok()?;
    match response.status() {
        StatusCode::OK => {
            let Answer { status, error } = response.json().await.ok()?;
            Some(match status.as_str() {
                "completed" => ReportedState::Completed,
                "failed" => ReportedState::Failed { reason: reason(&error) },
                "rejected" => ReportedState::Screened,
                "cancelled" => ReportedState::Cancelled,
                "in_doubt" | "inDoubt" => ReportedState::InDoubt,
                _ => ReportedState::InProgress,
            })
        }
        StatusCode::NOT_FOUND => Some(ReportedState::NotFound),
        _ => None,
    }
}

/// The text by which failures are grouped: the stable code if there is one, otherwise the message.
fn reason(error: &Value) -> String {
    let fields = ["code", "message", "detail", "title"];
    let text = match error {
        Value::String(text) => text.as_str(),
        Value::Object(object) => {
            fields.iter().find_map(|field| object.get(*field)?.as_str()).unwrap_or_default()
        }
        _ => "",
    };
    match text.trim() {
        "" => "no reason given".to_owned(),
        text => text.chars().take(MAX_REASON_LENGTH).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_is_the_code_or_otherwise_the_text() {
        assert_eq!(reason(&json!({"message": "m", "code": "refused"})), "refused");
        assert_eq!(reason(&json!({"message": "m"})), "m");
        assert_eq!(reason(&json!("refused by the service")), "refused by the service");
        for nothing in [json!(null), json!(""), json!({}), json!({"code": 5})] {
            assert_eq!(reason(&nothing), "no reason given");
        }
    }
}
