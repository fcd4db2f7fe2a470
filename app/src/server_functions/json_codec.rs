//! JSON between the server functions and the browser.

use leptos::server_fn::{Bytes, ContentType, Decodes, Encodes, Format, FormatType, codec::Post};
use serde::{Serialize, de::DeserializeOwned};

/// JSON that is read from a `&str`, as hydration and the change feed read theirs. Leptos's own
/// encoding reads from bytes, which would put all the code that reads our types into the WASM once
/// more.
pub struct Json;

/// A server function that is called with a form and answers with [`Json`].
pub type JsonAnswer = Post<Json>;

/// What a server function answered, as JSON: what it gives, or why not. Without an answer, why, in a
/// sentence.
pub type Answer = Result<String, String>;

impl ContentType for Json {
    const CONTENT_TYPE: &'static str = "application/json";
}

impl FormatType for Json {
    const FORMAT_TYPE: Format = Format::Text;
}

impl<T: Serialize> Encodes<T> for Json {
    type Error = serde_json::Error;

    fn encode(value: &T) -> Result<Bytes, Self::Error> {
        serde_json::to_string(value).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> Decodes<T> for Json {
    type Error = serde_json::Error;

    fn decode(bytes: Bytes) -> Result<T, Self::Error> {
        serde_json::from_str(&String::from_utf8_lossy(&bytes))
    }
}
