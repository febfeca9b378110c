//! What a session may not do, and how it ends.

use std::fs;

use super::client::{failed, on_client, open, unix, version};
use super::{FOLDERS, auth, serve};
use crate::support::bundles::bundles;
use crate::support::case;
use crate::support::server::Server;

fn serve_with(settings: &str) -> Server {
    let app = fs::read_to_string(case("rpc/app.toml")).unwrap() + settings;
    Server::start_with(&app, &bundles(&FOLDERS))
}

#[test]
fn an_evicted_session_says_so_and_another_may_be_opened() {
    let server = serve();
    let second = auth("1.2.0");
    on_client(async {
        let root = unix(&server).await;
        let auth = open(&root).await.unwrap();
        let waits = auth.wait_request().send().promise;
        version(&auth).await.unwrap();
        server.deploy(&second).done();
        let reason = ["evict", "auth@1.0.0", "--reason", "it is too old"];
        server.control(&reason).done();
        for result in [waits.await.map(|_| ()), version(&auth).await.map(|_| ())] {
            let (kind, text) = failed(result);
            assert_eq!(kind, capnp::ErrorKind::Disconnected);
            assert!(text.contains("evicted: it is too old"), "{text}");
        }
        let again = open(&root).await.unwrap();
        assert_eq!(version(&again).await.unwrap(), "1.2.0");
    });
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let server = serve_with("session_timeout_ms = 500\n");
    on_client(async {
        let root = unix(&server).await;
        let auth = open(&root).await.unwrap();
        for _ in 0..2 {
            let (kind, text) = failed(auth.wait_request().send().promise.await);
            assert_eq!(kind, capnp::ErrorKind::Overloaded);
            assert!(text.contains("deadline-exceeded: "), "{text}");
        }
        open(&root).await.unwrap();
    });
}

#[test]
fn a_connection_has_as_many_sessions_and_calls_as_it_may() {
    let bounds = "sessions_per_connection = 2\ncalls_in_flight_per_connection = 3\n\
                  message_bytes = 65536\n";
    let server = serve_with(bounds);
    on_client(async {
        let root = unix(&server).await;
        let first = open(&root).await.unwrap();
        let second = open(&root).await.unwrap();
        let (kind, text) = failed(open(&root).await);
        assert_eq!(kind, capnp::ErrorKind::Overloaded);
        assert!(text.contains("sessions_per_connection (2)"), "{text}");
        drop(second);
        let second = open(&root).await.unwrap();

        // The bound is that of all sessions together.
        let waiting: Vec<_> = (0..3).map(|_| first.wait_request().send()).collect();
        let (kind, text) = failed(version(&second).await);
        assert_eq!(kind, capnp::ErrorKind::Overloaded);
        assert!(
            text.contains("calls_in_flight_per_connection (3)"),
            "{text}"
        );
        drop(waiting);
        while version(&second).await.is_err() {
            tokio::task::yield_now().await;
        }

        let mut request = second.echo_request();
        request.get().init_blob(70_000);
        let (_, text) = failed(request.send().promise.await);
        assert!(text.contains("too-large: "), "{text}");
        let mut request = second.echo_request();
        request.get().init_blob(60_000)[59_999] = 7;
        let answer = request.send().promise.await.unwrap();
        let blob = answer.get().unwrap().get_blob().unwrap();
        assert_eq!((blob.len(), blob[59_999]), (60_000, 7));
    });
}

#[test]
fn a_silent_connection_is_closed_and_one_that_waits_for_an_answer_is_not() {
    let server = serve_with("idle_timeout_ms = 300\n");
    on_client(async {
        let root = unix(&server).await;
        let auth = open(&root).await.unwrap();
        let waits = auth.wait_request().send();
        tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
        assert_eq!(version(&auth).await.unwrap(), "1.0.0");
        drop(waits);
        while version(&auth).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        }
    });
}
