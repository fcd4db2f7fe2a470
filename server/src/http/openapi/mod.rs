//! The API's document (OpenAPI 3.1): made from the routes themselves, served at `/api/openapi.json`,
//! shown at `/api/docs`, and kept in `docs/openapi.json`.

mod finish;

use axum::{Router, http::header, response::IntoResponse, routing::get};
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::{
    problem::{self, code},
    state::Web,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Onceward",
        description = include_str!("introduction.md"),
        license(name = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This Onceward")),
    tags(
        (name = "Transactions", description = "Handing them over, and what became of them."),
        (name = "Webhooks", description = "The same for systems that announce transactions in words of their own."),
        (name = "Interventions", description = "What people do to a transaction, and the record of it."),
        (name = "Bulk retries", description = "Retrying all transactions that pass a filter."),
        (name = "Posting", description = "Posting as a whole: its pause, and the workers' circuit breakers."),
        (name = "Operation", description = "How Onceward is doing: for people, orchestrators and monitors."),
    ),
    components(schemas(code::Code, problem::Document, domain::Counts)),
)]
struct Base;

/// A router whose routes are documented: what is added to it lands in the document.
pub fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::with_openapi(Base::openapi())
}

/// The routes of the document itself and of the page that shows it.
pub fn routes(document: &OpenApi) -> Router<Web> {
    let text = text(document);
    let document =
        async move || ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    // Its validator would send the document to somebody else's server.
    let config = Config::from("/api/openapi.json").validator_url("none");
    let page = SwaggerUi::new("/api/docs").config(config);
    Router::new().route("/api/openapi.json", get(document)).merge(page)
}

/// The routes' document, in its final form.
pub fn finished(document: OpenApi) -> OpenApi {
    finish::finish(document)
}

/// The document as it is served and committed.
fn text(document: &OpenApi) -> String {
    document.to_pretty_json().unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{api, problem::code::Code};

    #[test]
    fn the_committed_document_is_the_routes_own() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let made = text(&finished(router().merge(api::routes(true)).into_openapi()));
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            made == committed,
            "docs/openapi.json is not what the code says: run `make openapi`"
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
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
            assert!(named, "no operation answers with {}", code.as_str());
        }
    }
}
