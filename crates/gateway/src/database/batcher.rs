//! The batcher combines many calls into few statements. Calls that arrive while statements are in flight are
//! queued and share the next one; a lone call starts a statement at once. No timer delays a call: the timer
//! only allows an extra statement when one is slow.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use thiserror::Error;
use tokio::{sync::oneshot, task::yield_now, time::timeout};

/// A statement that takes longer is slow, and does not count against the limit on statements in flight.
const SLOW: Duration = Duration::from_millis(50);

/// How much a batcher takes on at once.
#[derive(Debug, Clone, Copy)]
pub struct BatcherLimits {
    /// Calls in the queue. Further calls are refused.
    pub max_queued: usize,
    /// Statements in flight. The fewer, the more calls share one, and the less each call costs.
    pub max_statements: usize,
    /// Extra statements while some take longer than [`SLOW`]: a statement that waits for a lock, or for
    /// PostgreSQL, does not delay the others.
    pub max_extra_statements: usize,
    /// Calls in one statement.
    pub max_calls: usize,
}

/// Why a call failed.
#[derive(Debug, Error)]
pub enum BatcherError {
    /// The queue is full.
    #[error("too many calls are queued")]
    Full,
    /// PostgreSQL answered with an error, or its answer was lost.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
    /// The statement's task panicked.
    #[error("a statement was abandoned")]
    Abandoned,
}

/// Sends the answer of a call.
type Sender<A> = oneshot::Sender<Result<A, Arc<sqlx::Error>>>;

/// Executes a statement for these calls, and returns an answer for each, in their order.
type Statement<C, A> =
    Box<dyn for<'a> Fn(&'a [C]) -> BoxFuture<'a, Result<Vec<A>, sqlx::Error>> + Send + Sync>;

/// Batches calls of one kind. Cheap to clone.
pub struct Batcher<C, A>(Arc<Inner<C, A>>);

struct Inner<C, A> {
    statement: Statement<C, A>,
    limits: BatcherLimits,
    state: Mutex<State<C, A>>,
}

struct State<C, A> {
    queue: VecDeque<Queued<C, A>>,
    /// Statements in flight.
    statements: usize,
    /// Slow statements among them.
    slow: usize,
}

struct Queued<C, A> {
    call: C,
    answer: Sender<A>,
}

impl<C, A> Clone for Batcher<C, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Send + Sync + 'static, A: Send + 'static> Batcher<C, A> {
    /// A batcher that executes its calls with `statement`. If a statement fails because of one call, each
    /// call is retried alone, so that one call does not fail the others.
    pub fn new<S>(limits: BatcherLimits, statement: S) -> Self
    where
        S: for<'a> Fn(&'a [C]) -> BoxFuture<'a, Result<Vec<A>, sqlx::Error>>
            + Send
            + Sync
            + 'static,
    {
        let state = Mutex::new(State { queue: VecDeque::new(), statements: 0, slow: 0 });
        Self(Arc::new(Inner { statement: Box::new(statement), limits, state }))
    }

    /// Waits for a call's answer. Must be called within a tokio runtime. A call that is dropped before its
    /// statement begins is not executed; a call that is dropped later is.
    pub async fn call(&self, call: C) -> Result<A, BatcherError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.0.state();
            if state.queue.len() >= self.0.limits.max_queued {
                return Err(BatcherError::Full);
            }
            state.queue.push_back(Queued { call, answer });
            self.0.begin(&mut state);
        }
        match answered.await {
            Ok(answer) => answer.map_err(BatcherError::Database),
            Err(_) => Err(BatcherError::Abandoned),
        }
    }
}

impl<C: Send + Sync + 'static, A: Send + 'static> Inner<C, A> {
    fn state(&self) -> MutexGuard<'_, State<C, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many statements may be in flight now.
    fn allowed(&self, state: &State<C, A>) -> usize {
        self.limits.max_statements + state.slow.min(self.limits.max_extra_statements)
    }

    /// Begins a statement if calls are queued and one more statement is allowed.
    fn begin(self: &Arc<Self>, state: &mut State<C, A>) {
        if !state.queue.is_empty() && state.statements < self.allowed(state) {
            state.statements += 1;
            // A task of its own: a caller may be dropped, and the statement serves other callers too.
            tokio::spawn(self.clone().execute());
        }
    }

    /// Executes one statement after the other, until the queue is empty.
    async fn execute(self: Arc<Self>) {
        // Callers that came at the same moment are about to call, and need not wait for a round trip.
        yield_now().await;
        while let Some((calls, answers)) = self.next() {
            let mut answered = pin!(AssertUnwindSafe(self.answer(&calls, answers)).catch_unwind());
            let answered = match timeout(SLOW, &mut answered).await {
                Ok(answered) => answered,
                Err(_) => {
                    {
                        let mut state = self.state();
                        state.slow += 1;
                        self.begin(&mut state);
                    }
                    let answered = answered.await;
                    self.state().slow -= 1;
                    answered
                }
            };
            if answered.is_err() {
                tracing::error!("a statement panicked");
            }
        }
    }

    /// The calls of the next statement; `None` if there are none, and then one statement fewer is
    /// in flight.
    fn next(&self) -> Option<(Vec<C>, Vec<Sender<A>>)> {
        let mut state = self.state();
        let (mut calls, mut answers) = (Vec::new(), Vec::new());
        let is_one_too_many = state.statements > self.allowed(&state);
        while !is_one_too_many
            && calls.len() < self.limits.max_calls
            && let Some(queued) = state.queue.pop_front()
        {
            // A call whose caller no longer waits is skipped.
            if !queued.answer.is_closed() {
                calls.push(queued.call);
                answers.push(queued.answer);
            }
        }
        if calls.is_empty() {
            state.statements -= 1;
            return None;
        }
        Some((calls, answers))
    }

    async fn answer(&self, calls: &[C], answers: Vec<Sender<A>>) {
        match (self.statement)(calls).await {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(Ok(result));
                }
            }
            Err(error) if calls.len() > 1 && is_caused_by_one_row(&error) => {
                for (call, answer) in calls.chunks(1).zip(answers) {
                    if answer.is_closed() {
                        continue;
                    }
                    Box::pin(self.answer(call, vec![answer])).await;
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// SQLSTATE classes 22 (data exception), 23 (integrity constraint violation) and 40 (deadlocks).
pub fn is_caused_by_one_row(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["22", "23", "40"].iter().any(|class| code.starts_with(class)))
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tokio::{sync::Semaphore, time::advance};

    use super::*;

    /// Statements that wait until they are released, and the calls of each.
    struct Server {
        statements: Mutex<Vec<Vec<u32>>>,
        released: Semaphore,
    }

    impl Server {
        fn statements(&self) -> Vec<Vec<u32>> {
            self.statements.lock().unwrap().clone()
        }

        fn release(&self, statements: usize) {
            self.released.add_permits(statements);
        }
    }

    const LIMITS: BatcherLimits =
        BatcherLimits { max_queued: 4, max_statements: 1, max_extra_statements: 0, max_calls: 3 };

    fn batcher(limits: BatcherLimits) -> (Batcher<u32, u32>, Arc<Server>) {
        let server = Arc::new(Server { statements: Mutex::default(), released: Semaphore::new(0) });
        let batcher = Batcher::new(limits, {
            let server = server.clone();
            move |calls: &[u32]| {
                let server = server.clone();
                async move {
                    server.statements.lock().unwrap().push(calls.to_vec());
                    server.released.acquire().await.unwrap().forget();
                    assert!(!calls.contains(&13), "unlucky");
                    Ok(calls.iter().map(|call| call * 10).collect())
                }
                .boxed()
            }
        });
        (batcher, server)
    }

    /// Begins a call, and waits until it is in a statement or in the queue.
    async fn begin(
        batcher: &Batcher<u32, u32>,
        call: u32,
    ) -> tokio::task::JoinHandle<Result<u32, BatcherError>> {
        let batcher = batcher.clone();
        let begun = tokio::spawn(async move { batcher.call(call).await });
        let_others_run().await;
        begun
    }

    async fn let_others_run() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_lone_call_starts_at_once_and_calls_that_arrive_meanwhile_share_a_statement() {
        let (batcher, server) = batcher(LIMITS);
        let mut calls = Vec::new();
        for call in 1..=5 {
            calls.push(begin(&batcher, call).await);
        }
        assert_eq!(server.statements(), [vec![1]]);
        server.release(3);
        let answers = join_all(calls).await.into_iter().map(|answer| answer.unwrap().unwrap());
        assert_eq!(answers.collect::<Vec<_>>(), [10, 20, 30, 40, 50]);
        assert_eq!(server.statements(), [vec![1], vec![2, 3, 4], vec![5]]);
        server.release(1);
        assert_eq!(begin(&batcher, 6).await.await.unwrap().unwrap(), 60);
    }

    #[tokio::test]
    async fn no_more_statements_than_allowed_are_in_flight() {
        let (batcher, server) = batcher(BatcherLimits { max_statements: 2, ..LIMITS });
        for call in 1..=4 {
            begin(&batcher, call).await;
        }
        assert_eq!(server.statements(), [vec![1], vec![2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_statement_does_not_delay_the_others() {
        let (batcher, server) = batcher(BatcherLimits { max_extra_statements: 1, ..LIMITS });
        let first = begin(&batcher, 1).await;
        let second = begin(&batcher, 2).await;
        assert_eq!(server.statements(), [vec![1]]);
        advance(SLOW).await;
        let_others_run().await;
        begin(&batcher, 3).await;
        assert_eq!(server.statements(), [vec![1], vec![2]]);
        // That is the extra one. No more are allowed, however slow both are.
        advance(SLOW * 2).await;
        let_others_run().await;
        begin(&batcher, 4).await;
        assert_eq!(server.statements(), [vec![1], vec![2]]);
        server.release(4);
        assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (10, 20));
        assert_eq!(begin(&batcher, 5).await.await.unwrap().unwrap(), 50);
        let state = batcher.0.state();
        assert_eq!((state.statements, state.slow, state.queue.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn a_call_beyond_the_queue_limit_is_refused_at_once() {
        let (batcher, server) = batcher(LIMITS);
        let mut calls = Vec::new();
        for call in 1..=5 {
            calls.push(begin(&batcher, call).await);
        }
        assert!(matches!(batcher.call(6).await, Err(BatcherError::Full)));
        server.release(3);
        for call in calls {
            assert!(call.await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn a_call_whose_caller_no_longer_waits_is_not_executed() {
        let (batcher, server) = batcher(LIMITS);
        let first = begin(&batcher, 1).await;
        let dropped = begin(&batcher, 2).await;
        let third = begin(&batcher, 3).await;
        // The statement of the first call is in flight, and continues.
        for call in [&first, &dropped] {
            call.abort();
        }
        assert!(first.await.is_err() && dropped.await.is_err());
        server.release(2);
        assert_eq!(third.await.unwrap().unwrap(), 30);
        assert_eq!(server.statements(), [vec![1], vec![3]]);
    }

    #[tokio::test]
    async fn a_statement_that_panics_does_not_fail_later_ones() {
        let (batcher, server) = batcher(LIMITS);
        let unlucky = begin(&batcher, 13).await;
        let next = begin(&batcher, 1).await;
        server.release(2);
        assert!(matches!(unlucky.await.unwrap(), Err(BatcherError::Abandoned)));
        assert_eq!(next.await.unwrap().unwrap(), 10);
    }
}
