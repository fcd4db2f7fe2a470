//! Many calls, few statements. What is called for while statements are under way waits, and goes
//! together in the next one; a lone call goes at once. No timer holds anything back: it only lets a further
//! statement begin where one takes long.

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

/// A statement that takes longer is not counted among those that are under way at once.
const LONG: Duration = Duration::from_millis(50);

/// How much is taken in at once.
#[derive(Debug, Clone, Copy)]
pub struct BatcherLimits {
    /// Calls that may wait. Beyond that they are turned away.
    pub waiting: usize,
    /// Statements under way at once. The fewer, the more go together, and the less each call costs.
    pub statements: usize,
    /// Further ones, for as long as some take longer than [`LONG`]: one that waits for a lock, or for
    /// PostgreSQL, does not hold up the rest.
    pub further: usize,
    /// Calls in one statement.
    pub calls: usize,
}

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum BatcherError {
    /// Too many are waiting.
    #[error("too many calls are waiting")]
    Full,
    /// PostgreSQL answered with an error, or its answer was lost.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
    /// The statement's task panicked.
    #[error("a statement was abandoned")]
    Abandoned,
}

/// Where a call's answer goes.
type Sender<A> = oneshot::Sender<Result<A, Arc<sqlx::Error>>>;

/// Carries out a statement for these calls, and gives an answer for each, in their order.
type Statement<C, A> =
    Box<dyn for<'a> Fn(&'a [C]) -> BoxFuture<'a, Result<Vec<A>, sqlx::Error>> + Send + Sync>;

/// Gathers calls of one kind. Cheap to clone.
pub struct Batcher<C, A>(Arc<Inner<C, A>>);

struct Inner<C, A> {
    statement: Statement<C, A>,
    bounds: BatcherLimits,
    state: Mutex<State<C, A>>,
}

struct State<C, A> {
    waiting: VecDeque<Waiting<C, A>>,
    /// Under way.
    statements: usize,
    /// Those of them that take long.
    long: usize,
}

struct Waiting<C, A> {
    call: C,
    answer: Sender<A>,
}

impl<C, A> Clone for Batcher<C, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Send + Sync + 'static, A: Send + 'static> Batcher<C, A> {
    /// A group whose calls are carried out by `statement`. Where that fails by the fault of one call,
    /// it is tried with each alone: one must not take the others along.
    pub fn new<S>(bounds: BatcherLimits, statement: S) -> Self
    where
        S: for<'a> Fn(&'a [C]) -> BoxFuture<'a, Result<Vec<A>, sqlx::Error>>
            + Send
            + Sync
            + 'static,
    {
        let state = Mutex::new(State { waiting: VecDeque::new(), statements: 0, long: 0 });
        Self(Arc::new(Inner { statement: Box::new(statement), bounds, state }))
    }

    /// Waits for a call's answer. Must be called within a tokio runtime. A call that is dropped before
    /// its statement begins is not carried out; after that, it is.
    pub async fn call(&self, call: C) -> Result<A, BatcherError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.0.state();
            if state.waiting.len() >= self.0.bounds.waiting {
                return Err(BatcherError::Full);
            }
            state.waiting.push_back(Waiting { call, answer });
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

    /// Statements that may be under way now.
    fn allowed(&self, state: &State<C, A>) -> usize {
        self.bounds.statements + state.long.min(self.bounds.further)
    }

    /// Begins a statement where something waits, and one more may be under way.
    fn begin(self: &Arc<Self>, state: &mut State<C, A>) {
        if !state.waiting.is_empty() && state.statements < self.allowed(state) {
            state.statements += 1;
            // A task of its own: whoever calls may go away, and the statement is others' too.
            tokio::spawn(self.clone().carry_out());
        }
    }

    /// One statement after the other, until nothing waits.
    async fn carry_out(self: Arc<Self>) {
        // What is about to call has come at the same moment, and is not to wait for a round trip.
        yield_now().await;
        while let Some((calls, answers)) = self.next() {
            let mut answered = pin!(AssertUnwindSafe(self.answer(&calls, answers)).catch_unwind());
            let answered = match timeout(LONG, &mut answered).await {
                Ok(answered) => answered,
                Err(_) => {
                    {
                        let mut state = self.state();
                        state.long += 1;
                        self.begin(&mut state);
                    }
                    let answered = answered.await;
                    self.state().long -= 1;
                    answered
                }
            };
            if answered.is_err() {
                tracing::error!("a statement panicked");
            }
        }
    }

    /// What the next statement is for; `None` where nothing waits, and then one statement less is
    /// under way.
    fn next(&self) -> Option<(Vec<C>, Vec<Sender<A>>)> {
        let mut state = self.state();
        let (mut calls, mut answers) = (Vec::new(), Vec::new());
        let is_one_too_many = state.statements > self.allowed(&state);
        while !is_one_too_many
            && calls.len() < self.bounds.calls
            && let Some(waiting) = state.waiting.pop_front()
        {
            // Nobody is served by what its caller does not wait for any more.
            if !waiting.answer.is_closed() {
                calls.push(waiting.call);
                answers.push(waiting.answer);
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
            Err(error) if calls.len() > 1 && is_of_one_row(&error) => {
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
fn is_of_one_row(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["22", "23", "40"].iter().any(|class| code.starts_with(class)))
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tokio::{sync::Semaphore, time::advance};

    use super::*;

    /// Statements that wait until they are let go, and what each was for.
    struct Server {
        statements: Mutex<Vec<Vec<u32>>>,
        let_go: Semaphore,
    }

    impl Server {
        fn statements(&self) -> Vec<Vec<u32>> {
            self.statements.lock().unwrap().clone()
        }

        fn let_go(&self, statements: usize) {
            self.let_go.add_permits(statements);
        }
    }

    const BOUNDS: BatcherLimits = BatcherLimits { waiting: 4, statements: 1, further: 0, calls: 3 };

    fn group(bounds: BatcherLimits) -> (Batcher<u32, u32>, Arc<Server>) {
        let server = Arc::new(Server { statements: Mutex::default(), let_go: Semaphore::new(0) });
        let group = Batcher::new(bounds, {
            let server = server.clone();
            move |calls: &[u32]| {
                let server = server.clone();
                async move {
                    server.statements.lock().unwrap().push(calls.to_vec());
                    server.let_go.acquire().await.unwrap().forget();
                    assert!(!calls.contains(&13), "unlucky");
                    Ok(calls.iter().map(|call| call * 10).collect())
                }
                .boxed()
            }
        });
        (group, server)
    }

    /// Calls, and waits until it has come to a statement or waits for one.
    async fn begin(
        group: &Batcher<u32, u32>,
        call: u32,
    ) -> tokio::task::JoinHandle<Result<u32, BatcherError>> {
        let group = group.clone();
        let begun = tokio::spawn(async move { group.call(call).await });
        others_go_on().await;
        begun
    }

    async fn others_go_on() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_lone_call_goes_at_once_and_what_comes_meanwhile_goes_together() {
        let (group, server) = group(BOUNDS);
        let mut calls = Vec::new();
        for call in 1..=5 {
            calls.push(begin(&group, call).await);
        }
        assert_eq!(server.statements(), [vec![1]]);
        server.let_go(3);
        let answers = join_all(calls).await.into_iter().map(|answer| answer.unwrap().unwrap());
        assert_eq!(answers.collect::<Vec<_>>(), [10, 20, 30, 40, 50]);
        assert_eq!(server.statements(), [vec![1], vec![2, 3, 4], vec![5]]);
        server.let_go(1);
        assert_eq!(begin(&group, 6).await.await.unwrap().unwrap(), 60);
    }

    #[tokio::test]
    async fn no_more_statements_than_allowed_are_under_way() {
        let (group, server) = group(BatcherLimits { statements: 2, ..BOUNDS });
        for call in 1..=4 {
            begin(&group, call).await;
        }
        assert_eq!(server.statements(), [vec![1], vec![2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_long_does_not_hold_up_the_rest() {
        let (group, server) = group(BatcherLimits { further: 1, ..BOUNDS });
        let first = begin(&group, 1).await;
        let second = begin(&group, 2).await;
        assert_eq!(server.statements(), [vec![1]]);
        advance(LONG).await;
        others_go_on().await;
        begin(&group, 3).await;
        assert_eq!(server.statements(), [vec![1], vec![2]]);
        // That is the further one: no more, however long both take.
        advance(LONG * 2).await;
        others_go_on().await;
        begin(&group, 4).await;
        assert_eq!(server.statements(), [vec![1], vec![2]]);
        server.let_go(4);
        assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (10, 20));
        assert_eq!(begin(&group, 5).await.await.unwrap().unwrap(), 50);
        let state = group.0.state();
        assert_eq!((state.statements, state.long, state.waiting.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn what_is_too_much_is_turned_away_at_once() {
        let (group, server) = group(BOUNDS);
        let mut calls = Vec::new();
        for call in 1..=5 {
            calls.push(begin(&group, call).await);
        }
        assert!(matches!(group.call(6).await, Err(BatcherError::Full)));
        server.let_go(3);
        for call in calls {
            assert!(call.await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_carried_out() {
        let (group, server) = group(BOUNDS);
        let first = begin(&group, 1).await;
        let dropped = begin(&group, 2).await;
        let third = begin(&group, 3).await;
        // The first one's statement is under way: it goes on.
        for call in [&first, &dropped] {
            call.abort();
        }
        assert!(first.await.is_err() && dropped.await.is_err());
        server.let_go(2);
        assert_eq!(third.await.unwrap().unwrap(), 30);
        assert_eq!(server.statements(), [vec![1], vec![3]]);
    }

    #[tokio::test]
    async fn a_statement_that_panics_takes_none_of_the_later_ones_along() {
        let (group, server) = group(BOUNDS);
        let unlucky = begin(&group, 13).await;
        let next = begin(&group, 1).await;
        server.let_go(2);
        assert!(matches!(unlucky.await.unwrap(), Err(BatcherError::Abandoned)));
        assert_eq!(next.await.unwrap().unwrap(), 10);
    }
}
