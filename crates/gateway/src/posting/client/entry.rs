//! What an answer of the posting service says about a transaction. The answer to a POST and the answer to a
//! verification are read in the same way; what follows from them differs.

use domain::{AnswerBody, Finding, json::without_byte_order_mark};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::posting::service::PostingRequest;

/// The fields that an entry must have, besides the id, for a verification to find it. Those that it has are compared
/// in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequiredFields {
    /// The amount.
    pub amount: bool,
    /// The currency.
    pub currency: bool,
}

/// An entry compared with a transaction, field by field. By value: `100.5` is the amount `100.50`, an id is a
/// UUID however it is written, and `usd` is the currency `USD`.
#[derive(Debug)]
pub struct Entry {
    pub id: Field,
    pub amount: Field,
    pub currency: Field,
    /// It names an error.
    pub error: bool,
}

/// A field of an entry compared with the transaction's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// It is not there, or null.
    Missing,
    /// It has the same value.
    Same,
    /// It has another value.
    Different,
    /// It cannot be read, such as an amount that is a list.
    Unreadable,
}

/// The fields that are read, as raw text: serde_json's `Value` would interpret names that it reserves for itself.
#[derive(Clone, Copy, Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    amount: Option<&'a RawValue>,
    currency: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    errors: Option<&'a RawValue>,
}

impl Entry {
    /// Reads an entry from a JSON object, or from the object in its `data`: some services wrap an entry as they
    /// wrap the list of all entries. `None` if the body is no object, or has a field twice.
    pub fn read(body: &[u8], transaction: &PostingRequest) -> Option<Self> {
        let outer = fields(body)?;
        let fields = match outer.data.filter(|data| is_object(data.get().as_bytes())) {
            Some(data) => fields(data.get().as_bytes())?,
            None => outer,
        };
        let compare = |json: Option<&RawValue>, same: &dyn Fn(&RawValue) -> Option<bool>| {
            let Some(json) = json else { return Field::Missing };
            match same(json) {
                Some(true) => Field::Same,
                Some(false) => Field::Different,
                None => Field::Unreadable,
            }
        };
        Some(Self {
            id: compare(fields.id, &|id| Some(uuid(id) == Some(transaction.id))),
            amount: compare(fields.amount, &|amount| {
                transaction.amount.has_value(&number(amount)?)
            }),
            currency: compare(fields.currency, &|currency| {
                Some(string(currency)?.eq_ignore_ascii_case(transaction.currency.code()))
            }),
            error: [fields.error, fields.errors, outer.error, outer.errors]
                .into_iter()
                .flatten()
                .any(|error| !matches!(error.get(), "false" | "\"\"" | "[]" | "{}" | "0")),
        })
    }

    fn compared(&self) -> [Field; 3] {
        [self.id, self.amount, self.currency]
    }
}

/// Reads the body of the answer to a POST. A body that says nothing about the transaction agrees with it: many services
/// answer `{}` or `"ok"`. A list and an error are no confirmation.
pub fn read_post(body: &[u8], transaction: &PostingRequest) -> AnswerBody {
    let body = without_byte_order_mark(body);
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() {
        return AnswerBody::Unclear;
    }
    if !is_object(body) {
        let is_list = body.trim_ascii_start().starts_with(b"[");
        return if is_list { AnswerBody::Unclear } else { AnswerBody::Agrees };
    }
    match Entry::read(body, transaction) {
        None => AnswerBody::Unclear,
        Some(entry) if entry.compared().contains(&Field::Different) => AnswerBody::Contradicts,
        Some(entry) if entry.error || entry.compared().contains(&Field::Unreadable) => {
            AnswerBody::Unclear
        }
        Some(_) => AnswerBody::Agrees,
    }
}

/// Reads the body of the answer to a verification: whether the posting service has the transaction's own entry, or
/// an entry that differs, and how.
///
/// # Errors
/// The answer is not about the transaction, or does not say enough. It proves nothing then.
pub fn read_lookup(
    body: &[u8],
    transaction: &PostingRequest,
    required: RequiredFields,
) -> Result<(Finding, Option<&'static str>), &'static str> {
    let entry = Entry::read(without_byte_order_mark(body), transaction)
        .ok_or("the answer is not a JSON object")?;
    match entry.id {
        Field::Same => {}
        Field::Different => return Err("the answer names another id"),
        Field::Missing | Field::Unreadable => return Err("the answer does not name the id"),
    }
    if entry.error {
        return Err("the answer names an error");
    }
    match (entry.amount, required.amount) {
        (Field::Unreadable, _) => return Err("the amount in the answer cannot be read"),
        (Field::Missing, true) => return Err("the answer has no amount"),
        _ => {}
    }
    match (entry.currency, required.currency) {
        (Field::Unreadable, _) => return Err("the currency in the answer cannot be read"),
        (Field::Missing, true) => return Err("the answer has no currency"),
        _ => {}
    }
    Ok(if entry.compared().contains(&Field::Different) {
        (Finding::Mismatch, Some("the entry has another amount or currency"))
    } else {
        (Finding::Found, None)
    })
}

/// A struct can also be read from a list, but an entry is an object.
fn fields(json: &[u8]) -> Option<Fields<'_>> {
    is_object(json).then(|| serde_json::from_slice(json).ok())?
}

fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

fn uuid(json: &RawValue) -> Option<Uuid> {
    Uuid::parse_str(&string(json)?).ok()
}

fn string(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// The text of a number, or of a string that may contain one.
fn number(json: &RawValue) -> Option<String> {
    let is_number = json.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if is_number { Some(json.get().to_owned()) } else { string(json) }
}
