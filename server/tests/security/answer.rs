//! Requests as bytes, over a connection of their own, and what comes back until the program closes it.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than any answer takes: a request that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first answer on a connection.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// By their names in small letters; of several with one name, the last.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// What came after it: another answer, if a part of the request was taken for a second one.
    pub rest: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What a request is followed by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing: the client waits for the answer.
    Wait,
    /// The end of what the client sends, though more was announced.
    End,
}

/// Sends a request and reads the answer; `None` if the connection is closed without one.
pub async fn exchange(address: &str, request: &[u8], then: Then) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let send = async {
        // The program need not read all of it.
        let _ = writer.write_all(request).await;
        if then == Then::End {
            let _ = writer.shutdown().await;
        }
    };
    let receive = async {
        let mut bytes = Vec::with_capacity(4096);
        // A reset ends it, too; the stream of events does not end.
        while reader.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            let of_stream = split(&bytes, b"content-type: text/event-stream");
            if of_stream.is_some_and(|(_, rest)| split(rest, b"\r\n\r\n").is_some()) {
                break;
            }
        }
        bytes
    };
    let both = async {
        // All has been received: what is still to be sent would not be read.
        tokio::select! {
            biased;
            bytes = receive => bytes,
            () = async { send.await; std::future::pending().await } => Vec::new(),
        }
    };
    let bytes = timeout(PATIENCE, both).await.unwrap_or_else(|_| {
        let request = String::from_utf8_lossy(&request[..request.len().min(500)]);
        panic!("no complete answer to {request:?}")
    });
    parse(&bytes, request.starts_with(b"HEAD "))
}

fn split<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

fn parse(bytes: &[u8], without_body: bool) -> Option<Answer> {
    let (head, after) = split(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    if status < 200 {
        return parse(after, without_body);
    }
    let headers: BTreeMap<_, _> = lines
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let (body, rest) = match length {
        _ if without_body => (Vec::new(), after.to_vec()),
        Some(length) => {
            let (body, rest) = after.split_at(after.len().min(length));
            (body.to_vec(), rest.to_vec())
        }
        None if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") => {
            unchunked(after)
        }
        None => (after.to_vec(), Vec::new()),
    };
    Some(Answer { status, headers, body, rest })
}

/// The body, and what comes after it.
fn unchunked(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut body = Vec::new();
    while let Some((size, after)) = split(bytes, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, after.strip_prefix(b"\r\n").unwrap_or(after).to_vec());
        }
        body.extend_from_slice(&after[..size.min(after.len())]);
        bytes = after.get(size + 2..).unwrap_or_default();
    }
    (body, Vec::new())
}
