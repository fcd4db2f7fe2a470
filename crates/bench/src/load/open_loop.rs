//! An open loop: requests are due at a fixed rate, whether or not earlier ones have been answered,
//! and latency counts from when a request was due.

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

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The load to offer.
#[derive(Debug, Clone, Copy)]
pub struct OfferedLoad {
    pub rate_per_second: f64,
    pub duration: Duration,
    /// If all connections are busy: whether a request waits for one, or is not sent at all.
    pub waits_for_connection: bool,
}

/// The result of a load.
#[derive(Debug, Default)]
pub struct OpenLoopResult {
    pub sent: Vec<Sent>,
    /// Requests not sent because all connections were busy.
    pub skipped: u64,
}

/// One request that was sent.
#[derive(Debug)]
pub struct Sent {
    pub id: Uuid,
    /// How long after it was due it was sent.
    pub send_delay: Duration,
    /// From when it was due to its answer.
    pub latency: Duration,
    pub answered_at: Instant,
    /// The status; `None` if the connection broke or no answer came.
    pub status: Option<u16>,
}

impl OpenLoopResult {
    /// The requests answered with 202.
    pub fn accepted(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| sent.status == Some(202))
    }

    /// Their ids.
    pub fn accepted_ids(&self) -> Vec<Uuid> {
        self.accepted().map(|sent| sent.id).collect()
    }

    /// How many answers of each status there were.
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
/// A connection cannot be opened.
pub async fn connect(addr: SocketAddr, count: usize) -> Fallible<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(addr).await?);
    }
    Ok(connections)
}

/// Offers the load over these connections, and waits for the last answer.
pub async fn submit(
    addr: SocketAddr,
    connections: Vec<Connection>,
    offer: OfferedLoad,
) -> OpenLoopResult {
    let (sender, due_times) = mpsc::unbounded_channel();
    let due_times = Arc::new(Mutex::new(due_times));
    let idle = Arc::new(AtomicUsize::new(connections.len()));
    let numbers = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(one_connection(
            connection,
            addr,
            due_times.clone(),
            idle.clone(),
            numbers.clone(),
        ));
    }
    let skipped = Arc::new(AtomicU64::new(0));
    // A separate thread: the runtime's timers have a resolution of a millisecond.
    thread::spawn({
        let skipped = skipped.clone();
        move || pace(offer, &sender, &idle, &skipped)
    });
    let sent = tasks.join_all().await.into_iter().flatten().collect();
    OpenLoopResult { sent, skipped: skipped.load(Relaxed) }
}

/// Sends each due time at that time.
fn pace(
    offer: OfferedLoad,
    due_times: &mpsc::UnboundedSender<Instant>,
    idle: &AtomicUsize,
    skipped: &AtomicU64,
) {
    let begun = Instant::now();
    for number in 0_u32.. {
        let after = Duration::from_secs_f64(f64::from(number) / offer.rate_per_second);
        if after >= offer.duration {
            return;
        }
        let due = begun + after;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if !offer.waits_for_connection && idle.load(Relaxed) == 0 {
            skipped.fetch_add(1, Relaxed);
            continue;
        }
        if !offer.waits_for_connection {
            idle.fetch_sub(1, Relaxed);
        }
        if due_times.send(due).is_err() {
            return;
        }
    }
}

async fn one_connection(
    connection: Connection,
    addr: SocketAddr,
    due_times: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
    idle: Arc<AtomicUsize>,
    numbers: Arc<AtomicUsize>,
) -> Vec<Sent> {
    let mut all = Vec::new();
    let mut connection = Some(connection);
    loop {
        let Some(due) = due_times.lock().await.recv().await else { return all };
        let submission = Submission::new(numbers.fetch_add(1, Relaxed), None);
        let send_delay = due.elapsed();
        let status = call(&mut connection, addr, &submission.request).await;
        let answered_at = Instant::now();
        let latency = answered_at - due;
        all.push(Sent { id: submission.id, send_delay, latency, answered_at, status });
        idle.fetch_add(1, Relaxed);
    }
}

/// Sends a request once, over a new connection if the last one broke or must not be reused. If the
/// connection turns out to be closed, the request counts as not answered.
async fn call(
    connection: &mut Option<Connection>,
    addr: SocketAddr,
    request: &[u8],
) -> Option<u16> {
    let answered = timeout(TIMEOUT, async {
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
