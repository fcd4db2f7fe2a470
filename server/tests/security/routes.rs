//! The routes of the served document, and what may be answered on each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    answer::{Answer, Then, exchange},
    support::{Program, command, database},
};

/// What any request may be answered, if it is no request that the operation describes.
const EVERYWHERE: [u16; 10] = [400, 404, 405, 408, 411, 413, 414, 415, 431, 503];
/// What is answered before there is a request that could have an id.
const WITHOUT_ID: [u16; 3] = [400, 414, 431];
/// A well-formed id that nothing has.
const UNKNOWN_ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// One operation of the document.
pub struct Operation {
    pub method: String,
    /// With values for the parameters.
    pub path: String,
    /// The documented ones.
    pub statuses: BTreeSet<u16>,
    /// Whether it takes a body.
    pub reads_body: bool,
    /// Whether it needs a credential where authentication is required.
    pub needs_credential: bool,
}

/// The program with its document.
pub struct Target {
    program: Program,
    pub operations: Arc<[Operation]>,
    codes: BTreeSet<String>,
    /// What was wrong, request by request.
    failures: Vec<String>,
    data: TempDir,
}

impl Target {
    /// With all routes, those of the simulator included. Beside its files is one that it must not serve.
    pub async fn start() -> Self {
        Self::start_with("off").await
    }

    /// The same with this setting of authentication.
    pub async fn start_with(authentication: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let site = data.path().join("site");
        std::fs::create_dir_all(site.join("pkg")).unwrap();
        std::fs::write(site.join("notes.txt"), "served").unwrap();
        std::fs::write(data.path().join("secret.txt"), SECRET).unwrap();
        let mut command = command(&["serve"]);
        command.env("ONCEWARD_DATA", data.path()).env("DATABASE_URL", database().await);
        command.env("LEPTOS_SITE_ROOT", site).env("ONCEWARD_AUTH", authentication);
        let program = Program::start(command).await;
        program.ready().await;
        let document = program.read("/api/openapi.json").await;
        let codes = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
        let codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
        let operations = operations(&document);
        assert!(operations.len() > 20, "{}", operations.len());
        Self { program, operations, codes, failures: Vec::new(), data }
    }

    pub fn address(&self) -> &str {
        self.program.url.strip_prefix("http://").unwrap()
    }

    pub fn folder(&self) -> &str {
        self.data.path().to_str().unwrap()
    }

    /// The methods of each path.
    pub fn methods(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut methods = BTreeMap::<_, BTreeSet<_>>::new();
        for Operation { method, path, .. } in self.operations.iter() {
            methods.entry(path.clone()).or_default().insert(method.clone());
        }
        methods
    }

    /// The documented statuses of an operation; HEAD has those of GET.
    pub fn statuses(&self, method: &str, path: &str) -> BTreeSet<u16> {
        let method = if method == "HEAD" { "GET" } else { method };
        let of = |it: &&Operation| it.method == method && it.path == path;
        self.operations.iter().find(of).map(|it| it.statuses.clone()).unwrap_or_default()
    }

    /// Sends a request whose answer must be documented, or allowed everywhere.
    pub async fn try_out(
        &mut self,
        request: impl AsRef<[u8]>,
        then: Then,
        documented: &BTreeSet<u16>,
    ) -> Option<Answer> {
        let request = request.as_ref();
        let answer = exchange(self.address(), request, then).await;
        let wrong = match &answer {
            None if then == Then::End => None,
            None => Some("the connection was closed without an answer".to_owned()),
            Some(answer) => self.wrong(answer, request, documented),
        };
        if let Some(wrong) = wrong {
            self.report(request, &wrong);
        }
        answer
    }

    /// Notes that something is wrong.
    pub fn report(&mut self, request: &[u8], wrong: &str) {
        let text = String::from_utf8_lossy(&request[..request.len().min(200)]);
        self.failures.push(format!("{text:?}: {wrong}"));
    }

    /// Fails if anything was wrong.
    pub fn finish(self) {
        let all = self.failures.join("\n");
        assert!(self.failures.is_empty(), "{} answers are wrong:\n{all}", self.failures.len());
    }

    fn wrong(&self, answer: &Answer, request: &[u8], documented: &BTreeSet<u16>) -> Option<String> {
        let status = answer.status;
        let about = || format!("{status} {}", String::from_utf8_lossy(&answer.body));
        if !answer.rest.is_empty() {
            return Some(format!("answered twice: {}", String::from_utf8_lossy(&answer.rest)));
        }
        if status >= 500 && status != 503 {
            return Some(format!("a fault of the program: {}", about()));
        }
        if !documented.contains(&status) && !EVERYWHERE.contains(&status) {
            return Some(format!("not documented: {}", about()));
        }
        let id = answer.header("x-request-id");
        if id.is_empty() {
            let is_bare = WITHOUT_ID.contains(&status) && answer.body.is_empty();
            return (!is_bare).then(|| format!("has no request id: {}", about()));
        }
        // People get pages.
        let is_head = request.starts_with(b"HEAD ");
        if status < 400 || is_head || answer.header("content-type").starts_with("text/html") {
            return None;
        }
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        // Clients of OAuth expect its own errors (RFC 6749, section 5.2).
        let first_line = String::from_utf8_lossy(request.split(|it| *it == b'\r').next().unwrap());
        if first_line.contains("/api/auth/token") && problem["error"].is_string() {
            return None;
        }
        let is_problem = answer.header("content-type") == "application/problem+json"
            && problem["status"] == status
            && problem["requestId"] == id
            && problem["code"].as_str().is_some_and(|code| self.codes.contains(code));
        (!is_problem).then(|| format!("is not a problem document: {}", about()))
    }
}

/// What no answer may contain.
pub const SECRET: &str = "what no request may read";

fn operations(document: &Value) -> Arc<[Operation]> {
    let mut operations = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        let path = filled(template);
        for (method, operation) in item.as_object().unwrap() {
            let Some(responses) = operation["responses"].as_object() else { continue };
            let statuses = responses.keys().map(|status| status.parse().unwrap()).collect();
            let (method, path) = (method.to_uppercase(), path.clone());
            let reads_body = operation["requestBody"].is_object();
            let schemes = operation["security"].as_array().unwrap();
            let needs_credential = schemes.iter().any(|scheme| scheme.get("bearer").is_some());
            operations.push(Operation { method, path, statuses, reads_body, needs_credential });
        }
    }
    operations.into()
}

/// A path whose parameters have values.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part {
        "{id}" => UNKNOWN_ID,
        part if part.starts_with('{') => "x",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A request whose head has these lines besides those that it must have.
pub fn request(method: &str, path: &str, lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

/// A request with a body of JSON.
pub fn json_request(method: &str, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let length = body.as_ref().len();
    let lines = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    request(method, path, &lines, body)
}
