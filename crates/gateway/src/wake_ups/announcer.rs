//! Announcing new jobs to other processes. A NOTIFY serialises the commits of all transactions that make one,
//! so none is made by a commit that stores something: this task makes its own, after those commits.

use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::JOBS;
use crate::{database::WEB_STATEMENT_TIMEOUT, job::Queue};

/// The least time between two announcements. The first one after a while is made at once.
const SPACING: Duration = Duration::from_millis(2);

/// Announces new jobs until it is dropped.
pub struct Announcer(UnboundedSender<Queue>);

impl Announcer {
    /// Starts the task, which has a connection of its own to the database of this pool.
    pub fn start(pool: &PgPool, process_id: Uuid) -> Self {
        let options = pool.connect_options().as_ref().clone();
        let (queues, announced) = mpsc::unbounded_channel();
        tokio::spawn(run(options, process_id, announced));
        Self(queues)
    }

    /// Announces a committed job soon.
    pub fn announce(&self, queue: Queue) {
        // The task ends only with this sender.
        let _ = self.0.send(queue);
    }
}

async fn run(options: PgConnectOptions, process_id: Uuid, mut new: UnboundedReceiver<Queue>) {
    let mut connection = None;
    while let Some(queue) = new.recv().await {
        let mut queues = vec![queue];
        while let Ok(queue) = new.try_recv() {
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        let was_open = connection.is_some();
        let mut result = notify(&mut connection, &options, process_id, &queues).await;
        if result.is_err() && was_open {
            // The connection was lost, perhaps long ago.
            result = notify(&mut connection, &options, process_id, &queues).await;
        }
        if let Err(error) = result {
            tracing::debug!(%error, "new jobs were not announced; other processes will look for them");
        }
        sleep(SPACING).await;
    }
}

/// An announcement that a crash of PostgreSQL forgets has no listener any more either.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    // Not at the start of the connection: PgBouncer refuses that.
    sqlx::raw_sql("set synchronous_commit = off").execute(&mut connection).await?;
    Ok(connection)
}

/// Makes one announcement. The connection is kept only if it answered.
async fn notify(
    connection: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    process_id: Uuid,
    queues: &[Queue],
) -> Result<(), sqlx::Error> {
    let queues: Vec<&str> = queues.iter().map(|queue| queue.name()).collect();
    let notified = timeout(WEB_STATEMENT_TIMEOUT, async {
        let mut open = match connection.take() {
            Some(open) => open,
            None => connect(options).await?,
        };
        sqlx::query("select pg_notify($1, $2 || ' ' || queue) from unnest($3::text[]) queue")
            .bind(JOBS)
            .bind(process_id.to_string())
            .bind(queues)
            .execute(&mut open)
            .await?;
        *connection = Some(open);
        Ok(())
    });
    notified.await.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
