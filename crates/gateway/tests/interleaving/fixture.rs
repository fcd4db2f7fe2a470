//! One transaction, brought to where two rivals meet over it, and afterwards to its end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{Intervention, Principal, backoff::Backoff, protocol::Policy};
use gateway::{EngineError, Gate, Gateway, Poster, Purpose, Turn};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    breakpoints::{Stage, bounded},
    drive,
    posting_service::{Clerk, Ledger, Look, Post},
    support::{self, LIMITS, POLICY},
};

/// Where the transaction stands when the rivals come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Submitted.
    Due,
    /// Put off: due within the next hour.
    Later,
    /// Pending, with an attempt of which nobody knows whether it arrived, and due.
    Doubtful,
    /// In doubt, with no attempts left, and due.
    InDoubt,
    /// Refused by the posting service.
    Failed,
    /// Claimed by a run that is dead, with an attempt under way.
    Orphaned,
    /// Taken back from the holder, whose POST is still under way, and claimed to be verified by the
    /// other.
    Overtaken,
    /// Claimed, with a POST under way that will end so.
    Posting(Post),
    /// The same, after an attempt that is proven not to have arrived.
    PostingAgain(Post),
    /// After a POST that broke, with a verification under way that will show this.
    Checking(Post, Look),
    /// [`Start::Doubtful`], claimed, with a verification under way that will show this.
    Asking(Post, Look),
    /// [`Start::InDoubt`], claimed, with a verification under way that will show this.
    AskingInDoubt(Post, Look),
}

impl Start {
    pub fn is_claimed(self) -> bool {
        use Start::{Doubtful, Due, Failed, InDoubt, Later};
        !matches!(self, Due | Later | Doubtful | InDoubt | Failed)
    }

    fn policy(self) -> Policy {
        let max_attempts = match self {
            Self::InDoubt | Self::AskingInDoubt(..) => 1,
            _ => 3,
        };
        // Nothing waits for chance.
        let none = Backoff { base: Duration::from_secs(3600), max: Duration::from_secs(3600) };
        Policy { max_attempts, backoff: none, ..POLICY }
    }
}

/// A session of PostgreSQL, and the engine on it.
pub struct Session {
    pub pool: PgPool,
    pub gateway: Gateway,
}

/// The sessions of one test.
pub struct Theatre {
    pub stage: Stage,
    pub sessions: [Arc<Session>; 2],
    pub own: Arc<Session>,
}

impl Theatre {
    pub async fn new() -> Self {
        let stage = Stage::new(support::database().await).await;
        let session = |name| {
            let pool = stage.connections(name, 1);
            Arc::new(Session { gateway: support::gateway(&pool), pool })
        };
        let own =
            Arc::new(Session { gateway: support::gateway(&stage.pool), pool: stage.pool.clone() });
        Self { sessions: [session("first"), session("second")], own, stage }
    }
}

/// One who works on the transaction, over a session of his own and under a lease of his own.
pub struct Actor {
    pub session: Arc<Session>,
    pub clerk: Arc<Clerk>,
    pub run: Uuid,
    pub poster: Arc<Poster>,
    /// Lets nothing through.
    pub idle_poster: Poster,
    pub turn: Mutex<Option<JoinHandle<Result<Turn, EngineError>>>>,
}

impl Actor {
    async fn new(
        session: &Arc<Session>,
        ledger: &Arc<Ledger>,
        policy: Policy,
        own: &PgPool,
    ) -> Self {
        let (run, clerk) = (Uuid::now_v7(), Clerk::new(ledger));
        sqlx::query("insert into workers (id, expires_at) values ($1, now() + interval '1 hour')")
            .bind(run)
            .execute(own)
            .await
            .unwrap();
        let poster = |closing: CancellationToken| {
            let gate = Arc::new(Gate::new(LIMITS, closing));
            Poster::new(session.pool.clone(), clerk.clone(), gate, policy, run)
        };
        let closed = CancellationToken::new();
        closed.cancel();
        Self {
            session: session.clone(),
            run,
            poster: Arc::new(poster(CancellationToken::new())),
            idle_poster: poster(closed),
            clerk,
            turn: Mutex::default(),
        }
    }

    /// Begins a turn, and gives how it ended, unless it stands before a door.
    pub async fn begin(&self, id: Uuid, purpose: Purpose) -> Option<Result<Turn, EngineError>> {
        let door = match purpose {
            Purpose::Post => &self.clerk.post,
            Purpose::Verify => &self.clerk.look,
        };
        door.close();
        let poster = self.poster.clone();
        let mut turn = tokio::spawn(async move { poster.process(id, purpose, ()).await });
        let ended = tokio::select! {
            () = door.reached() => None,
            ended = &mut turn => Some(ended.unwrap()),
        };
        if ended.is_none() {
            *self.turn.lock().unwrap() = Some(turn);
        }
        ended
    }

    /// Opens the doors that the turn stands before, and gives how it ended.
    pub async fn finish(&self) -> Option<Result<Turn, EngineError>> {
        self.clerk.open_reached();
        let turn = self.turn.lock().unwrap().take();
        match turn {
            Some(turn) => Some(bounded("the end of a turn", turn).await.unwrap()),
            None => None,
        }
    }
}

/// One transaction and those who work on it.
pub struct Scene {
    pub id: Uuid,
    pub policy: Policy,
    pub ledger: Arc<Ledger>,
    pub actors: [Actor; 2],
    /// Connections that break; see [`crate::action::Move::GiveBack`].
    pub breaking: Option<PgPool>,
    own: Actor,
    pool: PgPool,
}

impl Scene {
    /// A new transaction, at its start. What is under way there is `holder`'s.
    pub async fn new(theatre: &Theatre, start: Start, holder: usize) -> Self {
        let (ledger, policy) = (Ledger::new(), start.policy());
        let pool = theatre.stage.pool.clone();
        let actor = async |session| Actor::new(session, &ledger, policy, &pool).await;
        let [first, second] = &theatre.sessions;
        let scene = Self {
            id: drive::stored(&theatre.own.gateway).await,
            actors: [actor(first).await, actor(second).await],
            own: actor(&theatre.own).await,
            policy,
            ledger: ledger.clone(),
            breaking: None,
            pool: pool.clone(),
        };
        scene.reach(start, &scene.actors[holder], &scene.actors[1 - holder]).await;
        scene
    }

    async fn reach(&self, start: Start, holder: &Actor, other: &Actor) {
        let own = &self.own;
        match start {
            Start::Due => {}
            Start::Later => {
                own.clerk.posts([Post::NotWritten]);
                self.turn(Purpose::Post).await;
            }
            Start::Doubtful | Start::InDoubt => self.doubt(Post::Broken).await,
            Start::Failed => {
                own.clerk.posts([Post::Refused]);
                self.turn(Purpose::Post).await;
            }
            Start::Orphaned => {
                assert!(own.begin(self.id, Purpose::Post).await.is_none());
                let turn = own.turn.lock().unwrap().take().unwrap();
                turn.abort();
                let _ = turn.await;
                own.clerk.open();
                self.expire(own.run).await;
            }
            Start::Overtaken => {
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
                self.expire(holder.run).await;
                assert_eq!(gateway::recover(&self.pool, &self.policy).await.unwrap(), 1);
                assert!(other.begin(self.id, Purpose::Verify).await.is_none());
            }
            Start::Posting(post) => {
                holder.clerk.posts([post]);
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
            }
            Start::PostingAgain(post) => {
                self.doubt(Post::Broken).await;
                self.turn(Purpose::Verify).await;
                drive::let_pass(&self.pool, self.id).await;
                holder.clerk.posts([post]);
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
            }
            Start::Checking(post, look) => {
                holder.clerk.posts([post]);
                holder.clerk.looks([look]);
                holder.clerk.look.close();
                assert!(holder.begin(self.id, Purpose::Post).await.is_none());
                holder.clerk.post.open();
                holder.clerk.look.reached().await;
            }
            Start::Asking(post, look) | Start::AskingInDoubt(post, look) => {
                self.doubt(post).await;
                holder.clerk.looks([look]);
                assert!(holder.begin(self.id, Purpose::Verify).await.is_none());
            }
        }
    }

    async fn doubt(&self, post: Post) {
        self.own.clerk.posts([post]);
        self.own.clerk.looks([Look::Failed]);
        self.turn(Purpose::Post).await;
        drive::let_pass(&self.pool, self.id).await;
    }

    async fn turn(&self, purpose: Purpose) {
        let turn = self.own.poster.process(self.id, purpose, ()).await.unwrap();
        assert!(matches!(turn, Turn::Took(_)), "{turn:?}");
    }

    /// The lease of this run has run out.
    pub async fn expire(&self, run: Uuid) {
        drive::expire(&self.pool, run).await;
    }

    pub async fn fence(&self) -> i64 {
        let query =
            sqlx::query_scalar("select fence from transactions where id = $1").bind(self.id);
        query.fetch_one(&self.pool).await.unwrap()
    }

    pub async fn interventions(&self) -> i64 {
        let text = "select count(*) from interventions where transaction_id = $1";
        sqlx::query_scalar(text).bind(self.id).fetch_one(&self.pool).await.unwrap()
    }

    /// How the attempts that have ended did so: for each its fence, and what was recorded then. What a
    /// later verification finds is not among it.
    pub async fn ends(&self) -> Vec<(i64, String)> {
        let text =
            "select fence, concat_ws(' ', ended_at, http_status, transport_error, answer_excerpt)
            from attempts where transaction_id = $1 and ended_at is not null order by fence";
        sqlx::query_as(text).bind(self.id).fetch_all(&self.pool).await.unwrap()
    }

    /// Ends what is under way and takes the transaction to its end, which must be one that is allowed.
    pub async fn end(&self, context: &str) {
        for actor in self.actors.iter().chain([&self.own]) {
            actor.clerk.open();
            let _ = actor.finish().await;
            self.expire(actor.run).await;
        }
        gateway::recover(&self.pool, &self.policy).await.unwrap();
        drive::to_its_end(&self.pool, &self.own.poster, &self.ledger, self.id, context).await;
    }

    /// Removes it, so that those after it need not be looked through with it.
    pub async fn forget(&self) {
        let query = sqlx::query("delete from transactions where id = $1").bind(self.id);
        query.execute(&self.pool).await.unwrap();
    }

    /// Does what a person does.
    pub async fn intervene(&self, actor: usize, intervention: Intervention) -> &'static str {
        use gateway::InterventionError::{Changing, Engine, NoSuchTransaction, NotPermitted};
        let gateway = &self.actors[actor].session.gateway;
        match gateway.intervene(&Principal::anonymous(), self.id, intervention, None).await {
            Ok(_) => "done",
            Err(NotPermitted(_)) => "not permitted",
            Err(Changing) => "changing",
            Err(NoSuchTransaction) => "not there",
            Err(Engine(_)) => "broken",
        }
    }
}
