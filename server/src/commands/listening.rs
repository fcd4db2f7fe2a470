//! The listener of a process, which answers from the start on: at first that the process starts.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{fatal::Fatal, settings::Settings};
use crate::{
    http,
    listener::{self, ConnectionLimits, Front},
};

/// A listener that is being served from the start on; what it answers changes when the database is there.
pub struct Listening {
    pub addr: SocketAddr,
    pub scheme: &'static str,
    router: watch::Sender<Router>,
    /// What the start waits for.
    waits_for: watch::Sender<String>,
    /// Ends after `stop`, when the requests in flight are answered or the grace period is over.
    pub serving: JoinHandle<()>,
}

impl Listening {
    /// Serves from now on, at first with the answer that the process starts.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn start(
        listener: TcpListener,
        front: Front,
        limits: ConnectionLimits,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Result<Self, Fatal> {
        let addr = listener.local_addr()?;
        let scheme = if front.tls.is_some() { "https" } else { "http" };
        let (tls, ended) = (front.tls.clone(), stop.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else { return };
            if let Err(error) = tls.follow_files(&ended).await {
                tracing::error!(%error, "changes of the certificate are not noticed any more");
            }
        });
        let (waits_for, reason) = watch::channel(String::new());
        let (router, routers) =
            watch::channel(http::starting::router(reason, settings.web.hosts.clone()));
        let (grace, stop) = (settings.shutdown_grace(), stop.clone());
        let serving = tokio::spawn(async move {
            // A listener that ends, also by a panic, ends the program.
            let _ends = stop.clone().drop_guard();
            serve(listener, routers, front, &stop, grace, limits).await;
        });
        Ok(Self { addr, scheme, router, waits_for, serving })
    }

    /// From now on, requests go to this router.
    pub fn serve(&self, router: Router) {
        drop(self.router.send_replace(router));
    }

    /// Tells clients what the start waits for.
    pub fn wait_for(&self, reason: &str) {
        self.waits_for.send_replace(reason.to_owned());
    }
}

/// Serves until it is stopped, and then finishes requests in flight within the grace period.
async fn serve(
    listener: TcpListener,
    router: watch::Receiver<Router>,
    front: Front,
    stop: &CancellationToken,
    grace: Duration,
    limits: ConnectionLimits,
) {
    let grace = async {
        stop.cancelled().await;
        sleep(grace).await;
    };
    tokio::select! {
        () = listener::serve(listener, router, front, stop, limits) => {}
        () = grace => tracing::warn!("the grace period ended with requests still in flight"),
    }
}

/// Binds the listener of a setting.
///
/// # Errors
/// The setting and the address.
pub fn bind(setting: &str, addr: SocketAddr) -> Result<TcpListener, Fatal> {
    Ok(listener::listen(addr)
        .map_err(|error| format!("{setting}: cannot listen on {addr}: {error}"))?)
}
