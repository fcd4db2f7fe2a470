//! Two rivals over one transaction, in both orders, the first stopped wherever it can be.

use std::sync::Arc;

use crate::{
    action::{Move, Point, breaking, raises},
    breakpoints::bounded,
    fixture::{Scene, Start, Theatre},
    invariants,
    posting_service::{Look, Post},
};

/// Two rivals, and what each comes to: where the one comes first, and where the other does.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub start: Start,
    pub rivals: [Move; 2],
    pub one_first: [&'static str; 2],
    pub other_first: [&'static str; 2],
    /// Where the other comes while the one holds the row: as where the one comes first, unless that
    /// takes it more than one change.
    pub one_holds: [&'static str; 2],
}

impl Pair {
    pub const fn new(
        start: Start,
        rivals: [Move; 2],
        one_first: [&'static str; 2],
        other_first: [&'static str; 2],
    ) -> Self {
        Self { start, rivals, one_first, other_first, one_holds: one_first }
    }

    /// The one makes two changes, and the other comes between them.
    pub const fn in_between(self, one_holds: [&'static str; 2]) -> Self {
        Self { one_holds, ..self }
    }

    /// Rivals who come to the same in either order.
    pub const fn either(start: Start, rivals: [Move; 2], outcomes: [&'static str; 2]) -> Self {
        Self::new(start, rivals, outcomes, outcomes)
    }

    fn is_in_between(self) -> bool {
        self.one_holds != self.one_first
    }

    /// Where the first can be stopped: where it makes no change, before it locks anything at most.
    fn points(self) -> impl Iterator<Item = Point> {
        let points = self.rivals[0].points().iter().copied();
        points.filter(move |point| match (self.rivals[0], self.one_first[0]) {
            (_, "not permitted") => false,
            (_, "not due" | "taken over") => !point.holds,
            (Move::Settle, _) if self.start.is_claimed() => !point.holds,
            _ => true,
        })
    }

    fn reversed(self) -> Self {
        let [one, other] = self.rivals;
        let [[a, b], [c, d]] = [self.one_first, self.other_first];
        Self::new(self.start, [other, one], [d, c], [b, a])
    }
}

/// What becomes of the first rival at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It goes on.
    Released,
    /// What it is about is rolled back.
    RolledBack,
}

/// Every interleaving of every pair.
pub async fn all(pairs: impl IntoIterator<Item = Pair>) {
    let theatre = Theatre::new().await;
    for pair in pairs {
        let mut orders = vec![pair, pair.reversed()];
        if pair.rivals[0] == pair.rivals[1] {
            orders.pop();
        }
        for pair in orders {
            for point in pair.points() {
                interleave(&theatre, pair, point, Then::Released).await;
                if point.last {
                    interleave(&theatre, pair, point, Then::RolledBack).await;
                }
            }
        }
    }
}

async fn interleave(theatre: &Theatre, pair: Pair, point: Point, then: Then) {
    let context = format!("{pair:?}, the first stopped {:?} and {then:?}", point.at);
    let [first, second] = pair.rivals;
    let scene = scene(theatre, pair).await;
    let (fence, interventions) = (scene.fence().await, scene.interventions().await);
    let ends = scene.ends().await;
    invariants::check(&theatre.stage.pool, &format!("{context}: before")).await;

    let stop = theatre.stage.stop("first", point.at).await;
    let mut one = tokio::spawn({
        let scene = scene.clone();
        async move { first.make(&scene, 0).await }
    });
    tokio::select! {
        () = stop.reached() => {}
        outcome = &mut one => panic!("{context}: it did not come to the point: {outcome:?}"),
    }
    let mut other = tokio::spawn({
        let scene = scene.clone();
        async move { second.make(&scene, 1).await }
    });
    let early = tokio::select! {
        () = theatre.stage.blocked("second") => None,
        outcome = &mut other => Some(outcome.unwrap()),
    };
    invariants::check(&theatre.stage.pool, &format!("{context}: half-way")).await;
    match then {
        Then::Released => stop.release().await,
        Then::RolledBack => stop.roll_back().await,
    }
    let other = match early {
        Some(outcome) => outcome,
        None => bounded(&context, other).await.unwrap(),
    };
    if pair.is_in_between() {
        scene.actors[0].clerk.open();
    }
    let one = bounded(&context, one).await.unwrap();

    let [expected_one, expected_other] = match (then, point.holds) {
        (Then::Released, true) => pair.one_holds,
        (Then::Released, false) => pair.other_first,
        (Then::RolledBack, _) if first.persists() => [one, pair.other_first[1]],
        (Then::RolledBack, _) => ["broken", pair.other_first[1]],
    };
    assert_eq!([one, other], [expected_one, expected_other], "{context}");
    let done = [one, other].iter().filter(|outcome| **outcome == "done").count();
    assert_eq!(scene.fence().await - fence, raises(one) + raises(other), "{context}: the fence");
    assert_eq!(scene.interventions().await - interventions, done as i64, "{context}: the record");
    assert!(scene.ends().await.starts_with(&ends), "{context}: how an attempt ended is changed");
    invariants::check(&theatre.stage.pool, &context).await;
    scene.end(&context).await;
    scene.forget().await;
}

async fn scene(theatre: &Theatre, pair: Pair) -> Arc<Scene> {
    let position = |wanted: Move| pair.rivals.iter().position(|rival| *rival == wanted);
    let stale = pair.one_first.iter().position(|outcome| *outcome == "taken over");
    let holder = match pair.start {
        Start::Overtaken => stale.unwrap(),
        _ => position(Move::Finish).unwrap_or_default(),
    };
    let mut scene = Scene::new(theatre, pair.start, holder).await;
    for (rival, actor) in pair.rivals.iter().zip(&scene.actors) {
        if *rival == Move::Turn {
            actor.clerk.posts([Post::Broken]);
            actor.clerk.looks([Look::Failed]);
        }
    }
    if pair.is_in_between() {
        // Between the two changes of a turn is its verification.
        scene.actors[0].clerk.look.close();
    }
    if position(Move::Recover).is_some() {
        scene.expire(scene.actors[holder].run).await;
    }
    if let Some(number) = position(Move::GiveBack) {
        scene.breaking = Some(breaking(theatre, number).await);
    }
    Arc::new(scene)
}
