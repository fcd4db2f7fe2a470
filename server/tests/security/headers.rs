//! Headers that are missing, doubled, broken, too many or too long; and request lines that are none.

use std::collections::BTreeSet;

use crate::{
    answer::{Then, exchange},
    routes::{Target, json_request, request},
};

#[tokio::test]
async fn a_request_is_addressed_to_exactly_one_host_of_ours() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    let refused = BTreeSet::from([403]);
    for operation in operations.iter() {
        for lines in [
            "",
            "host: localhost\r\nhost: localhost\r\n",
            "host: localhost\r\nhost: evil.example\r\n",
            "host: evil.example\r\n",
            "host: localhost.evil.example\r\n",
            "host: evil.example@localhost.example\r\n",
            "host: localhost, evil.example\r\n",
            "host: \r\n",
            "host: /\r\n",
            "host: \u{ff}\r\n",
        ] {
            let head = format!(
                "{} {} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n",
                operation.method, operation.path
            );
            let answer = target.try_out(&head, Then::Wait, &refused).await;
            if answer.is_some_and(|answer| ![400, 403].contains(&answer.status)) {
                target.report(head.as_bytes(), "served");
            }
        }
    }
    target.finish();
}

#[tokio::test]
async fn a_doubled_or_odd_header_is_refused_or_does_not_matter() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    let long = format!("x-long: {}\r\n", "x".repeat(70_000));
    let many = (0..200).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    for operation in operations.iter() {
        let documented = &operation.statuses;
        for lines in [
            "content-type: application/json\r\ncontent-type: text/plain\r\n",
            "content-type: \r\n",
            "content-type: application/json; charset=utf-7\r\n",
            "accept: \r\naccept: ;;;\r\n",
            "accept: application/json;q=nonsense\r\n",
            "accept-encoding: \u{ff}, nonsense;q=2\r\n",
            "range: bytes=0-,0-,0-,0-\r\n",
            "if-none-match: *\r\nif-modified-since: never\r\n",
            "expect: 100-continue\r\n",
            "expect: nonsense\r\n",
            "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x\r\n",
            "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
            "idempotency-key: a\r\nidempotency-key: b\r\n",
            "idempotency-key: \u{ff}\r\n",
            "x-request-id: a b\r\nx-request-id: c\r\n",
            "traceparent: 00-0-0-0\r\ntracestate: =,=,=\r\n",
            "last-event-id: \r\nlast-event-id: x\r\n",
            "last-event-id: 99999999999999999999-1-1-0\r\n",
            "cookie: \u{ff}=;;;\r\ncookie: =\r\n",
            "authorization: \r\nauthorization: Bearer\r\n",
            "forwarded: for=\"_x;host=evil.example\r\nx-forwarded-for: 1.2.3.4, \u{ff}\r\n",
            "x-forwarded-host: evil.example\r\nx-forwarded-proto: https\r\n",
            "webhook-timestamp: 99999999999999999999\r\nwebhook-signature: v1,====\r\n",
            &long,
            &many,
        ] {
            let lines = format!("{lines}content-length: 2\r\n");
            let request = request(&operation.method, &operation.path, &lines, "{}");
            let answer = target.try_out(&request, Then::Wait, documented).await;
            if answer.is_some_and(|answer| format!("{:?}", answer.headers).contains("evil")) {
                target.report(&request, "the answer names a foreign host");
            }
        }
    }
    target.finish();
}

#[tokio::test]
async fn a_broken_header_is_malformed() {
    let mut target = Target::start().await;
    let operations = target.operations.clone();
    for operation in operations.iter() {
        for lines in [
            "no colon\r\n",
            ": no name\r\n",
            "na me: x\r\n",
            "x: a\r\n folded: b\r\n",
            "x: a\0b\r\n",
            "x: a\rb\r\n",
            "x\u{ff}: a\r\n",
            "x: \x7f\r\n",
        ] {
            let request = request(&operation.method, &operation.path, lines, "");
            let answer = target.try_out(&request, Then::Wait, &BTreeSet::new()).await;
            if answer.is_some_and(|answer| answer.status != 400) {
                target.report(&request, "not refused");
            }
        }
    }
    target.finish();
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_one_is_served() {
    let mut target = Target::start().await;
    for bytes in [
        &b"GET /livez\r\n\r\n"[..],
        b"GET /livez HTTP/0.9\r\n\r\n",
        b"GET /livez HTTP/1.2\r\nhost: localhost\r\n\r\n",
        b"GET /livez HTTP/2.0\r\nhost: localhost\r\n\r\n",
        b"GET  /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /livez  HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET\t/livez\tHTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /li vez HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /livez\x00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"G\xffT /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"/livez GET HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"\x00\x00\x00\x00",
        // The beginning of HTTP/2, of TLS, of TLS for a name, of SSH, and of PROXY.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let answer = exchange(target.address(), bytes, Then::End).await;
        if answer.is_some_and(|answer| answer.status != 400) {
            target.report(bytes, "not refused");
        }
        let alive = json_request("GET", "/livez", "");
        let answer = target.try_out(&alive, Then::Wait, &BTreeSet::from([200])).await;
        if answer.is_none_or(|answer| answer.status != 200) {
            target.report(bytes, "the next request is not served");
        }
    }
    target.finish();
}
