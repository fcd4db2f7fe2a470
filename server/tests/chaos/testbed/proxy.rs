//! A TCP proxy in front of PostgreSQL that cuts connections, loses or delays answers, and stalls,
//! on demand.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use crate::Fallible;

/// The current faults of the connections.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    /// Incremented to cut every current connection.
    cuts: u64,
    /// The client's message arrives, and the connection is cut when the answer comes.
    loses_answers: bool,
    /// Nothing is forwarded in either direction.
    stalls: bool,
    /// The delay of answers.
    answers_take: Duration,
}

/// A proxy. Dropping it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    faults: watch::Sender<Faults>,
    answers_lost: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Listens on a port of 127.0.0.1, in front of PostgreSQL's socket.
    pub async fn start(socket: &Path) -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (faults, current) = watch::channel(Faults::default());
        let answers_lost = Arc::new(AtomicU64::new(0));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, socket.to_owned(), current, answers_lost.clone()));
        Ok(Self { port, faults, answers_lost, _serving: serving })
    }

    /// Onceward's `DATABASE_URL` through the proxy.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/onceward?sslmode=disable", self.port)
    }

    pub fn cut_all(&self) {
        self.faults.send_modify(|faults| faults.cuts += 1);
    }

    pub fn lose_answers(&self, loses: bool) {
        self.faults.send_modify(|faults| faults.loses_answers = loses);
    }

    /// How many answers were lost so far.
    pub fn answers_lost(&self) -> u64 {
        self.answers_lost.load(Ordering::Relaxed)
    }

    pub fn delay_answers(&self, answers_take: Duration) {
        self.faults.send_modify(|faults| faults.answers_take = answers_take);
    }

    pub fn stall(&self, stalls: bool) {
        self.faults.send_modify(|faults| faults.stalls = stalls);
    }
}

async fn serve(
    listener: TcpListener,
    socket: PathBuf,
    faults: watch::Receiver<Faults>,
    answers_lost: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (socket, faults, lost) = (socket.clone(), faults.clone(), answers_lost.clone());
        connections.spawn(async move {
            // However it ends, both sides see their connection closed.
            let _ = forward(client, &socket, faults, &lost).await;
        });
    }
}

async fn forward(
    mut client: TcpStream,
    socket: &Path,
    mut faults: watch::Receiver<Faults>,
    answers_lost: &AtomicU64,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = UnixStream::connect(socket).await?;
    let cuts = faults.borrow().cuts;
    let (requests, answers) = (faults.clone(), faults.clone());
    let (client_reads, client_writes) = client.split();
    let (server_reads, server_writes) = server.split();
    tokio::select! {
        ended = relay(client_reads, server_writes, requests, None) => ended,
        ended = relay(server_reads, client_writes, answers, Some(answers_lost)) => ended,
        _ = faults.wait_for(|faults| faults.cuts > cuts) => Ok(()),
    }
}

/// Forwards bytes in one direction, and loses or delays them if they are answers.
async fn relay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut faults: watch::Receiver<Faults>,
    lost: Option<&AtomicU64>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        // An error means that the proxy is dropped, which ends this task as well.
        let _ = faults.wait_for(|faults| !faults.stalls).await;
        if let Some(lost) = lost {
            let Faults { loses_answers, answers_take, .. } = *faults.borrow();
            if loses_answers {
                lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            if !answers_take.is_zero() {
                sleep(answers_take).await;
            }
        }
        to.write_all(&buffer[..length]).await?;
    }
}
