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
    Amount, Currency, IdempotencyKey, intervention::MAX_REASON_CHARS,
    money::MAX_SIGNIFICANT_DIGITS, submission::MAX_KEY_CHARS,
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

pub(crate) fn number() -> Object {
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

pub(crate) fn text(min_chars: usize, max_chars: usize, description: &str) -> ObjectBuilder {
    // PostgreSQL's text cannot hold U+0000.
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .min_length(Some(min_chars))
        .max_length(Some(max_chars))
        .pattern(Some(r"^[^\u0000]*$"))
}

pub(crate) fn nullable(object: ObjectBuilder) -> Object {
    object.schema_type(or_null(Type::String)).build()
}

pub(crate) fn or_null(kind: Type) -> SchemaType {
    SchemaType::Array(vec![kind, Type::Null])
}
