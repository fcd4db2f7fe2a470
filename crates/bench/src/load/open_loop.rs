//! An open loop: requests are due at a fixed rate, whether or not earlier ones have been answered, and
//! latency counts from when a request was due.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::timeout,
};
use uuid::Uuid;

use crate::error::Fallible;
use crate::http::Connection;
use crate::load::submission::Submission;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is offered.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    pub a_second: f64,
    pub duration: Duration,
    /// Where all connections are busy: whether a request waits for one, or is not offered at all.
    pub waits: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Offered {
    pub sent: Vec<Sent>,
    /// Not offered, for all connections were busy.
    pub skipped: u64,
}

/// One request that was sent.
#[derive(Debug)]
pub struct Sent {
    pub id: Uuid,
    /// How long after it was due it left.
    pub behind: Duration,
    /// From when it was due.
    pub latency: Duration,
    pub answered_at: Instant,
    /// The status, or none where the connection broke or no answer came.
    pub status: Option<u16>,
}

impl Offered {
    /// Those that were answered with 202.
    pub fn accepted(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| sent.status == Some(202))
    }

    /// Their ids.
    pub fn accepted_ids(&self) -> Vec<Uuid> {
        self.accepted().map(|sent| sent.id).collect()
    }

    /// How many answers there were of each kind.
    pub fn by_status(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for sent in &self.sent {
            let kind = sent.status.map_or_else(|| "broken".to_owned(), |status| status.to_string());
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }
}

/// Opens the connections of a load.
///
/// # Errors
/// The system's.
pub async fn connect(addr: SocketAddr, count: usize) -> Fallible<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(addr).await?);
    }
    Ok(connections)
}

/// Offers it over these connections, and waits for the last answer.
pub async fn submit(addr: SocketAddr, connections: Vec<Connection>, offer: Offer) -> Offered {
    let (sender, dues) = mpsc::unbounded_channel();
    let dues = Arc::new(Mutex::new(dues));
    let idle = Arc::new(AtomicUsize::new(connections.len()));
    let numbers = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(one_connection(connection, addr, dues.clone(), idle.clone(), numbers.clone()));
    }
    let skipped = Arc::new(AtomicU64::new(0));
    // A thread of its own: the runtime's timers are exact to a millisecond only.
    thread::spawn({
        let skipped = skipped.clone();
        move || pace(offer, &sender, &idle, &skipped)
    });
    let sent = tasks.join_all().await.into_iter().flatten().collect();
    Offered { sent, skipped: skipped.load(Relaxed) }
}

/// Hands out the moments at which requests are due, each at that moment.
fn pace(
    offer: Offer,
    dues: &mpsc::UnboundedSender<Instant>,
    idle: &AtomicUsize,
    skipped: &AtomicU64,
) {
    let begun = Instant::now();
    for number in 0_u32.. {
        let after = Duration::from_secs_f64(f64::from(number) / offer.a_second);
        if after >= offer.duration {
            return;
        }
        let due = begun + after;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if !offer.waits && idle.load(Relaxed) == 0 {
            skipped.fetch_add(1, Relaxed);
            continue;
        }
        if !offer.waits {
            idle.fetch_sub(1, Relaxed);
        }
        if dues.send(due).is_err() {
            return;
        }
    }
}

async fn one_connection(
    connection: Connection,
    addr: SocketAddr,
    dues: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
    idle: Arc<AtomicUsize>,
    numbers: Arc<AtomicUsize>,
) -> Vec<Sent> {
    let mut all = Vec::new();
    let mut connection = Some(connection);
    loop {
        let Some(due) = dues.lock().await.recv().await else { return all };
        let submission = Submission::new(numbers.fetch_add(1, Relaxed));
        let behind = due.elapsed();
        let status = call(&mut connection, addr, &submission.request).await;
        let answered_at = Instant::now();
        let latency = answered_at - due;
        all.push(Sent { id: submission.id, behind, latency, answered_at, status });
        idle.fetch_add(1, Relaxed);
    }
}

/// Sends a request, over a new connection where the last one broke or is not to be used again. It is sent
/// once: where the connection turns out to be closed, no answer came.
async fn call(
    connection: &mut Option<Connection>,
    addr: SocketAddr,
    request: &[u8],
) -> Option<u16> {
    let answered = timeout(PATIENCE, async {
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(addr).await?,
        };
        let (status, _) = open.call(request).await?;
        *connection = Some(open).filter(|open| !open.is_closing());
        Ok::<u16, std::io::Error>(status)
    });
    answered.await.ok()?.ok()
}
