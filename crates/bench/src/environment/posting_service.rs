//! A posting service that answers at once, or holds its answers, and records what arrived. It does
//! not enforce unique ids, so a duplicate post is detected.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Number;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use uuid::Uuid;

use crate::error::Fallible;
use crate::http::Connection;
use crate::poll;

/// The listener's backlog: as many connections as the system allows.
const BACKLOG: u32 = 16_384;

/// A running posting service. Dropping it stops it.
#[derive(Debug)]
pub struct PostingService {
    addr: SocketAddr,
    entries: Arc<Mutex<HashMap<Uuid, Entry>>>,
    held: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// What arrived under one id.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it arrived first.
    pub at: Instant,
    pub posts: u32,
    /// As sent, for the answer to a verification.
    amount: Box<str>,
    currency: Box<str>,
}

#[derive(Deserialize)]
struct Posted<'a> {
    id: Uuid,
    amount: Number,
    currency: &'a str,
}

impl PostingService {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn start() -> Fallible<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let entries = Arc::default();
        let (held, hold) = watch::channel(false);
        let accepting = tokio::spawn({
            let entries = Arc::clone(&entries);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&entries), hold.clone()));
                }
            }
        });
        Ok(Self { addr, entries, held, accepting })
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Holds the answers to POSTs until [`Self::release`].
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Sends all held answers, and answers at once from now on.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// How many ids have arrived.
    pub fn count(&self) -> usize {
        lock(&self.entries).len()
    }

    /// The entries that have arrived.
    pub fn entries(&self) -> MutexGuard<'_, HashMap<Uuid, Entry>> {
        lock(&self.entries)
    }

    /// Waits until this many ids have arrived; returns whether they have.
    pub async fn wait_for_count(&self, count: usize, timeout: Duration) -> bool {
        poll::until(timeout, async || Ok(self.count() >= count)).await.is_ok_and(|arrived| arrived)
    }

    /// Waits until all of these have arrived, or for the timeout: [`crate::scenarios::audit`] finds
    /// those that are missing.
    pub async fn wait_for_all(&self, ids: &[Uuid], timeout: Duration) {
        let arrived =
            |entries: &HashMap<Uuid, Entry>| ids.iter().all(|id| entries.contains_key(id));
        let all_arrived = async || Ok(self.count() >= ids.len() && arrived(&self.entries()));
        let _ = poll::until(timeout, all_arrived).await;
    }
}

impl Drop for PostingService {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    stream: TcpStream,
    entries: Arc<Mutex<HashMap<Uuid, Entry>>>,
    mut hold: watch::Receiver<bool>,
) {
    let Ok(mut connection) = Connection::of(stream) else { return };
    while let Ok(Some(request)) = connection.receive().await {
        let (status, body) = match request.is_post {
            true => post(&entries, request.body),
            false => get(&entries, &request.path),
        };
        if request.is_post && hold.wait_for(|held| !held).await.is_err() {
            return;
        }
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        if connection.write(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn post(entries: &Mutex<HashMap<Uuid, Entry>>, body: &[u8]) -> (&'static str, String) {
    let Ok(posted) = serde_json::from_slice::<Posted<'_>>(body) else {
        return ("400 Bad Request", "{}".to_owned());
    };
    let at = Instant::now();
    let entry = Entry {
        at,
        posts: 0,
        amount: posted.amount.to_string().into(),
        currency: posted.currency.into(),
    };
    lock(entries).entry(posted.id).or_insert(entry).posts += 1;
    ("201 Created", format!(r#"{{"id":"{}"}}"#, posted.id))
}

fn get(entries: &Mutex<HashMap<Uuid, Entry>>, path: &str) -> (&'static str, String) {
    let id = path.rsplit('/').next().and_then(|id| id.parse::<Uuid>().ok());
    let entries = lock(entries);
    match id.and_then(|id| Some((id, entries.get(&id)?))) {
        Some((id, Entry { amount, currency, .. })) => {
            ("200 OK", format!(r#"{{"id":"{id}","amount":{amount},"currency":"{currency}"}}"#))
        }
        None => ("404 Not Found", "{}".to_owned()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post_of(id: Uuid) -> Vec<u8> {
        let body = format!(r#"{{"id":"{id}","amount":12.30,"currency":"EUR"}}"#);
        let length = body.len();
        format!("POST /transactions HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes()
    }

    #[tokio::test]
    async fn a_verification_returns_a_posted_entry_with_exactly_its_amount() {
        let service = PostingService::start().unwrap();
        let mut client = Connection::open(service.addr).await.unwrap();
        let id = Uuid::new_v4();
        let request = format!("GET /transactions/{id} HTTP/1.1\r\n\r\n").into_bytes();
        assert_eq!(client.call(&request).await.unwrap().0, 404);
        client.call(&post_of(id)).await.unwrap();
        let (status, body) = client.call(&request).await.unwrap();
        assert_eq!(status, 200);
        assert_eq!(body, format!(r#"{{"id":"{id}","amount":12.30,"currency":"EUR"}}"#).as_bytes());
    }

    #[tokio::test]
    async fn held_answers_are_sent_on_release() {
        let service = PostingService::start().unwrap();
        service.hold();
        let mut client = Connection::open(service.addr).await.unwrap();
        let post = post_of(Uuid::new_v4());
        let call = client.call(&post);
        let arrival = async {
            assert!(service.wait_for_count(1, Duration::from_secs(10)).await);
            service.release();
        };
        tokio::pin!(call);
        tokio::select! {
            biased;
            answer = &mut call => panic!("answered while held: {answer:?}"),
            () = arrival => {}
        }
        assert_eq!(call.await.unwrap().0, 201);
    }
}
