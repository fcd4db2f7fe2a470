//! A local server of a key set, as slow and as wrong as a test wants it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use access::JwksLocation;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Mutex as AsyncMutex, Notify},
};

/// The server, which ends with its test.
#[derive(Clone)]
pub struct JwksServer {
    pub location: JwksLocation,
    answer: Arc<Mutex<String>>,
    fetches: Arc<AtomicUsize>,
    /// While it is locked, nothing is answered.
    pub gate: Arc<AsyncMutex<()>>,
    /// Notified with each request.
    pub requested: Arc<Notify>,
}

impl JwksServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let server = Self {
            location: location.parse().unwrap(),
            answer: Arc::default(),
            fetches: Arc::default(),
            gate: Arc::default(),
            requested: Arc::default(),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    /// From now on these keys are published.
    pub fn publish(&self, keys: &[Value]) {
        self.answer_with("200 OK", &json!({ "keys": keys }).to_string());
    }

    pub fn answer_with(&self, status: &str, body: &str) {
        let length = body.len();
        *self.answer.lock().unwrap() = format!(
            "HTTP/1.1 {status}\r\nlocation: /other\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
    }

    /// How often it was asked.
    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.requested.notify_one();
        let _open = self.gate.lock().await;
        let answer = self.answer.lock().unwrap().clone();
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}
