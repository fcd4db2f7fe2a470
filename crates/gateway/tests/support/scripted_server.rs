//! A TCP server that does with every connection what a script says, and keeps what it was sent.
#![allow(dead_code)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the server does next with a connection. After the last of it, the connection is closed.
#[derive(Clone)]
pub enum Act {
    /// Reads one request to the end of its head.
    ReadHead,
    /// Reads one request to the end of its body.
    ReadRequest,
    /// Sends this.
    Say(String),
    /// Ends it with a reset.
    Reset,
    /// Keeps it open, and neither reads nor writes.
    Hold,
}

/// The server.
pub struct Wire {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Listens, and follows the script with every connection.
    pub async fn start(script: impl Into<Vec<Act>>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    /// Follows the script with every connection that this listener accepts.
    pub fn on(listener: TcpListener, script: impl Into<Vec<Act>>) -> Self {
        let addr = listener.local_addr().unwrap();
        let (script, seen) = (script.into(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let task = tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(Vec::new());
                        seen.len() - 1
                    };
                    tokio::spawn(follow(script.clone(), stream, number, seen.clone()));
                }
            }
        });
        Self { addr, seen, task }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What it was sent, one text for each connection.
    pub fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// How many requests have begun to arrive.
    pub fn requests(&self) -> usize {
        self.seen().iter().map(|text| text.matches(" HTTP/1.1\r\n").count()).sum()
    }

    /// What has arrived of all bodies.
    pub fn bodies(&self) -> String {
        let seen = self.seen();
        seen.iter().filter_map(|text| Some(text.split_once("\r\n\r\n")?.1)).collect()
    }
}

async fn follow(
    script: Vec<Act>,
    mut stream: TcpStream,
    number: usize,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let mut unread = Vec::new();
    for act in script {
        match act {
            Act::ReadHead => read_until(&mut stream, &mut unread, number, &seen, head_of).await,
            Act::ReadRequest => {
                read_until(&mut stream, &mut unread, number, &seen, request_of).await;
            }
            Act::Say(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Act::Reset => stream.set_zero_linger().unwrap(),
            Act::Hold => std::future::pending().await,
        }
    }
}

/// Reads until `whole` finds the end of something, and takes that off.
async fn read_until(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    number: usize,
    seen: &Mutex<Vec<Vec<u8>>>,
    whole: fn(&[u8]) -> Option<usize>,
) {
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = whole(unread) {
            unread.drain(..end);
            return;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                unread.extend_from_slice(&buffer[..read]);
                seen.lock().unwrap()[number].extend_from_slice(&buffer[..read]);
            }
        }
    }
}

fn head_of(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4)
}

fn request_of(bytes: &[u8]) -> Option<usize> {
    let head = head_of(bytes)?;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = head + length.map_or(0, |length| length.trim().parse().unwrap());
    (bytes.len() >= end).then_some(end)
}
