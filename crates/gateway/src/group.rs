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
