//! Handwritten HTTP/1.1: a client and a server that use as little processor time as possible.

use std::{io, net::SocketAddr, str};

use httparse::{EMPTY_HEADER, Header, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Neither Onceward nor the harness sends more headers.
const MAX_HEADERS: usize = 32;

/// A keep-alive connection, with a buffer that holds the last message read.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    is_closing: bool,
}

/// A parsed head, and where the body is in the buffer.
struct Framed<H> {
    head: H,
    body_from: usize,
    body_to: usize,
}

/// A client's request.
#[derive(Debug)]
pub struct Request<'a> {
    pub is_post: bool,
    pub path: String,
    pub body: &'a [u8],
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// An I/O error.
    pub async fn open(addr: SocketAddr) -> io::Result<Self> {
        Self::of(TcpStream::connect(addr).await?)
    }

    /// Takes over a stream.
    ///
    /// # Errors
    /// An I/O error.
    pub fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(2048), is_closing: false })
    }

    /// Writes a whole message.
    ///
    /// # Errors
    /// An I/O error.
    pub async fn write(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message).await
    }

    /// Sends a request and reads its answer: status and body.
    ///
    /// # Errors
    /// The connection broke, or the answer cannot be parsed. The connection cannot be used
    /// any more.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.write(request).await?;
        let answer = self.read(parse_answer).await?;
        let framed = answer.ok_or_else(|| bad("the connection was closed without an answer"))?;
        let (status, is_last) = framed.head;
        self.is_closing = is_last;
        Ok((status, &self.buffer[framed.body_from..framed.body_to]))
    }

    /// Whether the last answer said that the server closes the connection.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Reads a request; `None` if the client has closed the connection.
    ///
    /// # Errors
    /// The connection broke, or the request cannot be parsed.
    pub async fn receive(&mut self) -> io::Result<Option<Request<'_>>> {
        let Some(framed) = self.read(parse_request).await? else { return Ok(None) };
        let (is_post, path) = framed.head;
        Ok(Some(Request { is_post, path, body: &self.buffer[framed.body_from..framed.body_to] }))
    }

    /// Reads one message; `None` if the other side closes before its first byte.
    async fn read<H>(
        &mut self,
        parse: fn(&[u8]) -> io::Result<Option<Framed<H>>>,
    ) -> io::Result<Option<Framed<H>>> {
        self.buffer.clear();
        let mut framed: Option<Framed<H>> = None;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(bad("the connection was closed within a message")),
                };
            }
            if framed.is_none() {
                framed = parse(&self.buffer)?;
            }
            if framed.as_ref().is_some_and(|framed| self.buffer.len() >= framed.body_to) {
                return Ok(framed);
            }
        }
    }
}

fn parse_answer(bytes: &[u8]) -> io::Result<Option<Framed<(u16, bool)>>> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let Status::Complete(body_from) = answer.parse(bytes).map_err(bad)? else { return Ok(None) };
    let status = answer.code.ok_or_else(|| bad("the answer has no status"))?;
    let is_last = answer.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("connection")
            && header.value.eq_ignore_ascii_case(b"close")
    });
    let body_to = body_from
        + content_length(answer.headers)?.ok_or_else(|| bad("the answer has no content-length"))?;
    Ok(Some(Framed { head: (status, is_last), body_from, body_to }))
}

fn parse_request(bytes: &[u8]) -> io::Result<Option<Framed<(bool, String)>>> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let Status::Complete(body_from) = request.parse(bytes).map_err(bad)? else { return Ok(None) };
    let head = (request.method == Some("POST"), request.path.unwrap_or_default().to_owned());
    let body_to = body_from + content_length(request.headers)?.unwrap_or(0);
    Ok(Some(Framed { head, body_from, body_to }))
}

fn content_length(headers: &[Header<'_>]) -> io::Result<Option<usize>> {
    let named = |header: &&Header<'_>| header.name.eq_ignore_ascii_case("content-length");
    let Some(header) = headers.iter().find(named) else { return Ok(None) };
    let length = str::from_utf8(header.value).ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| bad("the content-length is not a number"))
}

fn bad(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
