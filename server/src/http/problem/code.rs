//! The stable codes of problem documents, which programs rely on. The API's document is generated from this table, so
//! no code is undocumented.

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

macro_rules! codes {
    ($($variant:ident $name:literal $status:ident $meaning:literal,)+) => {
        /// The kind of problem. A code never changes its meaning or status; new codes may be added.
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

            /// The status of its response.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// Its meaning, in a sentence.
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
        "This Onceward requires an idempotency key for each submission, and the submission has none. Nothing was stored.",
    IdempotencyKeyInvalid "idempotency_key_invalid" BAD_REQUEST
        "The Idempotency-Key is invalid or not allowed here. Nothing was stored.",
    IdempotencyKeyMisnamed "idempotency_key_misnamed" BAD_REQUEST
        "A header or query parameter is probably meant as the `Idempotency-Key`, but has another name. Nothing was stored.",
    SignatureMissing "signature_missing" UNAUTHORIZED
        "This Onceward requires signed webhooks, and a header of the signature is missing. Nothing was stored.",
    SignatureInvalid "signature_invalid" UNAUTHORIZED
        "No signature matches the webhook's id, timestamp and body. Nothing was stored.",
    SignatureOutOfTime "signature_out_of_time" UNAUTHORIZED
        "The webhook was signed too long ago, or in the future. Nothing was stored.",
    Unauthenticated "unauthenticated" UNAUTHORIZED
        "The request needs a valid credential: an API key, a token, or the session of someone who has signed in.",
    CrossSite "cross_site" FORBIDDEN
        "A browser sent the request on behalf of another site, or it is addressed to another host.",
    Forbidden "forbidden" FORBIDDEN
        "The caller's role does not permit the request.",
    NotFound "not_found" NOT_FOUND
        "The resource does not exist.",
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED
        "The path does not support this method; `Allow` names the methods that it supports.",
    RequestTimeout "request_timeout" REQUEST_TIMEOUT
        "The body took too long to arrive. Nothing was stored.",
    Conflict "conflict" CONFLICT
        "The id, the reference or the name belongs to something else, such as a transaction with different content or idempotency key. Nothing was stored.",
    NotPermitted "not_permitted" CONFLICT
        "The transaction's current state does not permit the action; `detail` says why. Nothing was changed.",
    TooLarge "too_large" PAYLOAD_TOO_LARGE
        "The body is too large.",
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE
        "The media type of the body is not supported.",
    UnsupportedContentEncoding "unsupported_content_encoding" UNSUPPORTED_MEDIA_TYPE
        "The body's `Content-Encoding` is not supported; `Accept-Encoding` names those that are. Nothing was stored.",
    ValidationFailed "validation_failed" UNPROCESSABLE_ENTITY
        "The request can be read, but breaks rules; `errors` names each field that does.",
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY
        "The idempotency key belongs to a transaction with different content or another id. Nothing was stored.",
    RateLimited "rate_limited" TOO_MANY_REQUESTS
        "The caller or its address has sent too many requests, or has too many streams open; `Retry-After` says when to try again. Nothing was stored.",
    Unreadable "unreadable" INTERNAL_SERVER_ERROR
        "The transaction is stored, but this version cannot read its row; `detail` says what of it.",
    Internal "internal" INTERNAL_SERVER_ERROR
        "An error inside Onceward; its log has details under the request's id.",
    Overloaded "overloaded" SERVICE_UNAVAILABLE
        "Too many requests are in flight. Nothing was stored; retry later.",
    Starting "starting" SERVICE_UNAVAILABLE
        "Onceward is starting and waits for its database; `detail` says what for. Nothing was stored; retry later.",
    Unavailable "unavailable" SERVICE_UNAVAILABLE
        "The database does not answer, and the request may or may not have taken effect. A submission can safely be repeated with its key, id or reference, or with the `transactionId` of this problem.",
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
                "The kind of problem. A code never changes its meaning or status; new codes may be \
                 added.\n\n{meanings}"
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
