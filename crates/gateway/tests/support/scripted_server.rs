//! A TCP server that handles every connection by a script and records what it receives.
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

/// One action of the script. After the last one the connection is closed.
#[derive(Clone)]
pub enum Action {
    /// Reads a request up to the end of its head.
    ReadHead,
    /// Reads a request up to the end of its body.
    ReadRequest,
    /// Sends this text.
    Send(String),
    /// Resets the connection.
    Reset,
    /// Keeps the connection open without reading or writing.
    Hold,
}

pub struct ScriptedServer {
    addr: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedServer {
    /// Listens on a free port and follows the script with every connection.
    pub async fn start(script: impl Into<Vec<Action>>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    /// Follows the script with every connection that this listener accepts.
    pub fn on(listener: TcpListener, script: impl Into<Vec<Action>>) -> Self {
        let addr = listener.local_addr().unwrap();
        let (script, received) = (script.into(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let task = tokio::spawn({
            let received = received.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let number = {
                        let mut received = received.lock().unwrap();
                        received.push(Vec::new());
                        received.len() - 1
                    };
                    tokio::spawn(follow(script.clone(), stream, number, received.clone()));
                }
            }
        });
        Self { addr, received, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What it received, one text for each connection.
    pub fn received(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// How many requests have begun to arrive.
    pub fn requests(&self) -> usize {
        self.received().iter().map(|text| text.matches(" HTTP/1.1\r\n").count()).sum()
    }

    /// All bodies received so far.
    pub fn bodies(&self) -> String {
        let received = self.received();
        received.iter().filter_map(|text| Some(text.split_once("\r\n\r\n")?.1)).collect()
    }
}

async fn follow(
    script: Vec<Action>,
    mut stream: TcpStream,
    number: usize,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let mut unread = Vec::new();
    for action in script {
        match action {
            Action::ReadHead => {
                read_until(&mut stream, &mut unread, number, &received, head_of).await
            }
            Action::ReadRequest => {
                read_until(&mut stream, &mut unread, number, &received, request_of).await;
            }
            Action::Send(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Action::Reset => stream.set_zero_linger().unwrap(),
            Action::Hold => std::future::pending().await,
        }
    }
}

/// Reads until `whole` finds the end of a message, and removes the message.
async fn read_until(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    number: usize,
    received: &Mutex<Vec<Vec<u8>>>,
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
                received.lock().unwrap()[number].extend_from_slice(&buffer[..read]);
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
