//! Behind nginx. Where it is not installed, these tests only say so; `make setup` installs it.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{net::TcpStream, time::timeout};

use crate::support::{Program, database};

const PROGRAM: &str = "/usr/sbin/nginx";
const LONG: Duration = Duration::from_secs(60);
/// A path under which nginx serves the program.
const PREFIX: &str = "/pay/onceward";

/// An nginx in front of the program.
struct Nginx {
    child: Child,
    /// Where clients find Onceward.
    url: String,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts it with this location for Onceward; `None` if it is not installed. `upstream` in the location's directives
    /// stands for the program's address. All others have their defaults: HTTP/1.0 towards the program, which gets its own
    /// address as `Host`, and responses in buffers.
    async fn start(program: &Program, location: &str, directives: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            eprintln!("nginx is not installed, so nothing is tested");
            return None;
        }
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let path = folder.path().display();
        let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let upstream = program.url.trim_end_matches(PREFIX);
        let directives = directives.replace("upstream", upstream);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};"))
            .concat();
        let settings = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr; events {{}}
             http {{ access_log off; {temporary}
                 server {{ listen {addr}; location {location} {{ {directives} }} }} }}"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["-e", "stderr", "-c"]).arg(file).arg("-p").arg(folder.path());
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        program.until("nginx listens", async || TcpStream::connect(addr).await.is_ok()).await;
        let url = format!("http://{addr}{}", location.trim_end_matches('/'));
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Some(Self { child, url, client, _folder: folder })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// The address on a page, or of a response, as a browser resolves it.
    fn resolve(&self, address: &str) -> String {
        reqwest::Url::parse(&format!("{}/", self.url)).unwrap().join(address).unwrap().to_string()
    }

    /// Submits a transaction, and returns the response.
    async fn submit(&self) -> Response {
        let body = json!({"amount": 1, "currency": "USD"}).to_string();
        let request = self.post("/api/transactions").header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let page = self.get(path).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status(), 200, "{path}");
        page.text().await.unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A web process with files for its page.
struct Web {
    program: Program,
    database: String,
    _site: tempfile::TempDir,
}

impl Web {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let site = tempfile::tempdir().unwrap();
        std::fs::create_dir(site.path().join("pkg")).unwrap();
        for name in ["favicon.svg", "pkg/onceward.js", "pkg/onceward.css", "pkg/onceward_bg.wasm"] {
            std::fs::write(site.path().join(name), name).unwrap();
        }
        let database = database().await;
        let mut command = crate::support::command(&["web"]);
        command.env("DATABASE_URL", &database).env("LEPTOS_SITE_ROOT", site.path());
        command.envs(settings.iter().copied());
        Self { program: Program::start(command).await, database, _site: site }
    }

    async fn execute(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        let statement = AssertSqlSafe(statement.to_owned());
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
}

fn location(response: &Response) -> &str {
    response.headers()["location"].to_str().unwrap()
}

/// All addresses on a page with a path: of links, files and forms.
fn addresses(page: &str) -> Vec<(&str, &str)> {
    let found = ["href", "src", "action"].into_iter().flat_map(|attribute| {
        let begins = format!(" {attribute}=\"");
        let values = page.split(&*begins.leak()).skip(1);
        values.filter_map(move |rest| Some((attribute, rest.split('"').next()?)))
    });
    found.filter(|(_, address)| !address.is_empty() && !address.starts_with('#')).collect()
}

/// What a browser and a program do works through this nginx.
async fn works_through(nginx: &Nginx) {
    let submitted = nginx.submit().await;
    assert_eq!(submitted.status(), 202);
    let shown = nginx.client.get(nginx.resolve(location(&submitted))).send().await.unwrap();
    let transaction: Value = shown.json().await.unwrap();
    let id = transaction["transactionId"].as_str().unwrap();

    for path in ["/", &format!("/transactions/{id}")] {
        let page = nginx.page(path).await;
        assert!(page.contains(id), "{page}");
        let addresses = addresses(&page);
        assert!(addresses.len() > 5, "{addresses:?}");
        for (attribute, address) in addresses {
            let (url, is_form) =
                (nginx.resolve(&address.replace("&amp;", "&")), attribute == "action");
            let asked = if is_form { nginx.client.post(url) } else { nginx.client.get(url) };
            let answer = asked.header("accept", "text/html").send().await.unwrap();
            let leads = answer.status().is_success() || answer.status().is_redirection();
            // A form without its fields is refused by what it is posted to.
            assert!(
                leads || (is_form && answer.status() != StatusCode::NOT_FOUND),
                "{attribute} {address}: {}",
                answer.status()
            );
        }
    }
    let counted = nginx.post("/fn/count_transactions").send().await.unwrap();
    assert_eq!(counted.json::<Value>().await.unwrap()["pending"], 1);

    let form = [("amount", "2"), ("currency", "USD")];
    let typed = form.map(|(name, value)| format!("{name}={value}")).join("&");
    let posted = nginx.post("/").header("accept", "text/html").body(typed);
    let posted = posted.header("content-type", "application/x-www-form-urlencoded");
    let posted = posted.send().await.unwrap();
    let shown = nginx.client.get(nginx.resolve(location(&posted))).header("accept", "text/html");
    assert_eq!(shown.send().await.unwrap().status(), 200, "{}", location(&posted));

    let docs = nginx.get("/api/docs").send().await.unwrap();
    let docs = nginx.client.get(nginx.resolve(location(&docs))).send().await.unwrap();
    assert!(docs.text().await.unwrap().contains("swagger"));
}

/// Each event arrives when it happens, not when a buffer is full.
async fn follows_through(nginx: &Nginx) {
    let mut stream = nginx.get("/api/stream").send().await.unwrap();
    let mut received = String::new();
    let mut receive = async |until: &str| {
        while !received.contains(until) {
            let chunk = timeout(LONG, stream.chunk()).await.expect("the event is held back");
            received.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        }
    };
    receive("event: counts").await;
    let submitted: Value = nginx.submit().await.json().await.unwrap();
    receive(submitted["transactionId"].as_str().unwrap()).await;
}

#[tokio::test]
async fn behind_nginx_with_its_defaults_everything_works() {
    let web = Web::start(&[]).await;
    let Some(nginx) = Nginx::start(&web.program, "/", "proxy_pass upstream;").await else { return };
    works_through(&nginx).await;
    follows_through(&nginx).await;
}

#[tokio::test]
async fn under_a_path_of_nginx_everything_works_whether_it_keeps_or_removes_the_path() {
    for directives in ["proxy_pass upstream;", "proxy_pass upstream/;"] {
        let web = Web::start(&[("ONCEWARD_PATH_PREFIX", PREFIX)]).await;
        let nginx = Nginx::start(&web.program, &format!("{PREFIX}/"), directives).await;
        let Some(nginx) = nginx else { return };
        works_through(&nginx).await;
        follows_through(&nginx).await;
        let document = nginx.get("/api/openapi.json").send().await.unwrap();
        assert_eq!(document.json::<Value>().await.unwrap()["servers"][0]["url"], PREFIX);
        let missing = nginx.get("/nowhere").header("accept", "text/html").send().await.unwrap();
        assert_eq!(missing.status(), 404);
        // Without its script, a form that is refused leads back to its page.
        let form = nginx.post("/fn/set_pause").header("accept", "text/html");
        let form = form.header("referer", format!("{}/", nginx.url)).send().await.unwrap();
        assert!(location(&form).starts_with(&nginx.url), "{}", location(&form));

        // A proxy that removes the prefix, or a probe on this machine.
        let direct = web.program.url.trim_end_matches(PREFIX);
        let alive = nginx.client.get(format!("{direct}/livez")).send().await.unwrap();
        assert_eq!(alive.text().await.unwrap(), "alive");
        let home =
            nginx.client.get(format!("{direct}{PREFIX}?status=failed")).send().await.unwrap();
        assert_eq!(location(&home), format!("{PREFIX}/?status=failed"));
    }
}

#[tokio::test]
async fn behind_an_nginx_that_keeps_the_host_only_the_names_of_the_setting_are_addressed() {
    let web = Web::start(&[("ONCEWARD_HOSTS", "pay.example.com,pay.internal")]).await;
    let keeps = "proxy_pass upstream; proxy_set_header Host $http_host; proxy_http_version 1.1;";
    let Some(nginx) = Nginx::start(&web.program, "/", keeps).await else { return };
    for (host, origin, status) in [
        ("pay.example.com", "https://pay.example.com", 202),
        ("pay.internal:8443", "https://pay.internal:8443", 202),
        ("evil.example", "https://evil.example", 403),
        ("pay.example.com", "https://evil.example", 403),
    ] {
        let request = nginx.post("/api/transactions").header("content-type", "application/json");
        let request = request.header("host", host).header("origin", origin);
        let answer = request.body(r#"{"amount": 1, "currency": "USD"}"#).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host} {origin}");
    }
}

/// nginx asks over HTTP/1.0, in which a response ends with its connection.
#[tokio::test]
async fn an_export_that_breaks_off_behind_nginx_does_not_look_complete() {
    let web = Web::start(&[]).await;
    // Otherwise it would read the whole export, however slowly its client reads.
    let location = "proxy_pass upstream; proxy_max_temp_file_size 0;";
    let Some(nginx) = Nginx::start(&web.program, "/", location).await else { return };
    let noise = ["encode(gen_random_bytes(1024), 'base64')"; 7].join(" || ");
    web.execute(&format!(
        "insert into transactions (id, principal, amount, currency, description, fingerprint)
         select gen_random_uuid(), 'anonymous', n, 'USD', {noise}, sha256('')
         from generate_series(1, 2000) as n"
    ))
    .await;
    let export = || nginx.get("/api/transactions/export").send();
    let whole = export().await.unwrap().bytes().await.unwrap();
    assert!(whole.len() > 14_000_000, "{}", whole.len());
    let half = export().await.unwrap();
    web.execute("alter table transactions rename to gone").await;
    half.bytes().await.expect_err("it looks complete");
}
