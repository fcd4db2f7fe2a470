//! Parses the reason that an operator enters with an action.

use domain::intervention::{BadReason, read_reason};

use crate::server_functions::operation_error::OperationError;

/// The reason, or `None` if the field is empty.
pub fn parse(typed: &str) -> Result<Option<&str>, OperationError> {
    match read_reason(typed) {
        Ok(reason) => Ok(Some(reason)),
        Err(BadReason::Empty) => Ok(None),
        Err(bad) => Err(OperationError(format!("Not done: the reason {bad}."))),
    }
}

#[cfg(test)]
mod tests {
    use domain::intervention::MAX_REASON_CHARS;

    use super::*;

    #[test]
    fn an_empty_reason_is_none_and_a_bad_one_is_explained() {
        assert_eq!(parse("  "), Ok(None));
        assert_eq!(parse(" the ledger is moved "), Ok(Some("the ledger is moved")));
        let bad = parse(&"x".repeat(MAX_REASON_CHARS + 1)).unwrap_err();
        assert!(bad.0.contains("at most 500 characters"), "{}", bad.0);
    }
}
