//! What was read within the last half second. A credential is checked with each request, but read from the database only
//! twice a second; so its revocation is obeyed in every process within one second.

use std::{
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use tokio::time::Instant;

/// How long a value is used after its reading began.
const RECENT: Duration = Duration::from_millis(500);

/// Values by key, each used for half a second after its reading began. Bounded in size.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    read: Cache<K, Reading<V>>,
    /// Raised by [`Recent::forget`]: what was read before counts no more.
    generation: AtomicU64,
}

#[derive(Debug, Clone)]
struct Reading<V> {
    began_at: Instant,
    generation: u64,
    value: V,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    /// Room for this many values.
    pub fn new(capacity: usize) -> Self {
        Self { read: Cache::new(capacity), generation: AtomicU64::new(0) }
    }

    /// The value of a key: the one that was read within the last half second, or that `read` returns now. Of calls that
    /// want the same key at once, one reads and the others wait for it. An error is not kept.
    ///
    /// # Errors
    /// The error of `read`.
    pub async fn get_or_read<E>(
        &self,
        key: &K,
        read: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let asked_at = Instant::now();
        let generation = self.generation.load(Ordering::Acquire);
        let is_recent = |reading: &Reading<V>| {
            reading.generation == generation && reading.began_at + RECENT > asked_at
        };
        // The usual case needs no exclusive lock.
        if let Some(reading) = self.read.get(key).filter(is_recent) {
            return Ok(reading.value);
        }
        let entry = self.read.entry_async(key, |_, reading| match is_recent(reading) {
            true => EntryAction::Retain(reading.value.clone()),
            false => EntryAction::ReplaceWithGuard,
        });
        let place = match entry.await {
            EntryResult::Retained(value) => return Ok(value),
            EntryResult::Replaced(place, _) | EntryResult::Vacant(place) => Some(place),
            EntryResult::Removed(..) | EntryResult::Timeout => None,
        };
        let began_at = Instant::now();
        let generation = self.generation.load(Ordering::Acquire);
        let value = read().await?;
        if let Some(place) = place {
            // If there is no room for it, the next call reads again.
            let _ = place.insert(Reading { began_at, generation, value: value.clone() });
        }
        Ok(value)
    }

    /// Forgets everything, also what is being read now: this process has just changed it.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use tokio::{
        sync::Notify,
        time::{advance, pause},
    };

    use super::*;

    async fn read(recent: &Recent<u8, u8>, value: u8) -> u8 {
        recent.get_or_read(&1, async || Ok::<_, Infallible>(value)).await.unwrap()
    }

    #[tokio::test]
    async fn a_value_is_used_for_half_a_second() {
        pause();
        let recent = Recent::new(8);
        assert_eq!(read(&recent, 1).await, 1);
        advance(Duration::from_millis(499)).await;
        assert_eq!(read(&recent, 2).await, 1);
        advance(Duration::from_millis(1)).await;
        assert_eq!(read(&recent, 3).await, 3);
        assert_eq!(read(&recent, 4).await, 3);
    }

    #[tokio::test]
    async fn what_this_process_changed_is_read_again_at_once() {
        pause();
        let recent = Recent::new(8);
        assert_eq!(read(&recent, 1).await, 1);
        recent.forget();
        assert_eq!(read(&recent, 2).await, 2);
        let value = recent
            .get_or_read(&2, async || {
                recent.forget();
                Ok::<_, Infallible>(1)
            })
            .await;
        assert_eq!(value, Ok(1));
        assert_eq!(recent.get_or_read(&2, async || Ok::<_, Infallible>(2)).await, Ok(2));
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        pause();
        let recent = Recent::new(8);
        assert_eq!(recent.get_or_read(&1, async || Err::<u8, _>("down")).await, Err("down"));
        assert_eq!(read(&recent, 1).await, 1);
    }

    #[tokio::test]
    async fn of_calls_for_one_key_at_once_one_reads() {
        let recent = Arc::new(Recent::new(8));
        let (reading, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn({
            let (recent, reading, go) = (recent.clone(), reading.clone(), go.clone());
            async move {
                let slow = async || {
                    reading.notify_one();
                    go.notified().await;
                    Ok::<_, Infallible>(1)
                };
                recent.get_or_read(&1, slow).await
            }
        });
        reading.notified().await;
        let second = async {
            // The second call waits for the first, which ends only then.
            let mut second = std::pin::pin!(read(&recent, 2));
            assert!(futures::poll!(second.as_mut()).is_pending());
            go.notify_one();
            second.await
        };
        assert_eq!(second.await, 1);
        assert_eq!(first.await.unwrap(), Ok(1));
    }
}
