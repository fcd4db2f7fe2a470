//! A TCP proxy in front of PostgreSQL that cuts, loses or delays answers, and stalls when it is told
//! to.

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

/// What goes wrong on the way.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    /// Raised to cut every connection there is.
    cuts: u64,
    /// What the client sends arrives, and the connection is cut when the answer comes.
    loses_answers: bool,
    /// Nothing goes either way.
    stalls: bool,
    /// How long answers are on their way.
    answers_take: Duration,
}

/// A proxy. Dropping it cuts everything.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    orders: watch::Sender<Orders>,
    answers_lost: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Listens on a port of 127.0.0.1, in front of PostgreSQL's socket.
    pub async fn start(socket: &Path) -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (orders, heard) = watch::channel(Orders::default());
        let answers_lost = Arc::new(AtomicU64::new(0));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, socket.to_owned(), heard, answers_lost.clone()));
        Ok(Self { port, orders, answers_lost, _serving: serving })
    }

    /// Where Onceward finds its database through it.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/onceward?sslmode=disable", self.port)
    }

    pub fn cut_all(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    pub fn lose_answers(&self, loses: bool) {
        self.orders.send_modify(|orders| orders.loses_answers = loses);
    }

    /// How many answers were lost so far.
    pub fn answers_lost(&self) -> u64 {
        self.answers_lost.load(Ordering::Relaxed)
    }

    pub fn delay_answers(&self, answers_take: Duration) {
        self.orders.send_modify(|orders| orders.answers_take = answers_take);
    }

    pub fn stall(&self, stalls: bool) {
        self.orders.send_modify(|orders| orders.stalls = stalls);
    }
}

async fn serve(
    listener: TcpListener,
    socket: PathBuf,
    orders: watch::Receiver<Orders>,
    answers_lost: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (socket, orders, lost) = (socket.clone(), orders.clone(), answers_lost.clone());
        connections.spawn(async move {
            // However it ends, both sides see their connection closed.
            let _ = forward(client, &socket, orders, &lost).await;
        });
    }
}

async fn forward(
    mut client: TcpStream,
    socket: &Path,
    mut orders: watch::Receiver<Orders>,
    answers_lost: &AtomicU64,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = UnixStream::connect(socket).await?;
    let cuts = orders.borrow().cuts;
    let (requests, answers) = (orders.clone(), orders.clone());
    let (client_reads, client_writes) = client.split();
    let (server_reads, server_writes) = server.split();
    tokio::select! {
        ended = carry(client_reads, server_writes, requests, None) => ended,
        ended = carry(server_reads, client_writes, answers, Some(answers_lost)) => ended,
        _ = orders.wait_for(|orders| orders.cuts > cuts) => Ok(()),
    }
}

/// Carries bytes one way; of those that are answers, loses the ones that are to be lost.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut orders: watch::Receiver<Orders>,
    lost: Option<&AtomicU64>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        // An error says that the proxy is gone, which ends this task as well.
        let _ = orders.wait_for(|orders| !orders.stalls).await;
        if let Some(lost) = lost {
            let Orders { loses_answers, answers_take, .. } = *orders.borrow();
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
