//! Slowing down guesses, without locking anybody out.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use access::{Access, Attempt, Refusal, Visit};
use domain::Role;
use sqlx::PgPool;

use crate::fixture::{
    OTHER, PASSWORD, actor, address, again, attempt, refusal, signed_in, with_alice,
};

fn guess_from(address: IpAddr) -> Attempt {
    let visit = Visit { address: Some(address), user_agent: None, request_id: None };
    Attempt { visit, ..attempt("alice", OTHER) }
}

fn is_too_early(refusal: Option<Refusal>) -> bool {
    matches!(refusal, Some(Refusal::TooEarly { .. }))
}

/// Lets so much time pass for what was counted.
async fn let_pass(pool: &PgPool, seconds: i32) {
    sqlx::query(
        "update sign_in_failures set last_failed_at = last_failed_at - make_interval(secs => $1)",
    )
    .bind(f64::from(seconds))
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn an_address_that_goes_on_guessing_waits_longer_and_longer() {
    let (pool, access) = with_alice(Role::Viewer).await;
    let guess = guess_from(address(7));
    let mut waits = Vec::new();
    for _ in 0..18 {
        match refusal(&access, &guess).await {
            Some(Refusal::Wrong) => {}
            Some(Refusal::TooEarly { seconds }) => {
                waits.push(seconds);
                let_pass(&pool, i32::try_from(seconds).unwrap()).await;
            }
            None => panic!("a wrong password was accepted"),
        }
    }
    let doubled = waits.windows(2).all(|pair| pair[1] >= pair[0]);
    assert!(doubled && waits.len() >= 6, "{waits:?}");
    assert!(*waits.last().unwrap() >= 32, "{waits:?}");
}

#[tokio::test]
async fn what_is_refused_too_early_is_not_looked_at() {
    let (_, access) = with_alice(Role::Viewer).await;
    while !is_too_early(refusal(&access, &guess_from(address(1))).await) {}
    let right = Attempt { visit: guess_from(address(1)).visit, ..attempt("alice", PASSWORD) };
    assert!(is_too_early(refusal(&access, &right).await));
}

#[tokio::test]
async fn failures_an_hour_ago_no_longer_count() {
    let (pool, access) = with_alice(Role::Viewer).await;
    while !is_too_early(refusal(&access, &guess_from(address(1))).await) {}
    let_pass(&pool, 3_601).await;
    for _ in 0..5 {
        assert_eq!(refusal(&access, &guess_from(address(1))).await, Some(Refusal::Wrong));
    }
}

#[tokio::test]
async fn guesses_at_once_are_all_counted() {
    let (_, access) = with_alice(Role::Viewer).await;
    let guesses = (0..12).map(|_| {
        let access = access.clone();
        tokio::spawn(async move { refusal(&access, &guess_from(address(1))).await })
    });
    let mut looked_at = 0;
    for guess in guesses.collect::<Vec<_>>() {
        looked_at += i32::from(guess.await.unwrap() == Some(Refusal::Wrong));
    }
    assert!((1..=6).contains(&looked_at), "{looked_at}");
}

#[tokio::test]
async fn an_attempt_that_succeeds_is_counted_back() {
    let (pool, access) = with_alice(Role::Viewer).await;
    for _ in 0..8 {
        signed_in(&access).await;
    }
    let counted: i64 =
        sqlx::query_scalar("select count(*) from sign_in_failures").fetch_one(&pool).await.unwrap();
    assert_eq!(counted, 0);
}

#[tokio::test]
async fn whether_there_is_such_a_user_makes_no_difference() {
    let (_, access) = with_alice(Role::Viewer).await;
    for name in ["alice", "mallory"] {
        let guess =
            Attempt { visit: guess_from(address(name.len() as u8)).visit, ..attempt(name, OTHER) };
        for _ in 0..5 {
            assert_eq!(refusal(&access, &guess).await, Some(Refusal::Wrong), "{name}");
        }
        let _ = refusal(&access, &guess).await;
        assert!(is_too_early(refusal(&access, &guess).await), "{name}");
    }
}

/// The attack of the tests below: guesses at one account from 250 addresses, refused ones included.
async fn attack(access: &Access, guesses: usize) -> usize {
    let mut looked_at = 0;
    for number in 0..guesses {
        let guess = guess_from([198, 51, 100, u8::try_from(number % 250).unwrap()].into());
        looked_at += usize::from(refusal(access, &guess).await == Some(Refusal::Wrong));
    }
    looked_at
}

#[tokio::test]
async fn guesses_from_many_addresses_are_slowed_while_the_owner_signs_in_at_once() {
    let (_, access) = with_alice(Role::Viewer).await;
    let device = signed_in(&access).await.device.unwrap();
    let attacker = tokio::spawn({
        let access = access.clone();
        async move { attack(&access, 2_500).await }
    });
    let mut slowest = Duration::ZERO;
    let mut signed_in = 0;
    while !attacker.is_finished() {
        let began_at = Instant::now();
        let own = Attempt { device: Some(again(&device)), ..attempt("alice", PASSWORD) };
        assert_eq!(refusal(&access, &own).await, None);
        slowest = slowest.max(began_at.elapsed());
        signed_in += 1;
    }
    // At most ten of fresh addresses at once, five of others, and what the pauses let through.
    let looked_at = attacker.await.unwrap();
    assert!(signed_in > 0 && looked_at < 120, "{looked_at} guesses of 2500 were looked at");
    eprintln!("{looked_at} of 2500 guesses were looked at; the slowest sign-in took {slowest:?}");
}

#[tokio::test]
async fn after_guesses_from_many_addresses_the_owner_signs_in_from_a_new_browser_in_seconds() {
    let (pool, access) = with_alice(Role::Viewer).await;
    attack(&access, 750).await;
    // The pause between two attempts of fresh addresses.
    let_pass(&pool, 5).await;
    let own = Attempt {
        visit: Visit { address: Some(address(1)), user_agent: None, request_id: None },
        ..attempt("alice", PASSWORD)
    };
    assert_eq!(refusal(&access, &own).await, None);
}

#[tokio::test]
async fn a_device_of_one_user_is_a_strangers_for_another() {
    let (_, access) = with_alice(Role::Viewer).await;
    access.create_user(&actor(), "bob", Role::Viewer, None).await.unwrap();
    let device = signed_in(&access).await.device.unwrap();
    let guess = || Attempt { device: Some(again(&device)), ..attempt("bob", OTHER) };
    while !is_too_early(refusal(&access, &guess()).await) {}
    let own = Attempt { device: Some(again(&device)), ..attempt("alice", PASSWORD) };
    assert_eq!(refusal(&access, &own).await, None);
}

#[tokio::test]
async fn the_holder_of_a_device_that_guesses_waits_too() {
    let (_, access) = with_alice(Role::Viewer).await;
    let device = signed_in(&access).await.device.unwrap();
    let guess = || Attempt { device: Some(again(&device)), ..attempt("alice", OTHER) };
    for _ in 0..5 {
        assert_eq!(refusal(&access, &guess()).await, Some(Refusal::Wrong));
    }
    let _ = refusal(&access, &guess()).await;
    assert!(is_too_early(refusal(&access, &guess()).await));
}
