//! The pages, which the crate `app` renders: their routes, the form that a browser posts without script, and the
//! page's files.

use app::{App, FormValues, SubmissionError, shell, submit_form};
use axum::{
    Extension, Form, Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, Uri, request::Parts},
    middleware::from_fn,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use domain::Caller;
use leptos::{
    config::LeptosOptions,
    prelude::{AnyView, IntoAny, provide_context},
};
use leptos_axum::{
    LeptosRoutes, file_and_error_handler_with_context, generate_route_list,
    render_app_async_with_context,
};
use tower_http::limit::RequestBodyLimitLayer;

use crate::http::{
    WebState, api::monitoring::home, body_limits::MAX_BODY_BYTES, content_security_policy,
};

/// The pages, their server functions and their files.
pub fn routes(state: &WebState) -> Router<WebState> {
    let listed = generate_route_list(App);
    // The routes are without the prefix, and all addresses on the pages have it.
    app::set_path_prefix(state.path_prefix.as_str());
    let mut rendered = Router::new()
        .leptos_routes_with_context(state, listed, context(state), document(state))
        .route("/", post(submit));
    if !state.path_prefix.as_str().is_empty() {
        // Relative addresses on the page would otherwise be resolved wrongly.
        rendered = rendered.route(state.path_prefix.as_str(), get(home_below_the_prefix));
    }
    // Files that are not in memory are looked for on disk.
    let rendered = match state.page_files.is_empty() {
        true => rendered.fallback(file_and_error_handler_with_context::<WebState, _>(
            context(state),
            protected_shell,
        )),
        false => rendered.fallback(file_or_error),
    };
    rendered
        .layer(from_fn(home::status_for_programs))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
}

async fn home_below_the_prefix(uri: Uri) -> Redirect {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::permanent(&format!("{}/{query}", uri.path()))
}

/// What the pages take from the context of Leptos.
fn context(state: &WebState) -> impl Fn() + Clone + Send + Sync + 'static {
    let (gateway, setting) = (state.gateway.clone(), state.setting.clone());
    move || {
        provide_context(gateway.clone());
        provide_context(setting.clone());
    }
}

fn document(state: &WebState) -> impl Fn() -> AnyView + Clone + Send + Sync + 'static {
    let options = state.options.clone();
    move || protected_shell(options.clone())
}

fn protected_shell(options: LeptosOptions) -> AnyView {
    content_security_policy::protect_page();
    shell(options).into_any()
}

/// The file at the path of a request; otherwise the page that says that there is none.
async fn file_or_error(State(state): State<WebState>, request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    if matches!(*method, Method::GET | Method::HEAD)
        && let Some(file) = state.page_files.answer(path, request.headers())
    {
        return file;
    }
    render_app_async_with_context(context(&state), document(&state))(request).await
}

/// The form that submits a transaction, posted by the browser itself: the page's WASM is not running. A form that is
/// not accepted is answered with the page and what was typed, which must not be in an address.
async fn submit(
    State(state): State<WebState>,
    Extension(caller): Extension<Caller>,
    parts: Parts,
    Form(typed): Form<FormValues>,
) -> Response {
    match submit_form(&state.gateway, &caller, typed).await {
        Ok(id) => Redirect::to(&format!("/transactions/{id}")).into_response(),
        Err(error) => refused(&state, Request::from_parts(parts, Body::empty()), error).await,
    }
}

async fn refused(state: &WebState, page: Request, error: SubmissionError) -> Response {
    let context = context(state);
    let with_error = move || {
        context();
        provide_context(error.clone());
    };
    let mut response = render_app_async_with_context(with_error, document(state))(page).await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}
