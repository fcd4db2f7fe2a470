//! A posting service that keeps a ledger, and has doors at which a request can be stopped.
#![allow(dead_code)]

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use domain::{Ending, Finding};
use futures::future::BoxFuture;
use gateway::{Answer, BootInstant, Posting, PostingService, Sighting};
use tokio::sync::watch;
use uuid::Uuid;

/// What has been asked for, and what has been entered. Every entry is a posting: two for one id are a
/// duplicate.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<HashMap<Uuid, usize>>,
    posts: Mutex<HashMap<Uuid, usize>>,
}

impl Ledger {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Entries of this id.
    pub fn entries(&self, id: Uuid) -> usize {
        self.entries.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    /// A request that was on its way for long arrives.
    pub fn enter(&self, id: Uuid) {
        *self.entries.lock().unwrap().entry(id).or_default() += 1;
    }

    /// POSTs of this id that have arrived.
    pub fn posts(&self, id: Uuid) -> usize {
        self.posts.lock().unwrap().get(&id).copied().unwrap_or_default()
    }
}

/// What becomes of a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    /// It is entered, and answered with 201.
    Entered,
    /// It is answered with 422.
    Refused,
    /// It is entered, and the connection breaks.
    EnteredThenBroken,
    /// The connection breaks.
    Broken,
    /// There is no connection.
    NotWritten,
    /// The client panics, before anything is sent.
    Panic,
    /// It is entered, and the client panics.
    EnteredThenPanic,
}

/// What becomes of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It shows what is in the ledger.
    Honest,
    /// It shows something else under the id.
    Mismatch,
    /// It fails.
    Failed,
    /// The client panics.
    Panic,
}

/// Where a request can be stopped.
#[derive(Default)]
pub struct Door {
    closed: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Door {
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    pub fn open(&self) {
        self.closed.send_replace(false);
    }

    /// Waits until a request stands before the door.
    pub async fn reached(&self) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    async fn pass(&self) {
        /// Gone too where the request is dropped.
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

/// One way to the ledger: what goes wrong on it, and its doors.
pub struct Clerk {
    ledger: Arc<Ledger>,
    posts: Mutex<VecDeque<Post>>,
    looks: Mutex<VecDeque<Look>>,
    cursed: Mutex<HashSet<Uuid>>,
    /// Before a POST is entered.
    pub post: Door,
    /// After it is entered, before it is answered.
    pub answer: Door,
    /// Before the ledger is looked at.
    pub look: Door,
}

impl Clerk {
    pub fn new(ledger: &Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            ledger: ledger.clone(),
            posts: Mutex::default(),
            looks: Mutex::default(),
            cursed: Mutex::default(),
            post: Door::default(),
            answer: Door::default(),
            look: Door::default(),
        })
    }

    /// What becomes of the next POSTs; those after them are entered.
    pub fn posts(&self, posts: impl IntoIterator<Item = Post>) {
        self.posts.lock().unwrap().extend(posts);
    }

    /// What becomes of the next verifications; those after them are honest.
    pub fn looks(&self, looks: impl IntoIterator<Item = Look>) {
        self.looks.lock().unwrap().extend(looks);
    }

    /// Opens the doors before which a request stands.
    pub fn open_reached(&self) {
        for door in [&self.post, &self.answer, &self.look] {
            if *door.waiting.borrow() > 0 {
                door.open();
            }
        }
    }

    /// Opens all doors.
    pub fn open(&self) {
        for door in [&self.post, &self.answer, &self.look] {
            door.open();
        }
    }

    /// Whoever works on this transaction panics.
    pub fn curse(&self, id: Uuid) {
        self.cursed.lock().unwrap().insert(id);
    }

    /// As if nothing had been.
    pub fn lift_curses(&self) {
        self.cursed.lock().unwrap().clear();
    }

    fn bear(&self, id: Uuid) {
        let cursed = self.cursed.lock().unwrap().contains(&id);
        assert!(!cursed, "a request of a transaction that is cursed");
    }
}

impl PostingService for Clerk {
    fn post<'a>(
        &'a self,
        posting: &'a Posting,
        leaves_before: BootInstant,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let text = |text: &str| Some(text.to_owned());
            let not_written = Answer {
                ending: Ending::NotWritten,
                transport_error: text("no connection"),
                excerpt: None,
            };
            if BootInstant::now() >= leaves_before {
                return not_written;
            }
            self.bear(posting.id);
            *self.ledger.posts.lock().unwrap().entry(posting.id).or_default() += 1;
            self.post.pass().await;
            let post = self.posts.lock().unwrap().pop_front().unwrap_or(Post::Entered);
            if matches!(post, Post::Entered | Post::EnteredThenBroken | Post::EnteredThenPanic) {
                self.ledger.enter(posting.id);
            }
            self.answer.pass().await;
            let answered = |status| Answer {
                ending: Ending::Answered { status, readable: true, retry_after: None },
                transport_error: None,
                excerpt: text("what it said"),
            };
            match post {
                Post::Entered => answered(201),
                Post::Refused => answered(422),
                Post::EnteredThenBroken | Post::Broken => Answer {
                    ending: Ending::Broken,
                    transport_error: text("the connection broke"),
                    excerpt: None,
                },
                Post::NotWritten => not_written,
                Post::Panic | Post::EnteredThenPanic => panic!("a POST that the script lets panic"),
            }
        })
    }

    fn verify<'a>(&'a self, posting: &'a Posting) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            self.bear(posting.id);
            self.look.pass().await;
            let look = self.looks.lock().unwrap().pop_front().unwrap_or(Look::Honest);
            let finding = match look {
                Look::Honest if self.ledger.entries(posting.id) > 0 => Finding::Found,
                Look::Honest => Finding::Absent,
                Look::Mismatch => Finding::Mismatch,
                Look::Failed => Finding::Failed,
                Look::Panic => panic!("a verification that the script lets panic"),
            };
            let error = (finding == Finding::Failed).then(|| "answered 500".to_owned());
            Sighting { finding, http_status: None, error, retry_after: None }
        })
    }
}
