//! The judgement: what was accepted and what Onceward says of it, against the posting service's ledger.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::error::LoadError;
use crate::polling::Standing;
use crate::transaction::Transaction;

/// How long the ledger gets to become readable, even where the time of the run is over.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the list may take: with a million entries it is long.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);

/// How long any other answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// How many ids of each kind of finding are named.
const IDS_NAMED: usize = 10;

/// What was found wrong, of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How many transactions.
    pub(crate) count: u64,
    /// The ids of the first ten.
    pub(crate) ids: Vec<Uuid>,
}

impl Finding {
    fn add(&mut self, id: Uuid) {
        self.count += 1;
        if self.ids.len() < IDS_NAMED {
            self.ids.push(id);
        }
    }
}

/// What was found wrong, all in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lost: Finding,
    pub(crate) duplicated: Finding,
    pub(crate) wrongly_failed: Finding,
    pub(crate) mismatched: Finding,
}

/// A row of the posting service's ledger, as far as it matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    id: String,
    #[serde(default)]
    amount: Value,
    #[serde(default)]
    currency: Value,
}

impl Row {
    /// Whether it says what was submitted. Amounts are compared by value: 12.50 is 12.5.
    fn matches(&self, transaction: &Transaction) -> bool {
        let amount = match &self.amount {
            Value::Number(number) => decimal(&number.to_string()),
            Value::String(text) => decimal(text),
            _ => None,
        };
        amount == Some(transaction.amount) && self.currency == *transaction.currency
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

/// Compares what was accepted, and how it stands, with the ledger's rows. `others` were offered and
/// not accepted: they may have arrived all the same, but not twice, and not as something else.
pub(crate) fn judge(
    accepted: &[Transaction],
    others: &[Transaction],
    standings: &HashMap<Uuid, Standing>,
    rows: &[Row],
) -> Verdict {
    let mut rows_by_id: HashMap<Uuid, Vec<&Row>> = HashMap::new();
    // An id that is no UUID is not of this run.
    for (row, id) in rows.iter().filter_map(|row| Some((row, row.id.parse().ok()?))) {
        rows_by_id.entry(id).or_default().push(row);
    }
    let mut verdict = Verdict::default();
    for transaction in accepted.iter().chain(others) {
        let rows = rows_by_id.get(&transaction.id).map_or(&[][..], Vec::as_slice);
        let standing = standings.get(&transaction.id);
        let is_posted = !rows.is_empty();
        match standing {
            Some(Standing::Absent) => verdict.lost.add(transaction.id),
            Some(Standing::Completed) if !is_posted => verdict.lost.add(transaction.id),
            // Whoever was told that nothing was posted may post it again by another way.
            Some(Standing::Failed { .. } | Standing::Screened | Standing::Cancelled)
                if is_posted =>
            {
                verdict.wrongly_failed.add(transaction.id);
            }
            _ => {}
        }
        if rows.len() > 1 {
            verdict.duplicated.add(transaction.id);
        }
        if rows.iter().any(|row| !row.matches(transaction)) {
            verdict.mismatched.add(transaction.id);
        }
    }
    verdict
}

/// What the posting service answers to `GET /transactions`.
#[derive(Deserialize)]
struct List {
    data: Vec<Row>,
}

/// The ledger's rows, and how many writes were still to come.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) rows: Vec<Row>,
    pub(crate) late_writes_pending: u64,
}

/// Reads the ledger, once nothing more is to come into it or the time is over.
pub(crate) async fn read_ledger(
    client: &Client,
    ledger: &str,
    deadline: Instant,
) -> Result<Ledger, LoadError> {
    let deadline = deadline.max(Instant::now() + PATIENCE);
    // Onceward may be done with a transaction whose late write still makes a second row of it.
    let late_writes_pending = loop {
        let pending = late_writes_pending(client, ledger).await;
        if pending == 0 || Instant::now() + PAUSE >= deadline {
            break pending;
        }
        sleep(PAUSE).await;
    };
    loop {
        match list(client, ledger).await {
            Ok(rows) => return Ok(Ledger { rows, late_writes_pending }),
            Err(source) if is_for_good(&source) || Instant::now() + PAUSE >= deadline => {
                return Err(LoadError::Ledger { url: ledger.to_owned(), source });
            }
            Err(error) => {
                tracing::debug!(%error, "the ledger cannot be read yet");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether asking again would change nothing: the service has no list, or shows it to others only.
fn is_for_good(error: &reqwest::Error) -> bool {
    error
        .status()
        .is_some_and(|status| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

async fn list(client: &Client, ledger: &str) -> Result<Vec<Row>, reqwest::Error> {
    let url = format!("{ledger}/transactions");
    let answer = client.get(url).timeout(LIST_TIMEOUT).send().await?.error_for_status()?;
    Ok(answer.json::<List>().await?.data)
}

/// How many writes the posting service still has to make; none where it is not one that says so.
async fn late_writes_pending(client: &Client, ledger: &str) -> u64 {
    let audit = async {
        let url = format!("{ledger}/admin/audit");
        let request = client.get(url).timeout(REQUEST_TIMEOUT);
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        answer.json::<Value>().await.ok()?.get("lateWritesPending")?.as_u64()
    };
    audit.await.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The judgement over one transaction with these rows; `{}` in a row stands for what was submitted.
    fn judge_one(standing: Option<Standing>, changes: &[Value]) -> (Verdict, Uuid) {
        let transaction = Transaction::draw(1, 0);
        let id = transaction.id;
        let amount: serde_json::Number = transaction.amount.to_string().parse().unwrap();
        let rows: Vec<Row> = changes
            .iter()
            .map(|change| {
                let mut row = json!({"id": id, "amount": amount, "currency": transaction.currency});
                let fields = row.as_object_mut().unwrap();
                fields.extend(change.as_object().unwrap().clone());
                serde_json::from_value(row).unwrap()
            })
            .collect();
        let verdict = match standing {
            Some(standing) => judge(&[transaction], &[], &HashMap::from([(id, standing)]), &rows),
            None => judge(&[], &[transaction], &HashMap::new(), &rows),
        };
        (verdict, id)
    }

    fn failed() -> Standing {
        Standing::Failed { reason: "refused".to_owned() }
    }

    #[test]
    fn what_is_as_it_should_be_is_no_finding() {
        for (standing, rows) in [
            (Some(Standing::Completed), &[json!({})][..]),
            (Some(failed()), &[]),
            (Some(Standing::Screened), &[]),
            (Some(Standing::Cancelled), &[]),
            (Some(Standing::InDoubt), &[json!({})]),
            (Some(Standing::InDoubt), &[]),
            (Some(Standing::UnderWay), &[]),
            (Some(Standing::Unknown), &[json!({})]),
            (None, &[]),
            (None, &[json!({})]),
        ] {
            assert_eq!(judge_one(standing, rows).0, Verdict::default());
        }
    }

    #[test]
    fn what_is_wrong_is_one_finding_with_its_id() {
        type Which = fn(&mut Verdict) -> &mut Finding;
        let lost: Which = |verdict| &mut verdict.lost;
        let duplicated: Which = |verdict| &mut verdict.duplicated;
        let wrongly_failed: Which = |verdict| &mut verdict.wrongly_failed;
        let mismatched: Which = |verdict| &mut verdict.mismatched;
        let (one, two) = ([json!({})], [json!({}), json!({})]);
        let other_amount = [json!({"amount": 0.01})];
        let other_currency = [json!({"currency": "XXX"})];
        let no_amount = [json!({"amount": null})];
        for (standing, rows, which) in [
            (Some(Standing::Absent), &[][..], lost),
            (Some(Standing::Absent), &one, lost),
            (Some(Standing::Completed), &[], lost),
            (Some(Standing::Completed), &two, duplicated),
            (Some(Standing::UnderWay), &two, duplicated),
            (None, &two, duplicated),
            (Some(failed()), &one, wrongly_failed),
            (Some(Standing::Screened), &one, wrongly_failed),
            (Some(Standing::Cancelled), &one, wrongly_failed),
            (Some(Standing::Completed), &other_amount, mismatched),
            (Some(Standing::Completed), &other_currency, mismatched),
            (Some(Standing::Completed), &no_amount, mismatched),
            (None, &other_amount, mismatched),
        ] {
            let (mut verdict, id) = judge_one(standing.clone(), rows);
            let finding = std::mem::take(which(&mut verdict));
            assert_eq!(finding, Finding { count: 1, ids: vec![id] }, "{standing:?} {rows:?}");
            assert_eq!(verdict, Verdict::default(), "{standing:?} {rows:?}");
        }
    }

    #[test]
    fn amounts_are_compared_by_value_and_exactly() {
        let transaction = Transaction {
            amount: "12.50".parse().unwrap(),
            currency: "USD",
            ..Transaction::draw(1, 0)
        };
        for (amount, same) in [
            (r#"12.5"#, true),
            (r#"12.500"#, true),
            (r#""12.50""#, true),
            (r#"1.25e1"#, true),
            (r#"12.500000000000000001"#, false),
            (r#"12.49"#, false),
            (r#"-12.50"#, false),
            (r#""x""#, false),
        ] {
            let text = format!(r#"{{"id":"a","amount":{amount},"currency":"USD"}}"#);
            let row: Row = serde_json::from_str(&text).unwrap();
            assert_eq!(row.matches(&transaction), same, "{amount}");
        }
    }

    #[test]
    fn rows_of_others_do_not_matter() {
        let row = |id: &str| Row { id: id.to_owned(), amount: json!(1), currency: json!("USD") };
        let stranger = Uuid::new_v4().to_string();
        let rows = [row("txn_1"), row("txn_1"), row(&stranger), row(&stranger)];
        assert_eq!(judge(&[], &[], &HashMap::new(), &rows), Verdict::default());
    }

    #[test]
    fn only_the_first_ids_are_named_and_all_are_counted() {
        let mut finding = Finding::default();
        for _ in 0..25 {
            finding.add(Uuid::new_v4());
        }
        assert_eq!((finding.count, finding.ids.len()), (25, 10));
    }
}
