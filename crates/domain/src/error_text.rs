//! The error of a transaction as text, and its beginning for a place with little room.

use std::borrow::Cow;

const ANSWERED: &str = "the posting service answered ";
const VERIFICATION: &str = "verification: ";
const VERIFICATION_ANSWERED: &str = "answered ";

/// The error of an attempt that was answered with a status, and an excerpt of the answer.
pub fn answered(status: u16, excerpt: Option<&str>) -> String {
    // A success that was believed is no error.
    let success = if (200..300).contains(&status) { ", not confirmed yet" } else { "" };
    let excerpt = excerpt.map_or_else(String::new, |text| format!(": {text}"));
    format!("{ANSWERED}{status}{success}{excerpt}")
}

/// The error of a verification.
pub fn of_verification(error: &str) -> String {
    format!("{VERIFICATION}{error}")
}

/// The error with its cause first, for a place that shows only the beginning: `HTTP 422: …`.
pub fn cause_first(error: &str) -> Cow<'_, str> {
    if let Some(answer) = error.strip_prefix(ANSWERED) {
        return format!("HTTP {answer}").into();
    }
    let verification = error.strip_prefix(VERIFICATION);
    match verification.and_then(|error| error.strip_prefix(VERIFICATION_ANSWERED)) {
        Some(answer) => format!("HTTP {answer} to a verification").into(),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_answer_comes_first() {
        let error = answered(422, Some("the account is closed"));
        assert_eq!(error, "the posting service answered 422: the account is closed");
        assert_eq!(cause_first(&error), "HTTP 422: the account is closed");
        assert_eq!(cause_first(&answered(500, None)), "HTTP 500");
        assert_eq!(cause_first(&answered(202, None)), "HTTP 202, not confirmed yet");
        let error = of_verification("answered 503 Service Unavailable");
        assert_eq!(cause_first(&error), "HTTP 503 Service Unavailable to a verification");
    }

    #[test]
    fn any_other_error_stays_as_it_is() {
        for error in ["no answer in time", "verification: no connection", ""] {
            assert_eq!(cause_first(error), error);
        }
    }
}
