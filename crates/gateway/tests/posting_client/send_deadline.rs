//! A POST leaves before its deadline, or not at all.

use std::time::Duration;

use domain::Ending;
use futures::poll;
use gateway::{BootInstant, PostingService};
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    LONG, answer, client, posting,
    scripted_server::{Action, ScriptedServer},
};

const CREATED: &str = "201 Created";

fn answering() -> [Action; 2] {
    [Action::ReadRequest, answer(CREATED, "", "{}")]
}

#[tokio::test]
async fn a_post_after_its_deadline_sends_no_byte_of_its_body() {
    let server = ScriptedServer::start(answering()).await;
    let client = client(&server.url(), LONG);
    let answer = client.post(&posting(), BootInstant::now()).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    let error = answer.transport_error.unwrap();
    assert!(error.contains("held up for too long"), "{error}");
    assert_eq!(server.bodies(), "");

    // Nor over a connection that is open already.
    client.post(&posting(), BootInstant::now() + LONG).await;
    let before = server.bodies();
    let answer = client.post(&posting(), BootInstant::now()).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    assert_eq!(server.bodies(), before);
}

/// The process is suspended between the start of the connect and its end.
#[tokio::test]
async fn a_post_whose_deadline_passes_while_the_process_is_suspended_sends_no_byte_of_its_body() {
    let server = ScriptedServer::start(answering()).await;
    let client = client(&server.url(), LONG);
    let (posting, time) = (posting(), Duration::from_millis(50));
    let send_deadline = BootInstant::now() + time;
    let mut post = client.post(&posting, send_deadline);
    // On one thread nothing proceeds in the background until the next await.
    assert!(poll!(&mut post).is_pending());
    std::thread::sleep(time);
    let answer = post.await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    assert_eq!(server.bodies(), "");
}

/// A listener whose queue is full does not answer; the client's kernel tries again after a second.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_post_whose_deadline_passes_during_the_connect_sends_no_byte_of_its_body() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _first_in_the_queue = TcpStream::connect(addr).await.unwrap();

    let client = client(&format!("http://{addr}"), LONG);
    let (posting, time) = (posting(), Duration::from_millis(100));
    let send_deadline = BootInstant::now() + time;
    let mut post = client.post(&posting, send_deadline);
    tokio::select! {
        answer = &mut post => panic!("it got through a full queue: {answer:?}"),
        () = tokio::time::sleep(time) => {}
    }
    let server = ScriptedServer::on(listener, answering());
    let answer = post.await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    assert_eq!(server.bodies(), "");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_post_whose_connect_times_out_was_not_sent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _first_in_the_queue = TcpStream::connect(addr).await.unwrap();
    let client = client(&format!("http://{addr}"), Duration::from_millis(100));
    let answer = client.post(&posting(), BootInstant::now() + LONG).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
}

/// The timeout expires before the connection asks for the body. From then on the body cannot leave,
/// although the connect continues in the background.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_post_reported_as_not_sent_does_not_leave_over_a_late_connection() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let _first_in_the_queue = TcpStream::connect(addr).await.unwrap();
    let client = client(&format!("http://{addr}"), Duration::from_millis(100));
    let late = posting();
    let answer = client.post(&late, BootInstant::now() + LONG).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    let server = ScriptedServer::on(listener, answering());
    // A POST that gets through shows that the connection works.
    let next = posting();
    while !server.bodies().contains(&next.id.to_string()) {
        client.post(&next, BootInstant::now() + LONG).await;
    }
    assert!(!server.bodies().contains(&late.id.to_string()));
}
