//! Forms that are posted to server functions: by the page's WASM or, where it is not running, by
//! the browser itself.
//!
//! Leptos has `ServerAction` and `ActionForm` for this. They are generic over the server function,
//! so each form adds some kilobytes to the download; the types here are not generic.

use leptos::{ev::SubmitEvent, html, prelude::*, task::spawn_local};
use wasm_bindgen::JsCast;
use web_sys::{FormData, HtmlFormElement};

use crate::{
    components::address::address,
    server_functions::{json_codec::Answer, load_error::LoadError},
};

/// A form's connection to its server function.
#[derive(Clone, Copy)]
pub struct FormAction {
    path: &'static str,
    plain_path: Option<&'static str>,
    pending: RwSignal<bool>,
    to_send: Option<Callback<FormData, FormData>>,
    on_answer: Callback<Answer>,
}

impl FormAction {
    /// Posts to the server function at `path`, and calls `on_answer` with its answer.
    pub fn new(path: &'static str, on_answer: impl Fn(Answer) + Send + Sync + 'static) -> Self {
        let pending = RwSignal::new(false);
        let on_answer = Callback::new(on_answer);
        Self { path, plain_path: Some(path), pending, to_send: None, on_answer }
    }

    /// While WASM is not running, the browser posts the form to the address of its page, which
    /// answers with the page itself.
    pub fn posting_to_its_page(self) -> Self {
        Self { plain_path: None, ..self }
    }

    /// Sends what `to_send` makes of the form's data.
    pub fn sending(self, to_send: impl Fn(FormData) -> FormData + Send + Sync + 'static) -> Self {
        Self { to_send: Some(Callback::new(to_send)), ..self }
    }

    /// The value of `aria-disabled`: "true" while the form waits for an answer. `disabled` would
    /// take the focus away from a keyboard user.
    pub fn disabled(self) -> Signal<Option<String>> {
        Signal::derive(move || self.pending.get().then(|| "true".to_owned()))
    }

    fn submit(self, event: SubmitEvent) {
        event.prevent_default();
        let form = event.target().and_then(|form| form.dyn_into::<HtmlFormElement>().ok());
        let data = form.and_then(|form| FormData::new_with_form(&form).ok());
        let Some(data) = data.filter(|_| !self.pending.get_untracked()) else { return };
        self.pending.set(true);
        let data = match self.to_send {
            Some(to_send) => to_send.run(data),
            None => data,
        };
        spawn_local(async move {
            let answer = post(self.path, data).await.unwrap_or_else(|error| {
                Err(format!("No answer: {error}. Check the result before you try again."))
            });
            // The form may be gone, with the page that it was on.
            if self.pending.try_set(false).is_none() {
                self.on_answer.run(answer);
            }
        });
    }
}

/// A form that posts to a server function.
#[component]
pub fn PostForm(
    /// Its connection to the server function.
    action: FormAction,
    /// The form's element, for callers that need it.
    #[prop(optional)]
    node_ref: NodeRef<html::Form>,
    /// The form's content.
    children: Children,
) -> impl IntoView {
    view! {
        <form
            method="post"
            action=action.plain_path.map(address)
            node_ref=node_ref
            on:submit=move |event| action.submit(event)
        >
            {children()}
        </form>
    }
}

#[cfg(not(feature = "ssr"))]
async fn post(path: &str, data: FormData) -> Result<Answer, LoadError> {
    use leptos::server_fn::{
        client::{Client, browser::BrowserClient},
        redirect::call_redirect_hook,
        request::{ClientReq, browser::BrowserRequest},
        response::{ClientRes, browser::BrowserResponse},
    };

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";

    // Unlike the other requests of server functions, this one does not add the path under which Onceward is served.
    let path = address(path);
    let request: BrowserRequest =
        ClientReq::<LoadError>::try_new_post_form_data(&path, JSON, FORM, data.into())?;
    let sent: Result<BrowserResponse, LoadError> =
        <BrowserClient as Client<LoadError>>::send(request).await;
    let response = sent?;
    let status = ClientRes::<LoadError>::status(&response);
    let location = ClientRes::<LoadError>::location(&response);
    let redirected = ClientRes::<LoadError>::has_redirect(&response);
    let body = ClientRes::<LoadError>::try_into_string(response).await?;
    if status >= 400 {
        return Ok(Err(body));
    }
    if redirected {
        call_redirect_hook(&location);
    }
    Ok(Ok(body))
}

/// Never called: no form is posted while a page is rendered.
#[cfg(feature = "ssr")]
async fn post(_: &str, _: FormData) -> Result<Answer, LoadError> {
    Ok(Err(String::new()))
}
