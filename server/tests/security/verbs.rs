//! Every route with every verb.

use std::collections::BTreeSet;

use crate::{
    answer::Then,
    routes::{Target, json_request, request},
};

const VERBS: [&str; 12] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND",
    "get", "X",
];

#[tokio::test]
async fn a_verb_is_answered_as_documented_or_refused_with_those_that_are() {
    let mut target = Target::start().await;
    for (path, mut taken) in target.methods() {
        if taken.contains("GET") {
            taken.insert("HEAD".to_owned());
        }
        for verb in VERBS {
            let request = json_request(verb, &path, "{}");
            let documented = target.statuses(verb, &path);
            let answer = target.try_out(&request, Then::Wait, &documented).await;
            let Some(answer) = answer else { continue };
            let allowed: BTreeSet<_> =
                answer.header("allow").split(',').map(|verb| verb.trim().to_owned()).collect();
            let is_right = match taken.contains(verb) {
                true => documented.contains(&answer.status) && answer.status != 405,
                false => answer.status == 405 && allowed == taken,
            };
            if !is_right {
                target.report(&request, &format!("{} allow {allowed:?}", answer.status));
            }
        }
    }
    target.finish();
}

#[tokio::test]
async fn a_header_that_names_another_verb_or_path_changes_nothing() {
    let mut target = Target::start().await;
    let is_paused = async |target: &mut Target| {
        let request = json_request("GET", "/api/posting", "");
        let answer = target.try_out(request, Then::Wait, &BTreeSet::from([200])).await.unwrap();
        !String::from_utf8(answer.body).unwrap().contains(r#""paused":null"#)
    };
    for line in [
        "x-http-method-override: POST",
        "x-http-method: POST",
        "x-method-override: POST",
        "x-original-url: /api/posting/pause",
        "x-rewrite-url: /api/posting/pause",
        "x-forwarded-prefix: /api/posting/pause",
    ] {
        let body = r#"{"reason": "x"}"#;
        for path in ["/api/posting", "/api/posting/pause?_method=POST"] {
            let length = body.len();
            let lines =
                format!("{line}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
            let request = request("GET", path, &lines, body);
            let documented = target.statuses("GET", "/api/posting");
            target.try_out(&request, Then::Wait, &documented).await;
            if is_paused(&mut target).await {
                target.report(&request, "posting is paused");
            }
        }
    }
    target.finish();
}
