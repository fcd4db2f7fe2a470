//! What OpenAPI says of the fields of a submission.

use utoipa::openapi::{
    Object, ObjectBuilder, Schema,
    schema::{KnownFormat, OneOf, SchemaFormat, Type},
};

use super::limits::{MAX_DESCRIPTION_CHARS, MAX_METADATA_BYTES, MAX_NAME_CHARS};
use crate::{
    money::MAX_SIGNIFICANT_DIGITS,
    openapi::{nullable, number, or_null, text},
};

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
