//! A browser without script, as far as it matters here: it keeps its cookies.

use std::io::Write;

use reqwest::{Client, Method, RequestBuilder, Response, header::SET_COOKIE, redirect::Policy};

use crate::Guarded;

pub const PASSWORD: &str = "seven purple walruses";

pub struct Browser {
    http: Client,
    url: String,
    cookies: Vec<(String, String)>,
}

impl Browser {
    pub fn at(url: &str) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { http, url: url.to_owned(), cookies: Vec::new() }
    }

    pub fn new(guarded: &Guarded) -> Self {
        Self::at(&guarded.program.url)
    }

    /// One with the cookies that this one has now.
    pub fn copy(&self) -> Self {
        Self { cookies: self.cookies.clone(), ..Self::at(&self.url) }
    }

    /// The value of the cookie of its session.
    pub fn session(&self) -> &str {
        let session = self.cookies.iter().find(|(name, _)| name == "onceward_session");
        session.unwrap().1.as_str()
    }

    /// A request as a script of its page sends it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<_> = self.cookies.iter().map(|(a, b)| format!("{a}={b}")).collect();
        let request = self.http.request(method, format!("{}{path}", self.url));
        request.header("origin", &self.url).header("cookie", cookies.join("; "))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).header("accept", "text/html").send().await.unwrap()
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let encode = |text: &str| {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            encoded
        };
        let body: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body.join("&")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(kept, _)| kept != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    pub async fn sign_in(&mut self, name: &str, password: &str) -> Response {
        self.post("/sign-in", &[("name", name), ("password", password), ("next", "/account")]).await
    }
}

impl Guarded {
    /// Creates a user with the [`PASSWORD`].
    pub async fn user(&self, name: &str, role: &str) {
        let file = password_file(PASSWORD);
        let file = file.path().to_str().unwrap();
        let create = ["user", "create", name, "--role", role, "--password-file", file];
        let id = self.onceward(&create).await;
        assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
    }
}

pub fn password_file(password: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{password}").unwrap();
    file
}

pub fn location(answer: &Response) -> &str {
    answer.headers()["location"].to_str().unwrap()
}
