//! The API's document (OpenAPI 3.1), generated from the routes: served at `/api/openapi.json`, shown at `/api/docs`,
//! committed as `docs/openapi.json`.
//!
//! This folder has only what all routes have in common; an example is beside its type.

mod finish;

use axum::{Router, http::header, response::IntoResponse, routing::get};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::{
    PathPrefix, content_security_policy,
    problem::{self, code},
    state::WebState,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Onceward",
        description = include_str!("introduction.md"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This Onceward")),
    tags(
        (name = "Transactions", description = "Submitting transactions, and following them."),
        (name = "Webhooks", description = "The same for systems that announce transactions in their own format."),
        (name = "Interventions", description = "What operators do to a transaction, and the record of it."),
        (name = "Bulk retries", description = "Retrying all transactions that pass a filter."),
        (name = "Posting", description = "Posting as a whole: the pause, and the workers' circuit breakers."),
        (name = "Access", description = "Who may do what: yourself, clients and their keys, users and their sessions; and who did what: the audit."),
        (name = "Operation", description = "The state of Onceward, for operators, orchestrators and monitors."),
    ),
    components(schemas(code::Code, problem::Document)),
)]
struct Base;

/// A router that documents the routes added to it.
pub fn router() -> OpenApiRouter<WebState> {
    OpenApiRouter::with_openapi(Base::openapi())
}

/// The routes of the document itself and of the page that shows it. Its server has the prefix.
pub fn routes(mut document: OpenApi, prefix: &PathPrefix) -> Router<WebState> {
    if !prefix.as_str().is_empty() {
        let servers = document.servers.iter_mut().flatten();
        servers.for_each(|server| server.url = prefix.to_string());
    }
    let text = text(&document);
    let document =
        async move || ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    // Swagger's validator would send the document to a foreign server.
    let config = Config::from(format!("{prefix}/api/openapi.json")).validator_url("none");
    let protected = SetResponseHeaderLayer::if_not_present(
        header::CONTENT_SECURITY_POLICY,
        content_security_policy::OF_DOCUMENTATION,
    );
    let page = Router::from(SwaggerUi::new("/api/docs").config(config)).layer(protected);
    Router::new().route("/api/openapi.json", get(document)).merge(page)
}

/// The routes' document, in its final form.
pub fn finished(document: OpenApi) -> OpenApi {
    finish::finish(document)
}

/// The document as served and committed.
fn text(document: &OpenApi) -> String {
    document.to_pretty_json().unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{api, problem::code::Code};

    #[test]
    fn the_committed_document_is_generated_from_the_routes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let made = text(&finished(router().merge(api::routes(true)).into_openapi()));
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(made == committed, "docs/openapi.json differs from the code: run `make openapi`");
    }

    #[test]
    fn every_reference_has_a_target() {
        let document = text(&finished(router().merge(api::routes(true)).into_openapi()));
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let mut values = vec![&document];
        while let Some(value) = values.pop() {
            if let Some(reference) = value["$ref"].as_str() {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            values.extend(value.as_object().into_iter().flat_map(|object| object.values()));
            values.extend(value.as_array().into_iter().flatten());
        }
    }

    #[test]
    fn every_code_is_in_the_document() {
        let document = text(&finished(router().merge(api::routes(true)).into_openapi()));
        for code in Code::ALL {
            let named = document.contains(&format!("\"code\": \"{}\"", code.as_str()));
            assert!(named, "no operation documents {}", code.as_str());
        }
    }
}
