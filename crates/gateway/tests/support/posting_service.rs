//! A posting service that keeps a ledger, with barriers at which a request can be stopped.
#![allow(dead_code)]

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use domain::{AnswerBody, Ending, Finding};
use futures::future::BoxFuture;
use gateway::{BootInstant, LookupAnswer, PostAnswer, PostingRequest, PostingService};
use tokio::sync::watch;
use uuid::Uuid;

/// The POSTs that arrived and the entries that were made. Every entry is a posting: two for one id
/// are a duplicate.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<HashMap<Uuid, usize>>,
    posts: Mutex<HashMap<Uuid, usize>>,
}

impl Ledger {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The number of entries with this id.
    pub fn entries(&self, id: Uuid) -> usize {
        self.entries.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    /// Adds an entry, as when a delayed request arrives.
    pub fn enter(&self, id: Uuid) {
        *self.entries.lock().unwrap().entry(id).or_default() += 1;
    }

    /// The number of POSTs with this id that arrived.
    pub fn posts(&self, id: Uuid) -> usize {
        self.posts.lock().unwrap().get(&id).copied().unwrap_or_default()
    }
}

/// How a POST ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    /// It is entered and answered with 201.
    Entered,
    /// It is answered with 422.
    Refused,
    /// It is entered, then the connection breaks.
    EnteredThenBroken,
    /// The connection breaks before it is entered.
    Broken,
    /// No connection is made.
    NotWritten,
    /// The client panics, before anything is sent.
    Panic,
    /// It is entered, then the client panics.
    EnteredThenPanic,
}

/// How a verification ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// It finds what is in the ledger.
    Honest,
    /// It finds a different entry under the id.
    Mismatch,
    /// It fails.
    Failed,
    /// The client panics.
    Panic,
}

/// A point at which requests can be stopped.
#[derive(Default)]
pub struct Barrier {
    closed: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Barrier {
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    pub fn open(&self) {
        self.closed.send_replace(false);
    }

    /// Waits until a request is stopped here.
    pub async fn reached(&self) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    async fn pass(&self) {
        /// Decrements the count even when the request is dropped.
        struct Waiting<'a>(&'a watch::Sender<usize>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.send_modify(|waiting| *waiting -= 1);
            }
        }
        let mut closed = self.closed.subscribe();
        if !*closed.borrow() {
            return;
        }
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _waiting = Waiting(&self.waiting);
        closed.wait_for(|closed| !closed).await.unwrap();
    }
}

/// A client of the ledger, with scripted failures and barriers.
pub struct LedgerClient {
    ledger: Arc<Ledger>,
    posts: Mutex<VecDeque<Post>>,
    verifications: Mutex<VecDeque<Verification>>,
    poisoned: Mutex<HashSet<Uuid>>,
    /// Before a POST is entered.
    pub before_post: Barrier,
    /// After a POST is entered, before it is answered.
    pub before_answer: Barrier,
    /// Before a verification reads the ledger.
    pub before_verification: Barrier,
}

impl LedgerClient {
    pub fn new(ledger: &Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            ledger: ledger.clone(),
            posts: Mutex::default(),
            verifications: Mutex::default(),
            poisoned: Mutex::default(),
            before_post: Barrier::default(),
            before_answer: Barrier::default(),
            before_verification: Barrier::default(),
        })
    }

    /// Scripts the next POSTs; later ones are entered.
    pub fn script_posts(&self, posts: impl IntoIterator<Item = Post>) {
        self.posts.lock().unwrap().extend(posts);
    }

    /// Scripts the next verifications; later ones are honest.
    pub fn script_verifications(&self, verifications: impl IntoIterator<Item = Verification>) {
        self.verifications.lock().unwrap().extend(verifications);
    }

    /// Opens the barriers at which a request is stopped.
    pub fn open_reached(&self) {
        for barrier in [&self.before_post, &self.before_answer, &self.before_verification] {
            if *barrier.waiting.borrow() > 0 {
                barrier.open();
            }
        }
    }

    /// Opens all barriers.
    pub fn open(&self) {
        for barrier in [&self.before_post, &self.before_answer, &self.before_verification] {
            barrier.open();
        }
    }

    /// Every request about this transaction panics.
    pub fn poison(&self, id: Uuid) {
        self.poisoned.lock().unwrap().insert(id);
    }

    pub fn clear_poison(&self) {
        self.poisoned.lock().unwrap().clear();
    }

    fn panic_if_poisoned(&self, id: Uuid) {
        let poisoned = self.poisoned.lock().unwrap().contains(&id);
        assert!(!poisoned, "a request about a poisoned transaction");
    }
}

impl PostingService for LedgerClient {
    fn post<'a>(
        &'a self,
        posting: &'a PostingRequest,
        send_deadline: BootInstant,
    ) -> BoxFuture<'a, PostAnswer> {
        Box::pin(async move {
            let text = |text: &str| Some(text.to_owned());
            let not_written =
                PostAnswer::without_answer(Ending::NotWritten, "no connection".to_owned());
            if BootInstant::now() >= send_deadline {
                return not_written;
            }
            self.panic_if_poisoned(posting.id);
            *self.ledger.posts.lock().unwrap().entry(posting.id).or_default() += 1;
            self.before_post.pass().await;
            let post = self.posts.lock().unwrap().pop_front().unwrap_or(Post::Entered);
            if matches!(post, Post::Entered | Post::EnteredThenBroken | Post::EnteredThenPanic) {
                self.ledger.enter(posting.id);
            }
            self.before_answer.pass().await;
            let answered = |status| PostAnswer {
                ending: Ending::Answered { status, body: AnswerBody::Agrees, retry_after: None },
                transport_error: None,
                excerpt: text("what it said"),
                credentials_renewed: false,
            };
            match post {
                Post::Entered => answered(201),
                Post::Refused => answered(422),
                Post::EnteredThenBroken | Post::Broken => {
                    PostAnswer::without_answer(Ending::Broken, "the connection broke".to_owned())
                }
                Post::NotWritten => not_written,
                Post::Panic | Post::EnteredThenPanic => panic!("a POST that panics by the script"),
            }
        })
    }

    fn verify<'a>(&'a self, posting: &'a PostingRequest) -> BoxFuture<'a, LookupAnswer> {
        Box::pin(async move {
            self.panic_if_poisoned(posting.id);
            self.before_verification.pass().await;
            let verification =
                self.verifications.lock().unwrap().pop_front().unwrap_or(Verification::Honest);
            let finding = match verification {
                Verification::Honest if self.ledger.entries(posting.id) > 0 => Finding::Found,
                Verification::Honest => Finding::Absent,
                Verification::Mismatch => Finding::Mismatch,
                Verification::Failed => Finding::Failed,
                Verification::Panic => panic!("a verification that panics by the script"),
            };
            let error = (finding == Finding::Failed).then(|| "answered 500".to_owned());
            LookupAnswer { finding, error, ..LookupAnswer::failed(String::new()) }
        })
    }
}
