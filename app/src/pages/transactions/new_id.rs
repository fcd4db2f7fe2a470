//! The id of the next transaction that the form submits.

/// A new id for the transaction that a form will submit. It is empty if the browser has no source
/// of randomness; the server then generates one.
pub fn new_id() -> String {
    #[cfg(feature = "ssr")]
    return uuid::Uuid::now_v7().to_string();
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
