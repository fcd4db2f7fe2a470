//! JSON between the server functions and the browser.

use leptos::server_fn::{Bytes, ContentType, Decodes, Encodes, Format, FormatType, codec::Post};
use serde::{Serialize, de::DeserializeOwned};

/// JSON that is parsed from a `&str`, as hydration and the change feed do. Leptos's own encoding
/// parses bytes, which would add a second copy of all parsing code to the WASM.
pub struct Json;

/// The codec of a server function that takes a form and answers with [`Json`].
pub type JsonAnswer = Post<Json>;

/// The answer of a server function, as JSON: its result or its error. If there was no answer, the
/// error is a sentence.
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
