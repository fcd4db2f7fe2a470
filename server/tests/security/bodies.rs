//! Bodies and queries that no client would send.

use crate::{
    answer::Then,
    routes::{Target, json_request, request},
};

/// Longer than the longest body, which is that of a batch.
const TOO_LONG: usize = 1_200_000;

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_whether_its_length_is_known_or_not() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    for operation in operations.iter().filter(|it| it.reads_body) {
        let documented = &operation.statuses;
        let body = format!(r#"{{"description": "{}"}}"#, "x".repeat(TOO_LONG));
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let json = "content-type: application/json\r\n";
        for request in [
            json_request(&operation.method, &operation.path, &body),
            request(
                &operation.method,
                &operation.path,
                &format!("{json}transfer-encoding: chunked\r\n"),
                chunks,
            ),
        ] {
            let answer = target.try_out(&request, Then::Wait, documented).await;
            if answer.is_some_and(|answer| answer.status != 413) {
                target.report(&request, "not refused as too large");
            }
        }
    }
    target.finish();
}

#[tokio::test]
async fn an_odd_body_is_answered_as_documented() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    let deep = "[".repeat(60_000);
    let deep_objects = r#"{"a":"#.repeat(12_000);
    let many = format!("[{}0]", "0,".repeat(30_000));
    let wide =
        format!("{{{}\"z\":0}}", (0..4_000).map(|n| format!("\"k{n}\":0,")).collect::<String>());
    let digits = format!(r#"{{"amount": {}, "currency": "USD"}}"#, "9".repeat(60_000));
    let bodies: [&[u8]; 22] = [
        b"",
        b" ",
        b"null",
        b"true",
        b"\"\"",
        b"[]",
        b"[null]",
        b"{",
        b"{}{}",
        b"{\"a\": 1, \"a\": 2}",
        b"{\"$serde_json::private::Number\": \"1\"}",
        b"{\"amount\": 1e999999999, \"currency\": \"USD\"}",
        b"{\"amount\": -0, \"currency\": \"\\u0000\"}",
        b"{\"amount\": 1, \"currency\": \"USD\", \"metadata\": {\"\\ud800\": 1}}",
        b"{\"reason\": \"\\u0000\", \"resolution\": \"\\udfff\"}",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b"{\"amount\": \"\xc0\xaf\"}",
        deep.as_bytes(),
        deep_objects.as_bytes(),
        many.as_bytes(),
        digits.as_bytes(),
    ];
    for operation in operations.iter() {
        let documented = &operation.statuses;
        for body in bodies.into_iter().chain([wide.as_bytes()]) {
            let request = json_request(&operation.method, &operation.path, body);
            target.try_out(&request, Then::Wait, documented).await;
        }
        for (lines, body) in [
            ("content-type: application/x-ndjson\r\n", "{}\n\n\0\n[]\n"),
            (
                "content-type: text/xml\r\n",
                "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>",
            ),
            ("content-type: multipart/form-data; boundary=x\r\n", "--x\r\n\r\n--x--"),
            ("content-type: application/x-www-form-urlencoded\r\n", "amount=1&currency=USD"),
            ("content-type: application/json\r\ncontent-encoding: gzip\r\n", "no gzip"),
            ("content-type: application/json\r\ncontent-encoding: br\r\n", "no br"),
            ("content-type: application/json\r\ncontent-encoding: zstd\r\n", "{}"),
            ("content-type: application/json\r\ncontent-encoding: gzip, gzip\r\n", "{}"),
        ] {
            let lines = format!("{lines}content-length: {}\r\n", body.len());
            let request = request(&operation.method, &operation.path, &lines, body);
            target.try_out(&request, Then::Wait, documented).await;
        }
    }
    target.finish();
}

#[tokio::test]
async fn an_odd_query_is_answered_as_documented() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    let many = "limit=1&".repeat(5_000);
    for operation in operations.iter() {
        let documented = &operation.statuses;
        for query in [
            "",
            "&&&===",
            "%",
            "%zz",
            "%ff=%00",
            "limit=-1",
            "limit=0&limit=1",
            "limit=99999999999999999999",
            "limit[]=1",
            "cursor=%00",
            "cursor=AAAA",
            "cursor=-8000000000000000000_00000000-0000-0000-0000-000000000000",
            "cursor=2026-01-01T00%3A00%3A00Z%2C",
            "since=0-0-0",
            "since=9223372036854775808",
            "since=-1",
            "from=9999-12-31T23%3A59%3A60Z",
            "from=-1&to=%ff",
            "status=%27%20or%201%3D1--",
            "reference=%00",
            "currency=XXX",
            "minAttempts=1e3",
            "format=..%2f..%2fetc%2fpasswd",
            "transaction_id=%00",
            "transaction_id=..&transaction_id=.",
            &many,
        ] {
            let path = format!("{}?{query}", operation.path);
            let request = json_request(&operation.method, &path, "{}");
            target.try_out(&request, Then::Wait, documented).await;
        }
    }
    target.finish();
}
