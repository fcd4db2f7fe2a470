//! Ids of transactions: drawn for a form, and shortened for people.

use uuid::Uuid;

/// The last eight digits. The first ones are a time in the ids that Onceward draws, and the same
/// for whatever was submitted in the same minute.
pub fn short_id(id: Uuid) -> String {
    let digits = id.simple().to_string();
    format!("…{}", &digits[24..])
}

/// A new id for the transaction that a form will submit; empty where the browser has no source of
/// randomness, and the server then draws one.
pub fn draw_id() -> String {
    #[cfg(feature = "ssr")]
    return Uuid::now_v7().to_string();
    #[cfg(not(feature = "ssr"))]
    {
        let mut bytes = [0; 16];
        let crypto = leptos::prelude::window().crypto();
        match crypto.and_then(|crypto| crypto.get_random_values_with_u8_array(&mut bytes)) {
            Ok(_) => uuid::Builder::from_random_bytes(bytes).into_uuid().to_string(),
            Err(_) => String::new(),
        }
    }
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
