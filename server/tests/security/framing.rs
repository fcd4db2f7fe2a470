//! Where a body ends: lengths and codings that contradict each other, chunks that are none, bodies that are cut off. A
//! part of one request must never be taken for another one.

use std::collections::BTreeSet;

use crate::{
    answer::Then,
    routes::{Operation, Target, request},
};

/// A body that ends at once, for who reads it as chunks, before what then looks like a second request.
const SMUGGLED: &str = "0\r\n\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Heads that do not say clearly where the body ends, with the body. The answer is none of success, and the only one.
const UNCLEAR: [(&str, &str); 17] = [
    ("content-length: 2\r\ncontent-length: 3\r\n", "{} "),
    ("content-length: 2, 3\r\n", "{} "),
    ("content-length: +2\r\n", "{}"),
    ("content-length: -1\r\n", "{}"),
    ("content-length: 0x2\r\n", "{}"),
    ("content-length: 2;\r\n", "{}"),
    ("content-length:\r\n", "{}"),
    ("content-length: 18446744073709551616\r\n", "{}"),
    ("content-length: 99999999999999999999999\r\n", "{}"),
    ("content-length : 2\r\n", "{}"),
    ("transfer-encoding: chunked, identity\r\n", "2\r\n{}\r\n0\r\n\r\n"),
    ("transfer-encoding: identity\r\n", "{}"),
    ("transfer-encoding: xchunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
    ("transfer-encoding: chunkedx\r\n", "2\r\n{}\r\n0\r\n\r\n"),
    ("transfer-encoding: \r\n", "2\r\n{}\r\n0\r\n\r\n"),
    ("transfer-encoding : chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
    ("transfer-encoding:\x0bchunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
];

/// Chunks that are none.
const BAD_CHUNKS: [&str; 8] = [
    "zz\r\n{}\r\n0\r\n\r\n",
    "-2\r\n{}\r\n0\r\n\r\n",
    "+2\r\n{}\r\n0\r\n\r\n",
    "0x2\r\n{}\r\n0\r\n\r\n",
    "\r\n{}\r\n0\r\n\r\n",
    "2\r\n{}x\r\n0\r\n\r\n",
    "FFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
    "2\n{}\r\n0\r\n\r\n",
];

const JSON: &str = "content-type: application/json\r\n";
const CHUNKED: &str = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";

#[tokio::test]
async fn a_length_that_is_not_clear_is_refused() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    for operation in operations.iter() {
        for (lines, body) in UNCLEAR {
            let lines = format!("{JSON}{lines}");
            let request = request(&operation.method, &operation.path, &lines, body);
            let answer = target.try_out(&request, Then::Wait, &BTreeSet::new()).await;
            if answer.is_some_and(|answer| answer.status != 400) {
                target.report(&request, "not refused as malformed");
            }
        }
    }
    target.finish();
}

#[tokio::test]
async fn a_second_request_cannot_be_hidden_in_a_body() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    let length = SMUGGLED.len();
    let long = format!("content-length: {length}\r\n");
    let chunked = "transfer-encoding: chunked\r\n";
    for operation in operations.iter() {
        for lines in [
            // The client wants to keep the connection, and the program must not.
            format!("{long}{chunked}"),
            format!("{chunked}{long}"),
            format!("{long}{chunked}{long}"),
            // The client sends more than its request.
            format!("{long}{long}connection: close\r\n"),
            format!("{chunked}{chunked}connection: close\r\n"),
            "transfer-encoding: gzip, chunked\r\nconnection: close\r\n".to_owned(),
            "transfer-encoding: chunked, chunked\r\nconnection: close\r\n".to_owned(),
        ] {
            let Operation { method, path, statuses, .. } = operation;
            let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{JSON}{lines}\r\n");
            target.try_out(head + SMUGGLED, Then::Wait, statuses).await;
        }
    }
    target.finish();
}

#[tokio::test]
async fn chunks_that_are_none_are_refused_and_others_are_read() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    for operation in operations.iter() {
        let documented = &operation.statuses;
        for chunks in BAD_CHUNKS {
            let request = request(&operation.method, &operation.path, CHUNKED, chunks);
            let answer = target.try_out(&request, Then::Wait, documented).await;
            if operation.reads_body && answer.is_some_and(|answer| answer.status < 400) {
                target.report(&request, "not refused");
            }
        }
        let long_extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(70_000));
        let trailers = format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(10_000));
        for chunks in [
            "2\r\n{}\r\n0\r\n\r\n",
            "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "002;a=b\r\n{}\r\n000\r\nhost: evil.example\r\ncontent-length: 9\r\n\r\n",
            &long_extension,
            &trailers,
        ] {
            let request = request(&operation.method, &operation.path, CHUNKED, chunks);
            target.try_out(&request, Then::Wait, documented).await;
        }
    }
    target.finish();
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_never_taken_for_whole() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    for operation in operations.iter().filter(|it| it.reads_body) {
        let documented = &operation.statuses;
        for (lines, body) in [
            ("content-length: 40\r\n", r#"{"amount": 1, "currency": "USD"}"#),
            ("transfer-encoding: chunked\r\n", "20\r\n{\"amount\": 1, \"currency\": \"USD\"}\r\n"),
            ("transfer-encoding: chunked\r\n", "ff\r\n{\"amount\": 1, \"currency\": \"USD\"}"),
            ("transfer-encoding: chunked\r\n", "2\r\n{}\r\n0\r\n"),
            ("transfer-encoding: chunked\r\n", "2"),
            ("transfer-encoding: chunked\r\n", "ffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
            ("content-length: 99999999999\r\n", "{}"),
        ] {
            let lines = format!("{JSON}{lines}");
            let request = request(&operation.method, &operation.path, &lines, body);
            let answer = target.try_out(&request, Then::End, documented).await;
            if answer.is_some_and(|answer| answer.status < 400) {
                target.report(&request, "taken for whole");
            }
        }
    }
    target.finish();
}
