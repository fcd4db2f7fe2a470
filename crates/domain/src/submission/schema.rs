//! The OpenAPI schemas of a submission's fields.

use utoipa::openapi::{
    Object, ObjectBuilder, Schema,
    schema::{KnownFormat, OneOf, SchemaFormat, Type},
};

use super::limits::{
    MAX_DESCRIPTION_CHARS, MAX_METADATA_BYTES, MAX_METADATA_DEPTH, MAX_NAME_CHARS,
};
use crate::{
    money::MAX_SIGNIFICANT_DIGITS,
    openapi::{decimal, not_blank, nullable, number, or_null, text},
};

/// An amount as a client may send it.
pub fn amount() -> Schema {
    let text = text(
        1,
        MAX_SIGNIFICANT_DIGITS + 1,
        "The same number as a string, for clients whose numbers are floats.",
    )
    .format(Some(decimal()))
    .pattern(Some(r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,14})?$"));
    Schema::OneOf(OneOf { items: vec![number().into(), text.into()], ..OneOf::new() })
}

/// A required account.
pub fn name(description: &str) -> Object {
    text(1, MAX_NAME_CHARS, description).build()
}

/// A client's own id for a transaction.
pub fn id_of_client(description: &str) -> ObjectBuilder {
    let description = format!(
        "{description} White space around it is removed, and it is stored in Unicode's composed form (NFC)."
    );
    not_blank(MAX_NAME_CHARS, &description)
}

/// The client's own id for a transaction.
pub fn reference() -> Object {
    nullable(id_of_client("Your own id for the transaction, unique among your transactions."))
}

/// The account that the money comes from.
pub fn source_account() -> Object {
    nullable(text(1, MAX_NAME_CHARS, "The account that the money comes from."))
}

/// The account that the money goes to.
pub fn destination_account() -> Object {
    nullable(text(1, MAX_NAME_CHARS, "The account that the money goes to."))
}

/// A description for people to read.
pub fn description() -> Object {
    nullable(text(0, MAX_DESCRIPTION_CHARS, "A description for people to read."))
}

/// The id of a transaction, as the client may choose it.
pub fn id() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    let description = "The transaction's id, if you choose it; otherwise Onceward generates one.";
    nullable(ObjectBuilder::new().format(Some(format)).description(Some(description)))
}

/// When a transaction happened according to the client.
pub fn timestamp() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    let description = "When it happened, to the microsecond: a date and time of RFC 3339, or the same \
        without an offset, which then is UTC.";
    nullable(ObjectBuilder::new().format(Some(format)).description(Some(description)))
}

/// The data that the client wants to keep with a transaction.
pub fn metadata() -> Object {
    ObjectBuilder::new()
        .schema_type(or_null(Type::Object))
        .description(Some(format!(
            "Any data to keep with the transaction: at most {MAX_METADATA_BYTES} bytes of compact JSON, nested at \
             most {MAX_METADATA_DEPTH} levels deep, without the character U+0000."
        )))
        .build()
}
