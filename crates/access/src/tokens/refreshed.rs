//! A value that is read again now and then, by one reading at a time.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::Instant;

/// A value, and when its last reading began.
#[derive(Debug)]
pub(super) struct Refreshed<T> {
    current: RwLock<Arc<T>>,
    began_at: Mutex<Option<Instant>>,
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl<T: Send + Sync + 'static> Refreshed<T> {
    /// A value that was never read.
    pub fn new(value: T) -> Self {
        Self {
            current: RwLock::new(Arc::new(value)),
            began_at: Mutex::default(),
            reading: Arc::default(),
        }
    }

    /// What was read last.
    pub fn get(&self) -> Arc<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the last reading began this long ago, or never.
    pub fn is_older_than(&self, age: Duration) -> bool {
        let began_at = self.began_at.lock().unwrap_or_else(PoisonError::into_inner);
        began_at.is_none_or(|began_at| began_at.elapsed() >= age)
    }

    /// Reads again if the last reading began this long ago. `read` gives no value if there is no other one. Returns when
    /// no reading is under way. A reading goes on if the caller goes away: the next one may not begin soon.
    pub async fn refresh<R>(self: Arc<Self>, age: Duration, read: R)
    where
        R: Future<Output = Option<T>> + Send + 'static,
    {
        let only_one = self.reading.clone().lock_owned().await;
        if !self.is_older_than(age) {
            return;
        }
        *self.began_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let reading = tokio::spawn(async move {
            let _only_one = only_one;
            if let Some(value) = read.await {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(value);
            }
        });
        if let Err(error) = reading.await {
            tracing::error!(%error, "a reading of keys ended early");
        }
    }
}
