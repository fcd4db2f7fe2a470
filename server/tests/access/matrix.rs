//! Every route by every role, by a caller without a credential, and with a stranger's key: as docs/PERMISSIONS.md says,
//! which is generated from the table that the program obeys.

use reqwest::{Client, Method, RequestBuilder, redirect::Policy};

use crate::{Guarded, ROLES, support::root};

/// A route of the document.
struct Route {
    method: Method,
    path: String,
    needs: String,
    /// Whether each of [`ROLES`] may.
    may: Vec<bool>,
}

fn routes() -> Vec<Route> {
    let document = std::fs::read_to_string(root().join("docs/PERMISSIONS.md")).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let routes = rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].to_owned(), cells[1].trim_matches('`').to_owned(), cells)
    });
    let routes =
        routes.filter(|(method, ..)| method != "COMMAND").map(|(method, path, cells)| Route {
            method: if method == "any" { Method::GET } else { method.parse().unwrap() },
            needs: cells[2].to_owned(),
            may: cells[3..].iter().map(|cell| *cell == "yes").collect(),
            path,
        });
    routes.collect()
}

/// A path of a route; what it names does not exist.
fn instance(path: &str) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let parts = path.split('/').map(|part| match part {
        "{id}" => id.as_str(),
        part if part.starts_with('{') => "nothing",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_is_open_to_the_roles_of_the_table_and_closed_to_all_others() {
    let guarded = Guarded::start().await;
    let mut keys = Vec::new();
    for role in ROLES {
        // The first administrator is called admin.
        keys.push(guarded.client(&format!("{role}-client"), role).await);
    }
    let elsewhere = Guarded::start().await;
    let stranger = elsewhere.client("stranger", "admin").await;
    let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let url = &guarded.program.url;
    let request = |route: &Route| {
        let request = http.request(route.method.clone(), format!("{url}{}", instance(&route.path)));
        match route.method {
            Method::GET => request,
            _ => request.header("content-type", "application/json").body("{}"),
        }
    };
    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();

    let routes = routes();
    assert!(routes.len() > 40, "{}", routes.len());
    // It exists only with the simulator inside; `commands` tries it there.
    for route in routes.iter().filter(|route| route.path != "/cleanup") {
        let name = format!("{} {}", route.method, route.path);
        let is_open = matches!(route.needs.as_str(), "nothing" | "its own check");
        let own_check = route.needs == "its own check";
        for (who, request) in
            [("nobody", request(route)), ("a stranger", request(route).bearer_auth(&stranger))]
        {
            let status = status(request).await;
            match is_open {
                true => {
                    assert!(own_check || !matches!(status, 401 | 403), "{who}: {name}: {status}")
                }
                false => assert_eq!(status, 401, "{who}: {name}"),
            }
        }
        for ((role, key), may) in ROLES.iter().zip(&keys).zip(&route.may) {
            let status = status(request(route).bearer_auth(key)).await;
            match may {
                true => {
                    assert!(own_check || !matches!(status, 401 | 403), "{role}: {name}: {status}")
                }
                false => assert_eq!(status, 403, "{role}: {name}"),
            }
        }
    }
}

#[tokio::test]
async fn a_browser_without_a_session_is_led_to_the_page_to_sign_in() {
    let guarded = Guarded::start().await;
    let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let url = format!("{}/transactions/7?x=1&y=2", guarded.program.url);
    let answer = http.get(url).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()["location"], "/sign-in?next=%2Ftransactions%2F7%3Fx%3D1%26y%3D2");
}
