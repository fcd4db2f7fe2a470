//! A transaction id shortened for display.

use uuid::Uuid;

/// The last eight digits. In the ids that Onceward generates, the first digits are a time: they are
/// the same for all transactions submitted in the same minute.
pub fn short_id(id: Uuid) -> String {
    let digits = id.simple().to_string();
    format!("…{}", &digits[24..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_id_distinguishes_ids_of_the_same_minute() {
        let id = Uuid::parse_str("0192f0c1-2d3e-7abc-8def-0123456789ab").unwrap();
        assert_eq!(short_id(id), "…456789ab");
    }
}
