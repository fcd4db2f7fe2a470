//! Waiting until everything that was accepted is final.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::progress::Progress;
use crate::transaction::Transaction;

/// How many are asked after at once.
const ASKED_AT_ONCE: usize = 32;

/// How long one question may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The shortest pause between two rounds.
const PAUSE: Duration = Duration::from_millis(200);

/// How often in a row a transaction must be unknown before it is believed.
const ABSENCES_BELIEVED: u32 = 3;

/// The longest text of a reason that is kept.
const REASON_LENGTH: usize = 120;

/// What Onceward last said of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    Completed,
    Failed {
        reason: String,
    },
    Screened,
    Cancelled,
    InDoubt,
    /// Pending, processing, or something that this program does not know.
    UnderWay,
    /// It does not know the id.
    Absent,
    /// It has not answered yet.
    Unknown,
}

impl Standing {
    fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed { .. } | Self::Screened | Self::Cancelled)
    }
}

/// How everything stood when the waiting was over.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) standings: HashMap<Uuid, Standing>,
    /// When all was final, where it ever was.
    pub(crate) all_final: Option<Instant>,
}

/// A transaction that is still asked after.
struct Open {
    id: Uuid,
    absences: u32,
}

/// Asks after every transaction until it is final or the time is over. Whatever goes wrong with a
/// question, as while Onceward restarts, only means to ask again.
pub(crate) async fn settle(
    client: &Client,
    target: &str,
    accepted: &[Transaction],
    deadline: Instant,
    progress: &Progress,
) -> Settled {
    let mut standings: HashMap<Uuid, Standing> =
        accepted.iter().map(|transaction| (transaction.id, Standing::Unknown)).collect();
    let mut open: Vec<Open> =
        accepted.iter().map(|transaction| Open { id: transaction.id, absences: 0 }).collect();
    while !open.is_empty() {
        let round = Instant::now();
        let mut answers = stream::iter(open)
            .map(async |asked| {
                let answer = ask(client, target, asked.id).await;
                (asked, answer)
            })
            .buffer_unordered(ASKED_AT_ONCE);
        let mut still_open = Vec::new();
        while let Some((mut asked, answer)) = answers.next().await {
            let Some(standing) = answer else {
                still_open.push(asked);
                continue;
            };
            let absent = standing == Standing::Absent;
            asked.absences = if absent { asked.absences + 1 } else { 0 };
            let is_final = standing.is_final();
            standings.insert(asked.id, standing);
            if is_final {
                progress.settled();
            } else if asked.absences < ABSENCES_BELIEVED {
                still_open.push(asked);
            }
        }
        drop(answers);
        open = still_open;
        // As long as the round took, so that watching takes no more than half of what there is.
        let pause = PAUSE.max(round.elapsed());
        if !open.is_empty() {
            if Instant::now() + pause >= deadline {
                break;
            }
            sleep(pause).await;
        }
    }
    let all_final = standings.values().all(Standing::is_final).then(Instant::now);
    Settled { standings, all_final }
}

/// The part of Onceward's answer that matters here.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Value,
}

/// How a transaction stands; none where the answer does not say.
async fn ask(client: &Client, target: &str, id: Uuid) -> Option<Standing> {
    let url = format!("{target}/api/transactions/{id}");
    let response = client.get(url).timeout(REQUEST_TIMEOUT).send().await.ok()?;
    match response.status() {
        StatusCode::OK => {
            let Answer { status, error } = response.json().await.ok()?;
            Some(match status.as_str() {
                "completed" => Standing::Completed,
                "failed" => Standing::Failed { reason: reason(&error) },
                "rejected" => Standing::Screened,
                "cancelled" => Standing::Cancelled,
                "in_doubt" | "inDoubt" => Standing::InDoubt,
                _ => Standing::UnderWay,
            })
        }
        StatusCode::NOT_FOUND => Some(Standing::Absent),
        _ => None,
    }
}

/// What failures are grouped by: a stable code where there is one, else the text.
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
        text => text.chars().take(REASON_LENGTH).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_is_the_code_else_the_text() {
        assert_eq!(reason(&json!({"message": "m", "code": "refused"})), "refused");
        assert_eq!(reason(&json!({"message": "m"})), "m");
        assert_eq!(reason(&json!("refused by the service")), "refused by the service");
        for nothing in [json!(null), json!(""), json!({}), json!({"code": 5})] {
            assert_eq!(reason(&nothing), "no reason given");
        }
    }
}
