//! The error responses of operations in the API's document: for each status its meaning, its codes, and an example of
//! each code.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{FieldError, Unreadable};
use gateway::{EngineError, SubmitError};
use serde_json::json;
use utoipa::openapi::{
    AllOf, ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
    example::ExampleBuilder, schema::Type,
};
use uuid::{Uuid, uuid};

use super::{Problem, code::Code};
use crate::http::body_limits::MAX_BODY_BYTES;

/// The id of the request in examples.
pub const EXAMPLE_REQUEST_ID: &str = "0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1";

/// The id of the transaction in examples.
const EXAMPLE_TRANSACTION_ID: Uuid = uuid!("7c9e6679-7425-40de-944b-e07fc1f90ae7");

/// The codes of every operation.
const ANY: [Code; 10] = [
    Code::Malformed,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::CrossSite,
    Code::MethodNotAllowed,
    Code::RateLimited,
    Code::Internal,
    Code::Overloaded,
    Code::Starting,
    Code::Unavailable,
];

/// Names the codes of groups of operations, in addition to those of every operation.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($code:ident),*;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses(&[$(Code::$code),*])
            }
        }
    )+};
}

problems! {
    /// For an operation whose input cannot be wrong.
    Any: ;
    /// For an operation that reads one resource by its id.
    OfLookup: NotFound, Unreadable;
    /// For an operation on one resource that is no transaction.
    OfResource: NotFound;
    /// For an operation that creates a resource with a name.
    OfCreation: Conflict, RequestTimeout, TooLarge, UnsupportedMediaType, UnsupportedContentEncoding, ValidationFailed;
    /// For an operation that changes a resource.
    OfChange: NotFound, RequestTimeout, TooLarge, UnsupportedMediaType, UnsupportedContentEncoding, ValidationFailed;
    /// For an operation that changes a user: there must be an administrator who can sign in.
    OfUserChange: NotFound, Conflict, RequestTimeout, TooLarge, UnsupportedMediaType, UnsupportedContentEncoding,
        ValidationFailed;
    /// For an operation on one resource that may be in another state.
    OfResourceInState: NotFound, Conflict;
    /// For an operation that reads a form, and refuses it in a way of its own.
    OfForm: RequestTimeout, TooLarge, UnsupportedContentEncoding;
    /// For an operation that lists resources.
    OfList: ValidationFailed;
    /// For an operation whose body may have a reason.
    OfReason: RequestTimeout, TooLarge, UnsupportedMediaType, UnsupportedContentEncoding, ValidationFailed;
    /// For an intervention.
    OfIntervention: NotFound, NotPermitted, Unreadable, RequestTimeout, TooLarge, UnsupportedMediaType,
        UnsupportedContentEncoding, ValidationFailed;
    /// For an inbound webhook.
    OfWebhook: SignatureMissing, SignatureInvalid, SignatureOutOfTime, Conflict, Unreadable, RequestTimeout, TooLarge,
        UnsupportedMediaType, UnsupportedContentEncoding, ValidationFailed;
    /// For a submission.
    OfSubmission: IdempotencyKeyMissing, IdempotencyKeyInvalid, IdempotencyKeyMisnamed, Conflict, Unreadable, RequestTimeout,
        TooLarge, UnsupportedMediaType, UnsupportedContentEncoding, ValidationFailed, IdempotencyKeyReused;
    /// For a batch as a whole. Each line has its own result.
    OfBatch: IdempotencyKeyInvalid, IdempotencyKeyMisnamed, RequestTimeout, TooLarge, UnsupportedMediaType,
        UnsupportedContentEncoding, ValidationFailed;
}

fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<u16, BTreeSet<Code>>::new();
    for code in codes.iter().copied().chain(ANY) {
        by_status.entry(code.status().as_u16()).or_default().insert(code);
    }
    let response = |(status, codes): (u16, BTreeSet<Code>)| {
        (status.to_string(), response(status, &codes).into())
    };
    by_status.into_iter().map(response).collect()
}

fn response(status: u16, codes: &BTreeSet<Code>) -> Response {
    let named = |code: &Code| format!("`{}`: {}", code.as_str(), code.meaning());
    let names = codes.iter().map(|code| code.as_str());
    let these = ObjectBuilder::new()
        .property(
            "status",
            ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status])),
        )
        .property("code", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)));
    let schema = AllOf {
        items: vec![Ref::from_schema_name("Problem").into(), Schema::from(these.build()).into()],
        ..AllOf::new()
    };
    let examples = codes.iter().map(|code| {
        let example = ExampleBuilder::new().summary(code.meaning()).value(Some(example(*code)));
        (code.as_str(), example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Schema::AllOf(schema)))
        .examples_from_iter(examples)
        .build();
    ResponseBuilder::new()
        .description(codes.iter().map(named).collect::<Vec<_>>().join("\n\n"))
        .content("application/problem+json", content)
        .build()
}

/// A problem document with this code.
pub fn example(code: Code) -> serde_json::Value {
    let problem = match code {
        Code::Malformed => Problem::malformed(
            "the body is not JSON: EOF while parsing an object at line 1 column 13",
        ),
        Code::IdempotencyKeyMissing => Problem::idempotency_key_missing(),
        Code::IdempotencyKeyInvalid => Problem::bad_idempotency_key("must be given only once"),
        Code::IdempotencyKeyMisnamed => {
            Problem::idempotency_key_misnamed("header x-idempotency-key")
        }
        Code::IdempotencyKeyReused => SubmitError::KeyReused.into(),
        Code::SignatureMissing => Problem::unsigned(
            code,
            "webhooks must be signed according to Standard Webhooks; the header webhook-signature is missing",
        ),
        Code::SignatureInvalid => Problem::unsigned(
            code,
            "no signature in webhook-signature matches the webhook's id, timestamp and body with a known secret",
        ),
        Code::SignatureOutOfTime => {
            Problem::unsigned(code, "webhook-timestamp is more than 300 seconds in the past")
        }
        Code::Unauthenticated => Problem::unauthenticated(None),
        Code::CrossSite => Problem::cross_site(),
        Code::Forbidden => Problem::forbidden(),
        Code::NotFound => Problem::no_such_transaction(),
        Code::MethodNotAllowed => Problem::method_not_allowed(),
        Code::RequestTimeout => Problem::slow_body(),
        Code::Conflict => SubmitError::Conflict { pointer: "/id" }.into(),
        Code::NotPermitted => {
            gateway::InterventionError::NotPermitted(domain::NotPermitted::Sent).into()
        }
        Code::TooLarge => Problem::too_large(MAX_BODY_BYTES),
        Code::UnsupportedMediaType => Problem::not_json(),
        Code::UnsupportedContentEncoding => Problem::unsupported_encoding(),
        Code::ValidationFailed => Problem::invalid(vec![
            FieldError::new("/amount", "must be greater than zero"),
            FieldError::new("/currency", "is required"),
        ]),
        Code::Unreadable => {
            EngineError::from(Unreadable::column(EXAMPLE_TRANSACTION_ID, "amount")).into()
        }
        Code::RateLimited => Problem::rate_limited("too many requests", Duration::from_secs(1)),
        Code::Internal => Problem::internal(""),
        Code::Overloaded => SubmitError::Overloaded.into(),
        Code::Starting => Problem::starting("waiting for the database: Connection refused"),
        Code::Unavailable => Problem::unavailable("the database does not answer"),
    };
    json!(problem.document(Some(EXAMPLE_REQUEST_ID.to_owned())))
}
