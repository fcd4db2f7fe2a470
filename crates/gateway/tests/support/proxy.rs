//! A proxy between a pool and PostgreSQL that loses the answer of a statement that was executed.
#![allow(dead_code)]

use std::{
    future::pending,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
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

/// The proxy and its commands.
pub struct Proxy {
    port: u16,
    commands: Arc<Mutex<Commands>>,
    task: JoinHandle<()>,
}

/// What happens to the connection whose answer is lost.
#[derive(Clone, Copy)]
enum Loss {
    Closed,
    /// It stays open and silent, as when a network fails.
    Silent,
}

#[derive(Default)]
struct Commands {
    /// Of the statements with this text, the one that makes the counter zero loses its answer.
    lose: Option<(&'static str, usize, Loss)>,
    losses: watch::Sender<usize>,
    /// The next answer to a statement with this text is held.
    hold: Option<&'static str>,
    /// Whether an answer is being held.
    holding: watch::Sender<bool>,
    /// Closes the current connections.
    cut: CancellationToken,
    /// Of the current connections, those that listen stay open and silent.
    mute: CancellationToken,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Starts in front of the server that this pool is connected to.
    pub async fn start(pool: &PgPool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = pool.connect_options();
        let commands = Arc::<Mutex<Commands>>::default();
        let task = tokio::spawn({
            let commands = commands.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (server, commands) = (server.clone(), commands.clone());
                    tokio::spawn(async move {
                        let cut = commands.lock().unwrap().cut.clone();
                        // However it ends, both connections are closed.
                        let _ = cut.run_until_cancelled(serve(client, &server, &commands)).await;
                    });
                }
            }
        });
        Self { port, commands, task }
    }

    /// Options to connect through the proxy to the database of this pool.
    pub fn options(&self, pool: &PgPool, session: &str) -> PgConnectOptions {
        let server = pool.connect_options();
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(server.get_username())
            .database(server.get_database().unwrap())
            .ssl_mode(PgSslMode::Disable)
            .application_name(session)
            // So that each statement is sent with its text.
            .statement_cache_capacity(0)
    }

    /// The `nth` statement with this text from now on is executed, and its answer is lost together
    /// with its connection.
    pub fn lose_answer(&self, text: &'static str, nth: usize) {
        self.commands.lock().unwrap().lose = Some((text, nth, Loss::Closed));
    }

    /// The `nth` statement with this text from now on is executed, and from then on its connection
    /// stays open and silent.
    pub fn silence(&self, text: &'static str, nth: usize) {
        self.commands.lock().unwrap().lose = Some((text, nth, Loss::Silent));
    }

    /// Waits until an answer has been lost.
    pub async fn wait_for_loss(&self) {
        let mut lost = self.commands.lock().unwrap().losses.subscribe();
        lost.wait_for(|lost| *lost > 0).await.unwrap();
    }

    /// How many answers have been lost since the last call.
    pub fn take_lost(&self) -> usize {
        self.commands.lock().unwrap().losses.send_replace(0)
    }

    /// Holds the answer to the next statement with this text that is sent by itself, until
    /// [`Proxy::release`].
    pub fn hold_answer(&self, text: &'static str) {
        self.commands.lock().unwrap().hold = Some(text);
    }

    /// Waits until an answer is being held.
    pub async fn wait_for_hold(&self) {
        let mut holding = self.commands.lock().unwrap().holding.subscribe();
        holding.wait_for(|holding| *holding).await.unwrap();
    }

    /// Releases the answer that is held.
    pub fn release(&self) {
        self.commands.lock().unwrap().holding.send_replace(false);
    }

    /// From now on the connections that listen for notifications stay open and silent, as when a network
    /// fails. Later ones are not affected.
    pub fn mute_listeners(&self) {
        std::mem::take(&mut self.commands.lock().unwrap().mute).cancel();
    }

    /// Closes all connections. The statements in flight on them are executed.
    pub fn cut(&self) {
        std::mem::take(&mut self.commands.lock().unwrap().cut).cancel();
    }
}

async fn serve(
    client: TcpStream,
    server: &PgConnectOptions,
    commands: &Mutex<Commands>,
) -> io::Result<()> {
    // Sends each message at once, without waiting for the acknowledgement of the one before it.
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    match server.get_socket() {
        Some(folder) => {
            let path: PathBuf = folder.join(format!(".s.PGSQL.{}", server.get_port()));
            let (from_server, to_server) = UnixStream::connect(path).await?.into_split();
            forward(from_client, to_client, from_server, to_server, commands).await
        }
        None => {
            let address = (server.get_host(), server.get_port());
            let (from_server, to_server) = TcpStream::connect(address).await?.into_split();
            forward(from_client, to_client, from_server, to_server, commands).await
        }
    }
}

/// Forwards messages both ways until one side closes or an answer is to be lost.
async fn forward(
    mut from_client: impl AsyncRead + Unpin,
    mut to_client: impl AsyncWrite + Unpin,
    mut from_server: impl AsyncRead + Unpin,
    mut to_server: impl AsyncWrite + Unpin,
    commands: &Mutex<Commands>,
) -> io::Result<()> {
    let losing = Mutex::new(None);
    let mute = commands.lock().unwrap().mute.clone();
    let listens = AtomicBool::new(false);
    let requests = async {
        // The first message has no type byte.
        let startup = read_rest(&mut from_client, Vec::new()).await?;
        to_server.write_all(&startup).await?;
        let mut loss_wanted = None;
        loop {
            let kind = from_client.read_u8().await?;
            let message = read_rest(&mut from_client, vec![kind]).await?;
            match kind {
                b'P' => loss_wanted = loses_answer(&message, commands),
                b'Q' => {
                    if message[5..].starts_with(b"LISTEN") {
                        listens.store(true, Ordering::Relaxed);
                    }
                    hold(&message, commands);
                }
                b'E' if loss_wanted.is_some() => *losing.lock().unwrap() = loss_wanted,
                _ => {}
            }
            to_server.write_all(&message).await?;
        }
    };
    let answers = async {
        loop {
            let kind = from_server.read_u8().await?;
            let message = read_rest(&mut from_server, vec![kind]).await?;
            let mut holding = commands.lock().unwrap().holding.subscribe();
            let _ = holding.wait_for(|holding| !holding).await;
            if mute.is_cancelled() && listens.load(Ordering::Relaxed) {
                pending::<()>().await;
            }
            let lose = *losing.lock().unwrap();
            match (kind, lose) {
                // ReadyForQuery: the statement is committed.
                (b'Z', Some(loss)) => {
                    commands.lock().unwrap().losses.send_modify(|lost| *lost += 1);
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

fn loses_answer(message: &[u8], commands: &Mutex<Commands>) -> Option<Loss> {
    let mut commands = commands.lock().unwrap();
    let (text, left, loss) = commands.lose.as_mut()?;
    if !String::from_utf8_lossy(message).contains(*text) {
        return None;
    }
    *left -= 1;
    let loss_wanted = (*left == 0).then_some(*loss);
    if loss_wanted.is_some() {
        commands.lose = None;
    }
    loss_wanted
}

fn hold(message: &[u8], commands: &Mutex<Commands>) {
    let mut commands = commands.lock().unwrap();
    let Some(text) = commands.hold else { return };
    if String::from_utf8_lossy(message).contains(text) {
        commands.hold = None;
        commands.holding.send_replace(true);
    }
}

/// Reads a message's length and body, and appends both to what was read.
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
