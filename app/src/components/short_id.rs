//! Ids of transactions: drawn for a form, and shortened for people.

use uuid::Uuid;

/// The last eight digits. The first ones are a time in the ids that Onceward draws, and the same
/// for whatever was submitted in the same minute.
pub fn short_id(id: Uuid) -> String {
    let digits = id.simple().to_string();
    format!("…{}", &digits[24..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_id_is_what_tells_ids_of_one_minute_apart() {
        let id = Uuid::parse_str("0192f0c1-2d3e-7abc-8def-0123456789ab").unwrap();
        assert_eq!(short_id(id), "…456789ab");
    }
}
