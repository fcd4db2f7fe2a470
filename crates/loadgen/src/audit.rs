//! The audit: compares the accepted transactions, and what Onceward reports of them, with the
//! posting service's ledger.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::error::LoadError;
use crate::polling::ReportedState;
use crate::transaction::Transaction;

/// How long reading the ledger is tried at least, even after the run's deadline.
const MIN_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the list may take: it can have a million entries.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);

/// How long any other answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How many ids of each kind of finding are listed.
const IDS_LISTED: usize = 10;

/// Findings of one kind.
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
        if self.ids.len() < IDS_LISTED {
            self.ids.push(id);
        }
    }
}

/// All findings of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) lost: Finding,
    pub(crate) duplicated: Finding,
    pub(crate) wrongly_failed: Finding,
    pub(crate) mismatched: Finding,
}

/// The relevant part of a row of the posting service's ledger.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    id: String,
    #[serde(default)]
    amount: Value,
    #[serde(default)]
    currency: Value,
}

impl Row {
    /// Whether it has the submitted content. Amounts are compared by value: 12.50 is 12.5.
    fn matches(&self, transaction: &Transaction) -> bool {
        let amount = match &self.amount {
            Value::Number(number) => decimal(&number.to_string()),
            Value::String(text) => decimal(text),
            _ => None,
        };
        amount == Some(transaction.amount) && self.currency == *transaction.currency
    }
}

/// The value of a number; `None` if it would have to be rounded.
fn decimal(text: &str) -> Option<Decimal> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    // `from_scientific` rounds a mantissa with too many digits.
    let value = Decimal::from_str_exact(mantissa).ok()?;
    if mantissa.len() == text.len() { Some(value) } else { Decimal::from_scientific(text).ok() }
}

/// Compares the accepted transactions and their reported states with the ledger's rows.
/// Transactions that were not accepted may have arrived too, but not twice, and not with other
/// content.
pub(crate) fn compare(
    accepted: &[Transaction],
    not_accepted: &[Transaction],
    states: &HashMap<Uuid, ReportedState>,
    rows: &[Row],
) -> Findings {
    let mut rows_by_id: HashMap<Uuid, Vec<&Row>> = HashMap::new();
    // An id that is not a UUID is not from this run.
    for (row, id) in rows.iter().filter_map(|row| Some((row, row.id.parse().ok()?))) {
        rows_by_id.entry(id).or_default().push(row);
    }
    let mut findings = Findings::default();
    for transaction in accepted.iter().chain(not_accepted) {
        let rows = rows_by_id.get(&transaction.id).map_or(&[][..], Vec::as_slice);
        let state = states.get(&transaction.id);
        let is_posted = !rows.is_empty();
        match state {
            Some(ReportedState::NotFound) => findings.lost.add(transaction.id),
            Some(ReportedState::Completed) if !is_posted => findings.lost.add(transaction.id),
            // A client that learns that nothing was posted may post it by other means.
            Some(
                ReportedState::Failed { .. } | ReportedState::Screened | ReportedState::Cancelled,
            ) if is_posted => {
                findings.wrongly_failed.add(transaction.id);
            }
            _ => {}
        }
        if rows.len() > 1 {
            findings.duplicated.add(transaction.id);
        }
        if rows.iter().any(|row| !row.matches(transaction)) {
            findings.mismatched.add(transaction.id);
        }
    }
    findings
}

/// The posting service's answer to `GET /transactions`.
#[derive(Deserialize)]
struct List {
    data: Vec<Row>,
}

/// The ledger's rows, and how many late writes were still pending.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) rows: Vec<Row>,
    pub(crate) late_writes_pending: u64,
}

/// Reads the ledger once no late write is pending any more, or the deadline has passed.
pub(crate) async fn read_ledger(
    client: &Client,
    ledger: &str,
    deadline: Instant,
) -> Result<Ledger, LoadError> {
    let deadline = deadline.max(Instant::now() + MIN_READ_TIMEOUT);
    // A transaction may be final in Onceward while a late write still adds a second row.
    let late_writes_pending = loop {
        let pending = late_writes_pending(client, ledger).await;
        if pending == 0 || Instant::now() + RETRY_INTERVAL >= deadline {
            break pending;
        }
        sleep(RETRY_INTERVAL).await;
    };
    loop {
        match list(client, ledger).await {
            Ok(rows) => return Ok(Ledger { rows, late_writes_pending }),
            Err(source) if is_permanent(&source) || Instant::now() + RETRY_INTERVAL >= deadline => {
                return Err(LoadError::Ledger { url: ledger.to_owned(), source });
            }
            Err(error) => {
                tracing::debug!(%error, "the ledger cannot be read yet; trying again");
                sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Whether a retry cannot help: the service has no list, or does not permit this client to read it.
fn is_permanent(error: &reqwest::Error) -> bool {
    error
        .status()
        .is_some_and(|status| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

async fn list(client: &Client, ledger: &str) -> Result<Vec<Row>, reqwest::Error> {
    let url = format!("{ledger}/transactions");
    let answer = client.get(url).timeout(LIST_TIMEOUT).send().await?.error_for_status()?;
    Ok(answer.json::<List>().await?.data)
}

/// How many late writes are pending; 0 for a posting service that does not report them.
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

    /// The findings about one transaction with these rows; `{}` is a row with the submitted
    /// content.
    fn audit_one(state: Option<ReportedState>, changes: &[Value]) -> (Findings, Uuid) {
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
        let findings = match state {
            Some(state) => compare(&[transaction], &[], &HashMap::from([(id, state)]), &rows),
            None => compare(&[], &[transaction], &HashMap::new(), &rows),
        };
        (findings, id)
    }

    fn failed() -> ReportedState {
        ReportedState::Failed { reason: "refused".to_owned() }
    }

    #[test]
    fn a_correct_transaction_is_not_a_finding() {
        for (state, rows) in [
            (Some(ReportedState::Completed), &[json!({})][..]),
            (Some(failed()), &[]),
            (Some(ReportedState::Screened), &[]),
            (Some(ReportedState::Cancelled), &[]),
            (Some(ReportedState::InDoubt), &[json!({})]),
            (Some(ReportedState::InDoubt), &[]),
            (Some(ReportedState::InProgress), &[]),
            (Some(ReportedState::Unknown), &[json!({})]),
            (None, &[]),
            (None, &[json!({})]),
        ] {
            assert_eq!(audit_one(state, rows).0, Findings::default());
        }
    }

    #[test]
    fn a_wrong_transaction_is_one_finding_with_its_id() {
        type Which = fn(&mut Findings) -> &mut Finding;
        let lost: Which = |findings| &mut findings.lost;
        let duplicated: Which = |findings| &mut findings.duplicated;
        let wrongly_failed: Which = |findings| &mut findings.wrongly_failed;
        let mismatched: Which = |findings| &mut findings.mismatched;
        let (one, two) = ([json!({})], [json!({}), json!({})]);
        let other_amount = [json!({"amount": 0.01})];
        let other_currency = [json!({"currency": "XXX"})];
        let no_amount = [json!({"amount": null})];
        for (state, rows, which) in [
            (Some(ReportedState::NotFound), &[][..], lost),
            (Some(ReportedState::NotFound), &one, lost),
            (Some(ReportedState::Completed), &[], lost),
            (Some(ReportedState::Completed), &two, duplicated),
            (Some(ReportedState::InProgress), &two, duplicated),
            (None, &two, duplicated),
            (Some(failed()), &one, wrongly_failed),
            (Some(ReportedState::Screened), &one, wrongly_failed),
            (Some(ReportedState::Cancelled), &one, wrongly_failed),
            (Some(ReportedState::Completed), &other_amount, mismatched),
            (Some(ReportedState::Completed), &other_currency, mismatched),
            (Some(ReportedState::Completed), &no_amount, mismatched),
            (None, &other_amount, mismatched),
        ] {
            let (mut findings, id) = audit_one(state.clone(), rows);
            let finding = std::mem::take(which(&mut findings));
            assert_eq!(finding, Finding { count: 1, ids: vec![id] }, "{state:?} {rows:?}");
            assert_eq!(findings, Findings::default(), "{state:?} {rows:?}");
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
            (r#"1.25000000000000000000000000000000001e1"#, false),
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
    fn rows_of_other_clients_are_ignored() {
        let row = |id: &str| Row { id: id.to_owned(), amount: json!(1), currency: json!("USD") };
        let other_client = Uuid::new_v4().to_string();
        let rows = [row("txn_1"), row("txn_1"), row(&other_client), row(&other_client)];
        assert_eq!(compare(&[], &[], &HashMap::new(), &rows), Findings::default());
    }

    #[test]
    fn only_the_first_ids_are_listed_and_all_are_counted() {
        let mut finding = Finding::default();
        for _ in 0..25 {
            finding.add(Uuid::new_v4());
        }
        assert_eq!((finding.count, finding.ids.len()), (25, 10));
    }
}
