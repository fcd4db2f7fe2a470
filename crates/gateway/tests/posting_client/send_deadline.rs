//! A POST leaves in time, or not at all.

use std::time::Duration;

use domain::Ending;
use futures::poll;
use gateway::{BootInstant, PostingService};
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    LONG, answer, client, posting,
    scripted_server::{Act, Wire},
};

const CREATED: &str = "201 Created";

fn answering() -> [Act; 2] {
    [Act::ReadRequest, answer(CREATED, "", "{}")]
}

#[tokio::test]
async fn a_post_whose_time_is_over_sends_no_byte_of_its_body() {
    let wire = Wire::start(answering()).await;
    let client = client(&wire.url(), LONG);
    let answer = client.post(&posting(), BootInstant::now()).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    let error = answer.transport_error.unwrap();
    assert!(error.contains("held up for too long"), "{error}");
    assert_eq!(wire.bodies(), "");

    // Nor over a connection that is there already.
    client.post(&posting(), BootInstant::now() + LONG).await;
    let before = wire.bodies();
    let answer = client.post(&posting(), BootInstant::now()).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    assert_eq!(wire.bodies(), before);
}

/// The process stands still between the beginning of the connect and its end.
#[tokio::test]
async fn a_post_whose_time_passes_while_the_process_is_held_up_sends_no_byte_of_its_body() {
    let wire = Wire::start(answering()).await;
    let client = client(&wire.url(), LONG);
    let (posting, time) = (posting(), Duration::from_millis(50));
    let leaves_before = BootInstant::now() + time;
    let mut post = client.post(&posting, leaves_before);
    // One thread: nothing goes on in the background until it is awaited again.
    assert!(poll!(&mut post).is_pending());
    std::thread::sleep(time);
    let answer = post.await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    assert_eq!(wire.bodies(), "");
}

/// A listener whose queue is full does not answer; the client's system tries again after a second.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_post_whose_time_passes_during_the_connect_sends_no_byte_of_its_body() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _first_in_the_queue = TcpStream::connect(addr).await.unwrap();

    let client = client(&format!("http://{addr}"), LONG);
    let (posting, time) = (posting(), Duration::from_millis(100));
    let leaves_before = BootInstant::now() + time;
    let mut post = client.post(&posting, leaves_before);
    tokio::select! {
        answer = &mut post => panic!("it got through a full queue: {answer:?}"),
        () = tokio::time::sleep(time) => {}
    }
    let wire = Wire::on(listener, answering());
    let answer = post.await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    assert_eq!(wire.bodies(), "");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connect_that_takes_too_long_was_not_sent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _first_in_the_queue = TcpStream::connect(addr).await.unwrap();
    let client = client(&format!("http://{addr}"), Duration::from_millis(100));
    let answer = client.post(&posting(), BootInstant::now() + LONG).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
}

/// The time for one request is over while the body has not been asked for: from then on it cannot
/// leave any more, although the connect goes on in the background.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_was_called_not_sent_does_not_leave_over_a_connection_that_comes_late() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _first_in_the_queue = TcpStream::connect(addr).await.unwrap();
    let client = client(&format!("http://{addr}"), Duration::from_millis(100));
    let late = posting();
    let answer = client.post(&late, BootInstant::now() + LONG).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    let wire = Wire::on(listener, answering());
    // One that gets through shows that the way is free.
    let next = posting();
    while !wire.bodies().contains(&next.id.to_string()) {
        client.post(&next, BootInstant::now() + LONG).await;
    }
    assert!(!wire.bodies().contains(&late.id.to_string()));
}
