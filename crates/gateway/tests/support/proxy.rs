//! Stands between a pool and PostgreSQL, and loses the answer of a statement that was carried out.
#![allow(dead_code)]

use std::{
    future::pending,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The proxy, and what it is to do.
pub struct Proxy {
    port: u16,
    orders: Arc<Mutex<Orders>>,
    task: JoinHandle<()>,
}

/// What becomes of the connection whose answer is lost.
#[derive(Clone, Copy)]
enum Loss {
    Closed,
    /// It stays, and nothing comes any more: so it is where a network has failed.
    Silent,
}

#[derive(Default)]
struct Orders {
    /// Of the statements with this text, the answer to the one that makes this zero is lost.
    lose: Option<(&'static str, usize, Loss)>,
    losses: watch::Sender<usize>,
    /// The answers to what has this text are held up while this is so.
    hold: Option<&'static str>,
    /// Whether one is.
    holding: watch::Sender<bool>,
    /// Ends the connections that there are.
    cut: CancellationToken,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// In front of the server that this pool is connected to.
    pub async fn start(pool: &PgPool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = pool.connect_options();
        let orders = Arc::<Mutex<Orders>>::default();
        let task = tokio::spawn({
            let orders = orders.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (server, orders) = (server.clone(), orders.clone());
                    tokio::spawn(async move {
                        let cut = orders.lock().unwrap().cut.clone();
                        // However it ends: both connections are closed then.
                        let _ = cut.run_until_cancelled(carry(client, &server, &orders)).await;
                    });
                }
            }
        });
        Self { port, orders, task }
    }

    /// How to connect through it, to the database of this pool.
    pub fn options(&self, pool: &PgPool, session: &str) -> PgConnectOptions {
        let server = pool.connect_options();
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(server.get_username())
            .database(server.get_database().unwrap())
            .ssl_mode(PgSslMode::Disable)
            .application_name(session)
            // Each statement is sent with its text.
            .statement_cache_capacity(0)
    }

    /// The `nth` statement with this text from now on is carried out, and its answer is lost together
    /// with its connection.
    pub fn lose_answer(&self, text: &'static str, nth: usize) {
        self.orders.lock().unwrap().lose = Some((text, nth, Loss::Closed));
    }

    /// The `nth` statement with this text from now on is carried out, and no answer comes over its
    /// connection any more, nor its end.
    pub fn silence(&self, text: &'static str, nth: usize) {
        self.orders.lock().unwrap().lose = Some((text, nth, Loss::Silent));
    }

    /// Waits until an answer has been lost.
    pub async fn loses(&self) {
        let mut lost = self.orders.lock().unwrap().losses.subscribe();
        lost.wait_for(|lost| *lost > 0).await.unwrap();
    }

    /// How many answers have been lost since this was asked last.
    pub fn take_lost(&self) -> usize {
        self.orders.lock().unwrap().losses.send_replace(0)
    }

    /// The answer to the next statement with this text, sent by itself, does not come until
    /// [`Proxy::let_go`].
    pub fn hold_answer(&self, text: &'static str) {
        self.orders.lock().unwrap().hold = Some(text);
    }

    /// Waits until an answer is held up.
    pub async fn holds(&self) {
        let mut holding = self.orders.lock().unwrap().holding.subscribe();
        holding.wait_for(|holding| *holding).await.unwrap();
    }

    /// The answer that is held up comes.
    pub fn let_go(&self) {
        self.orders.lock().unwrap().holding.send_replace(false);
    }

    /// Ends all connections. What is under way on them is carried out.
    pub fn cut(&self) {
        std::mem::take(&mut self.orders.lock().unwrap().cut).cancel();
    }
}

async fn carry(
    client: TcpStream,
    server: &PgConnectOptions,
    orders: &Mutex<Orders>,
) -> io::Result<()> {
    // Messages go one by one; none waits for the one before it to be acknowledged.
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    match server.get_socket() {
        Some(folder) => {
            let path: PathBuf = folder.join(format!(".s.PGSQL.{}", server.get_port()));
            let (from_server, to_server) = UnixStream::connect(path).await?.into_split();
            forward(from_client, to_client, from_server, to_server, orders).await
        }
        None => {
            let address = (server.get_host(), server.get_port());
            let (from_server, to_server) = TcpStream::connect(address).await?.into_split();
            forward(from_client, to_client, from_server, to_server, orders).await
        }
    }
}

/// Carries messages both ways until one side ends, or an answer is to be lost.
async fn forward(
    mut from_client: impl AsyncRead + Unpin,
    mut to_client: impl AsyncWrite + Unpin,
    mut from_server: impl AsyncRead + Unpin,
    mut to_server: impl AsyncWrite + Unpin,
    orders: &Mutex<Orders>,
) -> io::Result<()> {
    let losing = Mutex::new(None);
    let requests = async {
        // The first message has no type.
        let startup = read_rest(&mut from_client, Vec::new()).await?;
        to_server.write_all(&startup).await?;
        let mut wanted = None;
        loop {
            let kind = from_client.read_u8().await?;
            let message = read_rest(&mut from_client, vec![kind]).await?;
            match kind {
                b'P' => wanted = is_wanted(&message, orders),
                b'Q' => hold(&message, orders),
                b'E' if wanted.is_some() => *losing.lock().unwrap() = wanted,
                _ => {}
            }
            to_server.write_all(&message).await?;
        }
    };
    let answers = async {
        loop {
            let kind = from_server.read_u8().await?;
            let message = read_rest(&mut from_server, vec![kind]).await?;
            let mut holding = orders.lock().unwrap().holding.subscribe();
            let _ = holding.wait_for(|holding| !holding).await;
            let lose = *losing.lock().unwrap();
            match (kind, lose) {
                // Ready for the next query: this one is committed.
                (b'Z', Some(loss)) => {
                    orders.lock().unwrap().losses.send_modify(|lost| *lost += 1);
                    match loss {
                        Loss::Closed => return Ok(()),
                        Loss::Silent => pending().await,
                    }
                }
                (_, Some(_)) => {}
                (_, None) => to_client.write_all(&message).await?,
            }
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = answers => ended,
    }
}

fn is_wanted(message: &[u8], orders: &Mutex<Orders>) -> Option<Loss> {
    let mut orders = orders.lock().unwrap();
    let (text, left, loss) = orders.lose.as_mut()?;
    if !String::from_utf8_lossy(message).contains(*text) {
        return None;
    }
    *left -= 1;
    let wanted = (*left == 0).then_some(*loss);
    if wanted.is_some() {
        orders.lose = None;
    }
    wanted
}

fn hold(message: &[u8], orders: &Mutex<Orders>) {
    let mut orders = orders.lock().unwrap();
    let Some(text) = orders.hold else { return };
    if String::from_utf8_lossy(message).contains(text) {
        orders.hold = None;
        orders.holding.send_replace(true);
    }
}

/// Reads a message's length and what it covers, behind what was read of it.
async fn read_rest(
    from: &mut (impl AsyncRead + Unpin),
    mut message: Vec<u8>,
) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    message.extend_from_slice(&length.to_be_bytes());
    let start = message.len();
    message.resize(start + length as usize - 4, 0);
    from.read_exact(&mut message[start..]).await?;
    Ok(message)
}
