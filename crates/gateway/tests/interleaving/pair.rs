//! Two contenders for one transaction, in both orders, the first stopped at every point at which it
//! can be.

use std::sync::Arc;

use crate::{
    action::{Action, Point, breaking, raises},
    breakpoints::bounded,
    fixture::{Fixture, Start, TestDatabase},
    invariants,
    posting_service::{Post, Verification},
};

/// Two actions and the outcome of each, for either order.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub start: Start,
    pub actions: [Action; 2],
    pub one_first: [&'static str; 2],
    pub other_first: [&'static str; 2],
    /// When the other comes while the one holds the row. The same as when the one comes first,
    /// unless the one makes more than one change.
    pub one_holds: [&'static str; 2],
}

impl Pair {
    pub const fn new(
        start: Start,
        actions: [Action; 2],
        one_first: [&'static str; 2],
        other_first: [&'static str; 2],
    ) -> Self {
        Self { start, actions, one_first, other_first, one_holds: one_first }
    }

    /// The one makes two changes, and the other comes between them.
    pub const fn in_between(self, one_holds: [&'static str; 2]) -> Self {
        Self { one_holds, ..self }
    }

    /// Actions with the same outcome in either order.
    pub const fn either(start: Start, actions: [Action; 2], outcomes: [&'static str; 2]) -> Self {
        Self::new(start, actions, outcomes, outcomes)
    }

    fn is_in_between(self) -> bool {
        self.one_holds != self.one_first
    }

    /// Where the first can be stopped. If it makes no change, only before it locks anything.
    fn points(self) -> impl Iterator<Item = Point> {
        let points = self.actions[0].points().iter().copied();
        points.filter(move |point| match (self.actions[0], self.one_first[0]) {
            (_, "not permitted") => false,
            (_, "not due" | "taken over") => !point.holds,
            (Action::SettleJob, _) if self.start.is_claimed() => !point.holds,
            _ => true,
        })
    }

    fn reversed(self) -> Self {
        let [one, other] = self.actions;
        let [[a, b], [c, d]] = [self.one_first, self.other_first];
        Self::new(self.start, [other, one], [d, c], [b, a])
    }
}

/// What happens to the first action at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It continues.
    Released,
    /// Its statement is rolled back.
    RolledBack,
}

/// Runs every interleaving of every pair.
pub async fn all(pairs: impl IntoIterator<Item = Pair>) {
    let database = TestDatabase::new().await;
    for pair in pairs {
        let mut orders = vec![pair, pair.reversed()];
        if pair.actions[0] == pair.actions[1] {
            orders.pop();
        }
        for pair in orders {
            for point in pair.points() {
                interleave(&database, pair, point, Then::Released).await;
                if point.last {
                    interleave(&database, pair, point, Then::RolledBack).await;
                }
            }
        }
    }
}

async fn interleave(database: &TestDatabase, pair: Pair, point: Point, then: Then) {
    let context = format!("{pair:?}, the first stopped {:?} and {then:?}", point.at);
    let [first, second] = pair.actions;
    let fixture = fixture(database, pair).await;
    let (fence, interventions) = (fixture.fence().await, fixture.interventions().await);
    let ends = fixture.ends().await;
    invariants::check(&database.breakpoints.pool, &format!("{context}: before")).await;

    let breakpoint = database.breakpoints.set("first", point.at).await;
    let mut one = tokio::spawn({
        let fixture = fixture.clone();
        async move { first.run(&fixture, 0).await }
    });
    tokio::select! {
        () = breakpoint.reached() => {}
        outcome = &mut one => panic!("{context}: it did not reach the point: {outcome:?}"),
    }
    let mut other = tokio::spawn({
        let fixture = fixture.clone();
        async move { second.run(&fixture, 1).await }
    });
    let early = tokio::select! {
        () = database.breakpoints.blocked("second") => None,
        outcome = &mut other => Some(outcome.unwrap()),
    };
    invariants::check(
        &database.breakpoints.pool,
        &format!("{context}: with the first one stopped"),
    )
    .await;
    match then {
        Then::Released => breakpoint.release().await,
        Then::RolledBack => breakpoint.roll_back().await,
    }
    let other = match early {
        Some(outcome) => outcome,
        None => bounded(&context, other).await.unwrap(),
    };
    if pair.is_in_between() {
        fixture.contenders[0].client.open();
    }
    let one = bounded(&context, one).await.unwrap();

    let [expected_one, expected_other] = match (then, point.holds) {
        (Then::Released, true) => pair.one_holds,
        (Then::Released, false) => pair.other_first,
        (Then::RolledBack, _) if first.persists() => [one, pair.other_first[1]],
        (Then::RolledBack, _) => ["error", pair.other_first[1]],
    };
    assert_eq!([one, other], [expected_one, expected_other], "{context}");
    let done = [one, other].iter().filter(|outcome| **outcome == "done").count();
    assert_eq!(fixture.fence().await - fence, raises(one) + raises(other), "{context}: the fence");
    assert_eq!(fixture.interventions().await - interventions, done as i64, "{context}: the record");
    assert!(
        fixture.ends().await.starts_with(&ends),
        "{context}: the recorded end of an attempt has changed"
    );
    invariants::check(&database.breakpoints.pool, &context).await;
    fixture.end(&context).await;
    fixture.forget().await;
}

async fn fixture(database: &TestDatabase, pair: Pair) -> Arc<Fixture> {
    let position = |wanted: Action| pair.actions.iter().position(|action| *action == wanted);
    let stale = pair.one_first.iter().position(|outcome| *outcome == "taken over");
    let holder = match pair.start {
        Start::Overtaken => stale.unwrap(),
        _ => position(Action::Record).unwrap_or_default(),
    };
    let mut fixture = Fixture::new(database, pair.start, holder).await;
    for (action, contender) in pair.actions.iter().zip(&fixture.contenders) {
        if *action == Action::Execute {
            contender.client.script_posts([Post::Broken]);
            contender.client.script_verifications([Verification::Failed]);
        }
    }
    if pair.is_in_between() {
        // The verification is between the two changes of an execution.
        fixture.contenders[0].client.before_verification.close();
    }
    if position(Action::Reclaim).is_some() {
        fixture.expire(fixture.contenders[holder].run).await;
    }
    if let Some(number) = position(Action::Release) {
        fixture.breaking = Some(breaking(database, number).await);
    }
    Arc::new(fixture)
}
