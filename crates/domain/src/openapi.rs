//! The OpenAPI schemas of the values that clients send, with the limits that the parsers check. Those
//! of a submission's other fields are in `submission::schema`. Compiled only with the feature
//! `openapi`, which the browser build leaves off.

use std::borrow::Cow;

use iso_currency::IntoEnumIterator;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{SchemaFormat, SchemaType, Type},
    },
};

use crate::{
    Amount, Currency, IdempotencyKey,
    intervention::MAX_REASON_CHARS,
    money::{MAX_DECIMALS, MAX_SIGNIFICANT_DIGITS},
    submission::MAX_KEY_CHARS,
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
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "A currency, by its alphabetic code in ISO 4217. Stored transactions may have one that is withdrawn, or not \
                 listed any more.",
            ))
            .pattern(Some("^[A-Z]{3}$"))
            .into()
    }
}

/// The currency of a submission: one that [`Currency::parse`] accepts.
pub struct AcceptedCurrency;

impl PartialSchema for AcceptedCurrency {
    fn schema() -> RefOr<Schema> {
        let all = iso_currency::Currency::iter().map(|currency| currency.code());
        let description = "An ISO 4217 currency that is in use, by its alphabetic code. XXX and XTS are no \
            currencies; withdrawn ones are refused, with the date and the currency that replaced it.";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
            .enum_values(Some(all.filter(|code| Currency::parse(code).is_ok())))
            .into()
    }
}

impl ToSchema for AcceptedCurrency {
    fn name() -> Cow<'static, str> {
        "AcceptedCurrency".into()
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
            .description(Some(
                "Visible ASCII characters. A key belongs to only one of your transactions.",
            ))
            .into()
    }
}

impl ToSchema for IdempotencyKey {
    fn name() -> Cow<'static, str> {
        "IdempotencyKey".into()
    }
}

/// The format of an exact decimal, in OpenAPI's registry: generators choose their language's decimal type.
pub(crate) fn decimal() -> SchemaFormat {
    SchemaFormat::Custom("decimal".to_owned())
}

pub(crate) fn number() -> Object {
    let largest = 10_f64.powi(MAX_SIGNIFICANT_DIGITS as i32) - 1.0;
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .format(Some(decimal()))
        .description(Some(format!(
            "An exact decimal in units of the currency, with the digits that were sent: 100.50 stays \
             100.50. At most {MAX_SIGNIFICANT_DIGITS} significant digits, and no more decimals than \
             ISO 4217 allows for the currency, or {MAX_DECIMALS} if it sets no number, as for gold."
        )))
        .exclusive_minimum(Some(0.0))
        .maximum(Some(largest))
        .build()
}

/// A required reason for an operation.
pub fn reason() -> Object {
    not_blank(MAX_REASON_CHARS, "The reason, for the record. Surrounding white space is removed.")
        .build()
}

/// An optional reason for an operation.
pub fn optional_reason() -> Object {
    nullable(reason().into())
}

/// A text that is not white space alone.
pub(crate) fn not_blank(max_chars: usize, description: &str) -> ObjectBuilder {
    text(1, max_chars, description).pattern(Some(r"^[^\u0000]*\S[^\u0000]*$"))
}

pub(crate) fn text(min_chars: usize, max_chars: usize, description: &str) -> ObjectBuilder {
    // PostgreSQL's `text` cannot store U+0000.
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
