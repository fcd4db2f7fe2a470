//! Many calls, few statements. What is called for while statements are under way waits, and goes
//! together in the next one; a lone call goes at once. There is no timer.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{FutureExt, future::BoxFuture};
use thiserror::Error;
use tokio::sync::oneshot;

/// How much is taken in at once.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Calls that may wait. Beyond that they are turned away.
    pub waiting: usize,
    /// Statements under way at once.
    pub statements: usize,
    /// Calls in one statement.
    pub calls: usize,
}

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum GroupError {
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
pub struct Group<C, A>(Arc<Inner<C, A>>);

struct Inner<C, A> {
    statement: Statement<C, A>,
    bounds: Bounds,
    state: Mutex<State<C, A>>,
}

struct State<C, A> {
    waiting: VecDeque<Waiting<C, A>>,
    /// Under way.
    statements: usize,
}

struct Waiting<C, A> {
    call: C,
    answer: Sender<A>,
}

impl<C, A> Clone for Group<C, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Send + Sync + 'static, A: Send + 'static> Group<C, A> {
    /// A group whose calls are carried out by `statement`. Where that fails by the fault of one call,
    /// it is tried with each alone: one must not take the others along.
    pub fn new<S>(bounds: Bounds, statement: S) -> Self
    where
        S: for<'a> Fn(&'a [C]) -> BoxFuture<'a, Result<Vec<A>, sqlx::Error>>
            + Send
            + Sync
            + 'static,
    {
        let state = Mutex::new(State { waiting: VecDeque::new(), statements: 0 });
        Self(Arc::new(Inner { statement: Box::new(statement), bounds, state }))
    }

    /// Waits for a call's answer. Must be called within a tokio runtime. A call that is dropped before
    /// its statement begins is not carried out; after that, it is.
    pub async fn call(&self, call: C) -> Result<A, GroupError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.0.state();
            if state.waiting.len() >= self.0.bounds.waiting {
                return Err(GroupError::Full);
            }
            state.waiting.push_back(Waiting { call, answer });
            if state.statements < self.0.bounds.statements {
                state.statements += 1;
                // A task of its own: whoever calls may go away, and the statement is others' too.
                tokio::spawn(self.0.clone().carry_out());
            }
        }
        match answered.await {
            Ok(answer) => answer.map_err(GroupError::Database),
            Err(_) => Err(GroupError::Abandoned),
        }
    }
}

impl<C: Send + Sync, A: Send> Inner<C, A> {
    fn state(&self) -> MutexGuard<'_, State<C, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One statement after the other, until nothing waits.
    async fn carry_out(self: Arc<Self>) {
        while let Some((calls, answers)) = self.next() {
            let answered = AssertUnwindSafe(self.answer(&calls, answers)).catch_unwind().await;
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
        while calls.len() < self.bounds.calls
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
    use tokio::{sync::Semaphore, task::yield_now};

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

    const BOUNDS: Bounds = Bounds { waiting: 4, statements: 1, calls: 3 };

    fn group(bounds: Bounds) -> (Group<u32, u32>, Arc<Server>) {
        let server = Arc::new(Server { statements: Mutex::default(), let_go: Semaphore::new(0) });
        let group = Group::new(bounds, {
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
        group: &Group<u32, u32>,
        call: u32,
    ) -> tokio::task::JoinHandle<Result<u32, GroupError>> {
        let group = group.clone();
        let begun = tokio::spawn(async move { group.call(call).await });
        for _ in 0..10 {
            yield_now().await;
        }
        begun
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
        let (group, server) = group(Bounds { statements: 2, ..BOUNDS });
        for call in 1..=4 {
            begin(&group, call).await;
        }
        assert_eq!(server.statements(), [vec![1], vec![2]]);
    }

    #[tokio::test]
    async fn what_is_too_much_is_turned_away_at_once() {
        let (group, server) = group(BOUNDS);
        let mut calls = Vec::new();
        for call in 1..=5 {
            calls.push(begin(&group, call).await);
        }
        assert!(matches!(group.call(6).await, Err(GroupError::Full)));
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
        assert!(matches!(unlucky.await.unwrap(), Err(GroupError::Abandoned)));
        assert_eq!(next.await.unwrap().unwrap(), 10);
    }
}
