//! Names by which a client probably means a field of a submission. Such a member is refused: if an
//! `idempotency_key` were ignored, the client would lose its protection against paying twice. A name that
//! resembles no field is ignored, because clients of other services send more than Onceward reads.

/// Every field of a submission, by its exact name.
const FIELDS: [&str; 10] = [
    "id",
    "amount",
    "currency",
    "reference",
    "idempotencyKey",
    "description",
    "timestamp",
    "sourceAccount",
    "destinationAccount",
    "metadata",
];

/// Usual names of the same thing in other services, normalized.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("id", &["transactionid", "transactionuuid", "txid", "txnid", "uuid"]),
    ("amount", &["amt", "value", "transactionamount"]),
    ("currency", &["ccy", "curr", "currencycode", "transactioncurrency"]),
    (
        "reference",
        &[
            "ref",
            "referenceid",
            "referenceno",
            "referencenumber",
            "clientreference",
            "clientreferenceid",
            "externalid",
            "externalreference",
            "merchantreference",
            "paymentreference",
            "transactionreference",
            "transactionref",
            "endtoendid",
        ],
    ),
    (
        "idempotencyKey",
        &[
            "idempotency",
            "idempotencyid",
            "idempotencytoken",
            "idempotentkey",
            "idempotentid",
            "xidempotencykey",
            "deduplicationid",
            "deduplicationkey",
            "dedupkey",
        ],
    ),
    ("description", &["desc", "memo", "narration", "narrative", "remittanceinformation"]),
    (
        "timestamp",
        &["datetime", "occurredat", "transactiondate", "transactiontime", "transactiontimestamp"],
    ),
    (
        "sourceAccount",
        &[
            "source",
            "sourceaccountid",
            "sourceaccountnumber",
            "from",
            "fromaccount",
            "accountfrom",
            "debitaccount",
            "debtoraccount",
            "payeraccount",
            "senderaccount",
            "accountexternaliddebit",
        ],
    ),
    (
        "destinationAccount",
        &[
            "destination",
            "destinationaccountid",
            "destinationaccountnumber",
            "destaccount",
            "to",
            "toaccount",
            "accountto",
            "targetaccount",
            "creditaccount",
            "creditoraccount",
            "payeeaccount",
            "beneficiaryaccount",
            "recipientaccount",
            "receiveraccount",
            "accountexternalidcredit",
        ],
    ),
    ("metadata", &["meta", "metainfo"]),
];

/// Names shorter than this are compared exactly: one edit turns `id` into many unrelated words.
const MIN_TYPO_CHARS: usize = 6;

/// The field that `name` probably means. `None` if `name` is a field, or resembles none.
pub fn field_meant_by(name: &str) -> Option<&'static str> {
    if FIELDS.contains(&name) {
        return None;
    }
    nearest(name, &FIELDS).or_else(|| {
        let normalized = normalize(name);
        let is_synonym = |known: &&str| is_near(&normalized, known);
        let found = SYNONYMS.iter().find(|(_, names)| names.iter().any(&is_synonym));
        found.map(|(field, _)| *field)
    })
}

/// The one of `known` that `name`, which is none of them, is probably a misspelling of.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let normalized = normalize(name);
    known.iter().copied().find(|known| is_near(&normalized, &normalize(known)))
}

/// Whether the name of a header or a query parameter probably means the header `Idempotency-Key`, which only
/// the exact name does. It compares with the names of the key alone, because every header of every submission is
/// looked at.
pub fn means_idempotency_key(name: &str) -> bool {
    let normalized = normalize(name);
    let bare = normalized.strip_prefix('x').unwrap_or(&normalized);
    let is_key = |known: &&str| is_near(bare, known);
    let is_synonym =
        |(field, names): &(&str, &[&str])| *field == "idempotencyKey" && names.iter().any(is_key);
    !name.eq_ignore_ascii_case("idempotency-key")
        && (is_key(&"idempotencykey") || SYNONYMS.iter().any(is_synonym))
}

/// Without case and separators.
fn normalize(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether two normalized names are the same, or one inserted, missing, wrong or swapped character apart.
fn is_near(normalized: &str, known: &str) -> bool {
    normalized == known || (known.len() >= MIN_TYPO_CHARS && is_one_edit_apart(normalized, known))
}

/// Compares what is left between the common beginning and the common end, which takes no memory.
fn is_one_edit_apart(left: &str, right: &str) -> bool {
    let same = left.chars().zip(right.chars()).take_while(|(left, right)| left == right);
    let common: usize = same.map(|(char, _)| char.len_utf8()).sum();
    let (left, right) = (&left[common..], &right[common..]);
    let same =
        left.chars().rev().zip(right.chars().rev()).take_while(|(left, right)| left == right);
    let common: usize = same.map(|(char, _)| char.len_utf8()).sum();
    let mut left = left[..left.len() - common].chars();
    let mut right = right[..right.len() - common].chars();
    match (left.next(), left.next(), right.next(), right.next()) {
        (Some(_), None, _, None) | (None, _, Some(_), None) => true,
        (Some(first), Some(second), Some(other_first), Some(other_second)) => {
            (first, second) == (other_second, other_first)
                && left.next().is_none()
                && right.next().is_none()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn another_case_or_separator_means_the_field() {
        for (name, field) in [
            ("idempotency_key", "idempotencyKey"),
            ("IdempotencyKey", "idempotencyKey"),
            ("Idempotency-Key", "idempotencyKey"),
            ("source_account", "sourceAccount"),
            ("DESTINATION ACCOUNT", "destinationAccount"),
            ("Id", "id"),
        ] {
            assert_eq!(field_meant_by(name), Some(field), "{name}");
        }
    }

    #[test]
    fn a_usual_synonym_means_the_field() {
        for (name, field) in [
            ("transactionId", "id"),
            ("transaction_id", "id"),
            ("external_id", "reference"),
            ("idempotency-token", "idempotencyKey"),
            ("accountExternalIdDebit", "sourceAccount"),
            ("to_account", "destinationAccount"),
        ] {
            assert_eq!(field_meant_by(name), Some(field), "{name}");
        }
    }

    #[test]
    fn a_name_that_resembles_no_field_is_ignored() {
        for name in [
            "user_id",
            "order_id",
            "orderId",
            "account",
            "type",
            "status",
            "country",
            "items",
            "customer",
            "ip",
            "uid",
            "ids",
            "channel",
            "createdAt",
            "mode",
            "discount",
            "",
        ] {
            assert_eq!(field_meant_by(name), None, "{name}");
        }
        for field in FIELDS {
            assert_eq!(field_meant_by(field), None, "{field}");
        }
    }

    #[test]
    fn one_edit_is_an_inserted_a_missing_a_wrong_or_a_swapped_character() {
        for (left, right, expected) in [
            ("amount", "amount", false),
            ("amoount", "amount", true),
            ("amunt", "amount", true),
            ("amaunt", "amount", true),
            ("amuont", "amount", true),
            ("xamount", "amount", true),
            ("amountx", "amount", true),
            ("mount", "amount", true),
            ("äamount", "amount", true),
            ("amuontx", "amount", false),
            ("oamunt", "amount", false),
            ("xamountx", "amount", false),
            ("amnt", "amount", false),
            ("aaa", "aa", true),
            ("", "a", true),
            ("", "ab", false),
        ] {
            assert_eq!(is_one_edit_apart(left, right), expected, "{left} {right}");
            assert_eq!(is_one_edit_apart(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn a_header_like_the_key_is_recognised_and_others_are_not() {
        for name in [
            "X-Idempotency-Key",
            "x-idempotency-token",
            "IdempotencyKey",
            "Idempotency_Key",
            "Idempotent-Key",
            "Idempotancy-Key",
            "X-Idempotancy-Key",
        ] {
            assert!(means_idempotency_key(name), "{name}");
        }
        for name in ["Idempotency-Key", "idempotency-key", "x-request-id", "key", "x-api-key", "x"]
        {
            assert!(!means_idempotency_key(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_character_in_a_long_name_means_the_field(
            field in prop::sample::select(&FIELDS[1..]), at in 0_usize..9, wrong in "[a-z]",
        ) {
            let mut chars: Vec<char> = field.chars().collect();
            let at = at % chars.len();
            chars[at] = wrong.chars().next().unwrap();
            let name: String = chars.into_iter().collect();
            prop_assume!(name != field);
            prop_assert_eq!(field_meant_by(&name), Some(field));
        }
    }
}
