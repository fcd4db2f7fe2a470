//! The stable codes of problem documents: what a program goes by. The API's document is made from
//! this table, so none goes without.

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

macro_rules! codes {
    ($($variant:ident $name:literal $status:ident $meaning:literal,)+) => {
        /// What kind of problem it is. A code keeps its meaning and its status for ever; new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)+
        }

        impl Code {
            /// Every code, by status.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name on the wire, such as `not_found`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The status that it is answered with.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// What it says, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

codes! {
    Malformed "malformed" BAD_REQUEST
        "The request cannot be read.",
    IdempotencyKeyMissing "idempotency_key_missing" BAD_REQUEST
        "Every submission must have an idempotency key here, and it has none. Nothing was stored.",
    IdempotencyKeyInvalid "idempotency_key_invalid" BAD_REQUEST
        "The Idempotency-Key is no key, or must not be there. Nothing was stored.",
    SignatureMissing "signature_missing" UNAUTHORIZED
        "Webhooks must be signed here, and a header of the signature is missing. Nothing was stored.",
    SignatureInvalid "signature_invalid" UNAUTHORIZED
        "No signature is that of this id, timestamp and body. Nothing was stored.",
    SignatureOutOfTime "signature_out_of_time" UNAUTHORIZED
        "It was signed too long ago, or in the future. Nothing was stored.",
    CrossSite "cross_site" FORBIDDEN
        "A browser sent it on behalf of another site, or it is addressed to another host.",
    NotFound "not_found" NOT_FOUND
        "What is asked for is not there.",
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED
        "The path does not take this method; `Allow` names those that it takes.",
    RequestTimeout "request_timeout" REQUEST_TIMEOUT
        "The body took too long to arrive. Nothing was stored.",
    Conflict "conflict" CONFLICT
        "The id or the reference belongs to another transaction, with other content or idempotency key. Nothing was stored.",
    NotPermitted "not_permitted" CONFLICT
        "The transaction does not permit it as it is; `detail` says why. Nothing was changed.",
    TooLarge "too_large" PAYLOAD_TOO_LARGE
        "The body is too large.",
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE
        "The body is of a type that is not taken.",
    ValidationFailed "validation_failed" UNPROCESSABLE_ENTITY
        "It can be read, and breaks rules; `errors` names every field that does.",
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY
        "The idempotency key belongs to another transaction with other content. Nothing was stored.",
    Internal "internal" INTERNAL_SERVER_ERROR
        "A fault of Onceward's; its log has more under the request's id.",
    Overloaded "overloaded" SERVICE_UNAVAILABLE
        "Too much is under way at once. Nothing was stored: come again.",
    Unavailable "unavailable" SERVICE_UNAVAILABLE
        "The database does not answer. What became of the request is not known. A submission is safely repeated with its key, id or reference, or with the `transactionId` that is named here.",
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let lines = Self::ALL.iter().map(|code| {
            format!("- `{}` ({}): {}\n", code.as_str(), code.status().as_u16(), code.meaning())
        });
        let meanings: String = lines.collect();
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(format!(
                "What kind of problem it is. A code keeps its meaning and its status for ever; new ones \
                 may come.\n\n{meanings}"
            )))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        "ProblemCode".into()
    }
}
