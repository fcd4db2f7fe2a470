//! What OpenAPI says of the fields that a client fills in: the same limits that reading them checks.
//! Only with the feature `openapi`, which the browser's part does without.

use std::borrow::Cow;

use iso_currency::IntoEnumIterator;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{KnownFormat, OneOf, SchemaFormat, SchemaType, Type},
    },
};

use crate::{
    Amount, Currency, IdempotencyKey,
    idempotency_key::MAX_KEY_CHARS,
    intervention::MAX_REASON_CHARS,
    money::MAX_SIGNIFICANT_DIGITS,
    submission::{MAX_DESCRIPTION_CHARS, MAX_METADATA_BYTES, MAX_NAME_CHARS},
};

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        number().into()
    }
}

impl ToSchema for Amount {
    fn name() -> Cow<'static, str> {
        "Amount".into()
    }
}

impl PartialSchema for Currency {
    fn schema() -> RefOr<Schema> {
        let codes: Vec<_> =
            iso_currency::Currency::iter().map(|currency| currency.code()).collect();
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A currency of ISO 4217, by its alphabetic code."))
            .enum_values(Some(codes))
            .into()
    }
}

impl ToSchema for Currency {
    fn name() -> Cow<'static, str> {
        "Currency".into()
    }
}

impl PartialSchema for IdempotencyKey {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(MAX_KEY_CHARS))
            .pattern(Some("^[!-~]+$"))
            .description(Some("Visible ASCII characters; no two of your transactions share a key."))
            .into()
    }
}

impl ToSchema for IdempotencyKey {
    fn name() -> Cow<'static, str> {
        "IdempotencyKey".into()
    }
}

fn number() -> Object {
    let largest = 10_f64.powi(MAX_SIGNIFICANT_DIGITS as i32) - 1.0;
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .description(Some(format!(
            "An exact decimal in units of the currency, with the digits that were sent: 100.50 stays \
             100.50. At most {MAX_SIGNIFICANT_DIGITS} significant digits, and no more decimals than \
             ISO 4217 gives the currency."
        )))
        .exclusive_minimum(Some(0.0))
        .maximum(Some(largest))
        .build()
}

/// An amount as a client may send it.
pub fn amount() -> Schema {
    let text = text(
        1,
        MAX_SIGNIFICANT_DIGITS + 1,
        "The same as a text, for those whose numbers are floats.",
    )
    .pattern(Some(r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,14})?$"));
    Schema::OneOf(OneOf { items: vec![number().into(), text.into()], ..OneOf::new() })
}

/// A reference or an account that must be there.
pub fn name(description: &str) -> Object {
    text(1, MAX_NAME_CHARS, description).build()
}

/// The client's own name for a transaction.
pub fn reference() -> Object {
    nullable(text(
        1,
        MAX_NAME_CHARS,
        "Your own name for it; no two of your transactions share one.",
    ))
}

/// Where the money comes from.
pub fn source_account() -> Object {
    nullable(text(1, MAX_NAME_CHARS, "Where the money comes from."))
}

/// Where the money goes.
pub fn destination_account() -> Object {
    nullable(text(1, MAX_NAME_CHARS, "Where the money goes."))
}

/// For people.
pub fn description() -> Object {
    nullable(text(0, MAX_DESCRIPTION_CHARS, "For people."))
}

/// Why somebody does what they do, where they must say it.
pub fn reason() -> Object {
    text(1, MAX_REASON_CHARS, "Why, for the record. White space around it is not kept.")
        .pattern(Some(r"^[^\u0000]*\S[^\u0000]*$"))
        .build()
}

/// Why somebody does what they do, where they may say it.
pub fn optional_reason() -> Object {
    nullable(reason().into())
}

/// A client's own id of a transaction.
pub fn id() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    let description = "Your own choice of its id; without one Onceward makes one.";
    nullable(ObjectBuilder::new().format(Some(format)).description(Some(description)))
}

/// When something happened, by the client's account.
pub fn timestamp() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    let description =
        "When it happened, by your account, to the microsecond. Without an offset it is UTC.";
    nullable(ObjectBuilder::new().format(Some(format)).description(Some(description)))
}

/// Whatever the client wants kept.
pub fn metadata() -> Object {
    ObjectBuilder::new()
        .schema_type(or_null(Type::Object))
        .description(Some(format!(
            "Whatever you want kept with it: at most {MAX_METADATA_BYTES} bytes of compact JSON."
        )))
        .build()
}

fn text(min_chars: usize, max_chars: usize, description: &str) -> ObjectBuilder {
    // PostgreSQL's text cannot hold U+0000.
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .min_length(Some(min_chars))
        .max_length(Some(max_chars))
        .pattern(Some(r"^[^\u0000]*$"))
}

fn nullable(object: ObjectBuilder) -> Object {
    object.schema_type(or_null(Type::String)).build()
}

fn or_null(kind: Type) -> SchemaType {
    SchemaType::Array(vec![kind, Type::Null])
}
