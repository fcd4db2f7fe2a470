//! The wake-ups within one process.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{sync::Notify, time::sleep};
use uuid::Uuid;

use super::announcer::Announcer;
use crate::job::Queue;

/// Retries that are due later than this need no timer: by then, the heartbeat has seen their jobs.
const TIMER_WITHIN: Duration = Duration::from_secs(2);

/// The wake-ups of the dispatchers of one process, shared by its [`Gateway`](crate::Gateway) and its
/// [`Worker`](crate::Worker). Cheap to clone.
#[derive(Clone)]
pub struct WakeUps(Arc<Process>);

struct Process {
    /// Its announcements carry this; its own listener ignores them.
    id: Uuid,
    /// One for each queue.
    queues: [Notify; Queue::ALL.len()],
    pause: Notify,
    announcer: Option<Announcer>,
}

impl Default for WakeUps {
    /// Wake-ups that no other process hears of.
    fn default() -> Self {
        Self::new(Uuid::now_v7(), None)
    }
}

impl WakeUps {
    /// Wake-ups that are also announced to other processes, over a connection of their own to the same
    /// database as this pool's.
    pub fn announced(pool: &PgPool) -> Self {
        let id = Uuid::now_v7();
        Self::new(id, Some(Announcer::start(pool, id)))
    }

    fn new(id: Uuid, announcer: Option<Announcer>) -> Self {
        Self(Arc::new(Process { id, queues: Default::default(), pause: Notify::new(), announcer }))
    }

    /// The process that its announcements name.
    pub(super) fn process_id(&self) -> Uuid {
        self.0.id
    }

    /// There is a new job: wakes the queue's dispatcher in every process.
    pub(crate) fn new_job(&self, queue: Queue) {
        self.wake(queue);
        if let Some(announcer) = &self.0.announcer {
            announcer.announce(queue);
        }
    }

    /// A job may be due: wakes the queue's dispatcher in this process.
    pub(crate) fn wake(&self, queue: Queue) {
        self.notify(queue).notify_one();
    }

    /// A job is due in `delay`: wakes the queue's dispatcher in this process at that time.
    pub(crate) fn wake_in(&self, queue: Queue, delay: Duration) {
        if delay <= TIMER_WITHIN {
            let wake_ups = self.clone();
            tokio::spawn(async move {
                sleep(delay).await;
                wake_ups.wake(queue);
            });
        }
    }

    /// Waits until the dispatcher of a queue is woken. One wake-up is kept while nobody waits for it.
    pub(crate) async fn woken(&self, queue: Queue) {
        self.notify(queue).notified().await;
    }

    /// Posting was paused or resumed.
    pub(crate) fn wake_for_pause(&self) {
        self.0.pause.notify_one();
    }

    /// Waits until posting may have been paused or resumed.
    pub(crate) async fn woken_for_pause(&self) {
        self.0.pause.notified().await;
    }

    fn notify(&self, queue: Queue) -> &Notify {
        &self.0.queues[queue as usize]
    }
}
