//! The path under which a proxy serves Onceward, and the paths of requests below it: a line each. A path that is below
//! the prefix is a path without it.
#![no_main]

use axum::http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use path_prefix::PathPrefix;

#[path = "../../server/src/http/path_prefix.rs"]
mod path_prefix;

fuzz_target!(|text: &str| {
    let Some((prefix, path)) = text.split_once('\n') else { return };
    let Ok(prefix) = prefix.parse::<PathPrefix>() else { return };
    let Ok(mut request) = Request::builder().uri(path).body(()) else { return };
    let before = request.uri().path().to_owned();
    prefix.remove_from(&mut request);
    let after = request.uri().path();
    assert!(before == after || before == format!("{}{after}", prefix.as_str()), "{before} {after}");
    if let Ok(mut response) = Response::builder().header("location", path).body(()) {
        prefix.add_to(&mut response);
    }
});
