//! Completes the document with what all routes have in common, so that no route has to state it.

use axum::http::Method;
use serde_json::json;
use utoipa::openapi::{
    Content, Header, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, Schema,
    path::{Operation, Parameter, PathItem},
    schema::{SchemaType, Type},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::http::{
    permissions::{self, Need},
    problem::error_responses::EXAMPLE_REQUEST_ID,
};

/// Schemas of requests, whose fields may be absent. In responses, every field is present.
const SENT: [&str; 12] = [
    "Submission",
    "Webhook",
    "Reason",
    "Resolving",
    "BulkRetryRequest",
    "Filter",
    "NewClient",
    "ClientChange",
    "NewClientKey",
    "TokenRequest",
    "NewUser",
    "UserChange",
];
/// Schemas of responses with fields that are absent if they have no value.
const MAY_LACK: [&str; 1] = ["Problem"];

/// Completes the routes' document.
pub fn finish(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    components.headers.insert("RequestId".to_owned(), request_id().into());
    components.headers.insert("RetryAfter".to_owned(), retry_after().into());
    components.headers.insert("AcceptEncoding".to_owned(), accept_encoding().into());
    components.headers.insert("Allow".to_owned(), allow().into());
    components.headers.insert("WWWAuthenticate".to_owned(), challenge().into());
    components.security_schemes.insert("bearer".to_owned(), RefOr::T(bearer()));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.security = Some(security(&method, path));
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    never_null_text(parameter);
                }
            }
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.content.values_mut().for_each(never_null);
            }
            for (status, answer) in &mut operation.responses.responses {
                let RefOr::T(response) = answer else { continue };
                add_headers(status, response);
                if let Some(name) = problems_name(response) {
                    let response =
                        std::mem::replace(answer, RefOr::Ref(reference("responses", &name)));
                    components.responses.insert(name, response);
                }
            }
        }
    }
    for (name, schema) in &mut components.schemas {
        if let RefOr::T(Schema::Object(object)) = schema
            && !SENT.contains(&name.as_str())
            && !MAY_LACK.contains(&name.as_str())
        {
            object.required = object.properties.keys().cloned().collect();
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The credentials that an operation takes. The last one, which is empty, is for where authentication is off.
fn security(method: &Method, path: &str) -> Vec<SecurityRequirement> {
    match permissions::need(method, path) {
        Some(Need::Caller | Need::Permission(_)) => {
            let bearer = SecurityRequirement::new("bearer", Vec::<String>::new());
            vec![bearer, SecurityRequirement::default()]
        }
        _ => vec![SecurityRequirement::default()],
    }
}

fn bearer() -> SecurityScheme {
    let description = "An API key of a client, or a token: `Authorization: Bearer ow_…`. Not needed where \
        authentication is off.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
    SecurityScheme::Http(scheme.build())
}

fn add_headers(status: &str, response: &mut Response) {
    let of_status = match status {
        "401" => Some(("WWW-Authenticate", "WWWAuthenticate")),
        "415" => Some(("Accept-Encoding", "AcceptEncoding")),
        "405" => Some(("Allow", "Allow")),
        "503" => Some(("Retry-After", "RetryAfter")),
        _ => None,
    };
    for (name, component) in of_status.into_iter().chain([("X-Request-Id", "RequestId")]) {
        response.headers.insert(name.to_owned(), RefOr::Ref(reference("headers", component)));
    }
}

/// An optional parameter must not be documented as nullable.
fn never_null_text(parameter: &mut Parameter) {
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && object.schema_type == SchemaType::Array(vec![Type::String, Type::Null])
    {
        object.schema_type = SchemaType::Type(Type::String);
    }
}

/// An optional body must not be documented as nullable.
fn never_null(content: &mut RefOr<Content>) {
    let RefOr::T(Content { schema: Some(schema), .. }) = content else { return };
    if let RefOr::T(Schema::OneOf(one_of)) = schema
        && let Some(reference) = one_of.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
    {
        *schema = reference.clone();
    }
}

/// The name of a response that has only problems, composed of their codes.
fn problems_name(response: &Response) -> Option<String> {
    let RefOr::T(content) = response.content.get("application/problem+json")? else { return None };
    let codes: Vec<_> = content.examples.keys().map(String::as_str).collect();
    (response.content.len() == 1).then(|| codes.join("_or_"))
}

fn reference(kind: &str, name: &str) -> Ref {
    Ref::new(format!("#/components/{kind}/{name}"))
}

fn request_id() -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new()
        .description(Some("The request's id: yours, or a new one."))
        .schema(Some(schema))
        .example(Some(json!(EXAMPLE_REQUEST_ID)))
        .build()
}

fn allow() -> Header {
    HeaderBuilder::new()
        .description(Some("The methods that the path supports."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!("GET,HEAD")))
        .build()
}

fn accept_encoding() -> Header {
    HeaderBuilder::new()
        .description(Some("The content encodings of a body that are supported, if yours is not."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!("gzip, br")))
        .build()
}

fn challenge() -> Header {
    HeaderBuilder::new()
        .description(Some("How to authenticate: `Bearer`, or for an inbound webhook its signature, `StandardWebhooks`."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!("Bearer")))
        .build()
}

fn retry_after() -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    HeaderBuilder::new()
        .description(Some("When to retry, in seconds."))
        .schema(Some(schema))
        .example(Some(json!(1)))
        .build()
}
