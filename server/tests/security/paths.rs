//! Tricks with paths: none reaches a file or a route that it does not name.

use std::collections::BTreeSet;

use crate::{
    answer::Then,
    routes::{SECRET, Target, json_request},
};

/// Paths that look like another one to some programs.
fn tricks(path: &str) -> Vec<Vec<u8>> {
    let capitals = path.to_uppercase();
    let mut tricks: Vec<Vec<u8>> = [
        format!("{path}/"),
        format!("{path}//"),
        format!("/{path}"),
        format!("//localhost{path}"),
        format!("/.{path}"),
        format!("/x/..{path}"),
        format!("/x/%2e%2e{path}"),
        format!("/%2e%2e{path}"),
        format!("/..;{path}"),
        format!("{path}/."),
        format!("{path}/.."),
        format!("{path}/%2e%2e/"),
        format!("{path}/..%2f..%2f"),
        format!("{path}%2f"),
        format!("{path}%00"),
        format!("{path}%00.html"),
        format!("{path}%0d%0aset-cookie:%20a=b"),
        format!("{path};x=1"),
        format!("{path};/.."),
        format!("{path}\\..\\x"),
        format!("{path}%5c..%5cx"),
        format!("{path}%"),
        format!("{path}%zz"),
        format!("{path}%ff"),
        format!("{path}%252e%252e"),
        format!("{path}.json"),
        format!("{path}#x"),
        format!("http://localhost{path}"),
        format!("http://evil.example{path}"),
        format!("ftp://localhost{path}"),
        format!("http://localhost@evil.example{path}"),
        path[1..].to_owned(),
        "*".to_owned(),
        capitals,
        format!("/%2f{}", &path[1..]),
        format!("{path}/{}", "x".repeat(8_000)),
        format!("{path}/{}", "x".repeat(60_000)),
        format!("{path}/{}", "x".repeat(70_000)),
        format!("{path}{}", "/..".repeat(5_000)),
    ]
    .map(String::into_bytes)
    .into();
    for end in [&b"\xff"[..], b"\x01", b"\x7f", b"\"<>", b"{}|^`"] {
        tricks.push([path.as_bytes(), end].concat());
    }
    tricks
}

#[tokio::test]
async fn a_path_that_is_written_otherwise_is_refused_or_unknown() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    for operation in operations.iter() {
        let documented = &operation.statuses;
        // The page that says that there is none, and forms that are posted to pages, are for people.
        let documented = documented | &BTreeSet::from([403, 422]);
        for path in tricks(&operation.path) {
            let mut request = format!("{} ", operation.method).into_bytes();
            request.extend(path);
            request.extend(json_request("", "", "{}")[1..].iter());
            target.try_out(&request, Then::Wait, &documented).await;
        }
    }
    target.finish();
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder_of_the_pages_files() {
    let mut target = Target::start().await;
    let folder = target.folder().to_owned();
    let served = json_request("GET", "/notes.txt", "");
    let answer = target.try_out(served, Then::Wait, &BTreeSet::from([200])).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"served"[..]));
    let ups = ["..", "%2e%2e", ".%2e", "%2E.", "..%00", "..;", "..%20", "....//..", "%252e%252e"];
    let ups = ups.into_iter().chain(["%c0%ae%c0%ae", "%uff0e%uff0e", "..%5c..", "..\\.."]);
    let mut paths = vec![
        format!("/{folder}/secret.txt"),
        format!("{folder}/secret.txt"),
        format!("file://{folder}/secret.txt"),
        "/notes.txt/../../secret.txt".to_owned(),
        "/notes.txt%00/../secret.txt".to_owned(),
        "/..%2fsecret.txt".to_owned(),
        "/..%5csecret.txt".to_owned(),
        "/..%252fsecret.txt".to_owned(),
        "/pkg/..%2f..%2fsecret.txt".to_owned(),
    ];
    for up in ups {
        for start in ["", "/.", "/pkg", "/pkg/x", "/fn", "/transactions", "/api/docs"] {
            for depth in 1..4 {
                paths.push(format!("{start}/{}secret.txt", format!("{up}/").repeat(depth)));
            }
        }
    }
    let documented = BTreeSet::from([200, 403]);
    for path in paths {
        let request = json_request("GET", &path, "");
        let answer = target.try_out(&request, Then::Wait, &documented).await;
        if answer.is_some_and(|answer| String::from_utf8_lossy(&answer.body).contains(SECRET)) {
            target.report(&request, "reads what is outside");
        }
    }
    target.finish();
}
