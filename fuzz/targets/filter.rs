//! The filter of a list, in a query or in a body, read field by field.
#![no_main]

use domain::{
    Currency, IdempotencyKey, State, date_time::read_date_time, json, number::ExactNumber,
};
use fields::{Fields, without_nul};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[allow(dead_code)]
#[path = "../../server/src/http/request/fields.rs"]
mod fields;

const KNOWN: [&str; 7] =
    ["status", "currency", "reference", "idempotencyKey", "from", "to", "minAttempts"];

fuzz_target!(|bytes: &[u8]| {
    let query = url::form_urlencoded::parse(bytes);
    read(Fields::of_query(query.into_owned().collect()));
    if let Ok(body) = json::read(bytes) {
        read(Fields::of_body(body));
    }
});

fn read(mut fields: Fields) {
    fields.refuse_unknown("", &KNOWN);
    fields.refuse_misspelt(&KNOWN);
    fields.require("/status");
    let _ = fields.reason();
    let status = fields.text("/status", str::parse::<State>);
    let currency = fields.text("/currency", Currency::from_stored);
    let reference = fields.text("/reference", without_nul);
    let key = fields.text("/idempotencyKey", str::parse::<IdempotencyKey>);
    let from = fields.text("/from", read_date_time);
    let to = fields.text("/to", read_date_time);
    let attempts = fields.read("/minAttempts", |value| match value {
        Value::Number(number) => ExactNumber::parse(number.as_str()).ok_or("is no number"),
        _ => Err("is no number"),
    });
    let _ = fields.finish(Some((status, currency, reference, key, from, to, attempts)));
}
