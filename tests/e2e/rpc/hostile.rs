//! Clients that mean no good.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use capnp::message::Builder;
use capnp_rpc::rpc_capnp::message;

use super::client::{on_client, open, unix, version};
use super::serve;
use crate::support::server::Server;

/// Calls that are never finished.
const CALLS: u32 = 5_000;

fn connect(server: &Server) -> UnixStream {
    let stream = UnixStream::connect(server.folder().join("rpc.sock")).unwrap();
    stream
        .set_read_timeout(Some(crate::support::PATIENCE))
        .unwrap();
    stream
}

fn framed(build: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut builder = Builder::new_default();
    build(builder.init_root());
    capnp::serialize::write_message_to_words(&builder)
}

/// A conversation as an honest client has it: bootstrap, open auth, log in through what was opened,
/// with an object of its own, and finish.
fn conversation() -> Vec<Vec<u8>> {
    use isolith_capnp::rpc_capnp::isolith::open_params;
    let interface =
        <isolith_capnp::rpc_capnp::isolith::Client as capnp::traits::HasTypeId>::TYPE_ID;
    let auth = <crate::auth_capnp::auth::Client as capnp::traits::HasTypeId>::TYPE_ID;
    vec![
        framed(|message| message.init_bootstrap().set_question_id(0)),
        framed(|message| {
            let mut call = message.init_call();
            call.set_question_id(1);
            call.reborrow()
                .init_target()
                .init_promised_answer()
                .set_question_id(0);
            call.set_interface_id(interface);
            let content = call.init_params().init_content();
            content
                .init_as::<open_params::Builder<'_>>()
                .set_service("auth");
        }),
        framed(|message| {
            let mut call = message.init_call();
            call.set_question_id(2);
            let mut answer = call.reborrow().init_target().init_promised_answer();
            answer.set_question_id(1);
            answer.init_transform(1).get(0).set_get_pointer_field(0);
            call.set_interface_id(auth);
            call.set_method_id(3);
            let mut params = call.init_params();
            params
                .reborrow()
                .init_cap_table(1)
                .get(0)
                .set_sender_hosted(0);
            let content = params.init_content();
            let mut content = content.init_as::<open_params::Builder<'_>>();
            content.set_service("x");
        }),
        framed(|message| {
            let mut finish = message.init_finish();
            finish.set_question_id(2);
            finish.set_release_result_caps(true);
        }),
        framed(|message| message.init_release().set_reference_count(1)),
    ]
}

/// Sends it all, and reads until the server has said what it wants to say.
fn send(server: &Server, bytes: &[u8]) {
    let mut stream = connect(server);
    // It may have heard enough before the end.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
}

fn still_serves(server: &Server) {
    on_client(async {
        let auth = open(&unix(server).await).await.unwrap();
        assert_eq!(version(&auth).await.unwrap(), "1.0.0");
    });
    let log = server.log();
    assert!(
        !log.contains("panicked") && !log.contains("parked"),
        "{log}"
    );
}

#[test]
fn no_bytes_of_a_client_harm_the_server() {
    let server = serve();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let honest = conversation();
    for _ in 0..300 {
        let mut messages = honest.clone();
        for _ in 0..random.usize(1..4) {
            let which = random.usize(..messages.len());
            match random.u32(..4) {
                0 => {
                    let message = messages[which].clone();
                    messages.insert(random.usize(..messages.len()), message);
                }
                1 => drop(messages.remove(which)),
                _ => {
                    let message = &mut messages[which];
                    // Not the frame: that only makes the rest be waited for.
                    let at = random.usize(8..message.len());
                    message[at] = random.u8(..);
                }
            }
            if messages.is_empty() {
                break;
            }
        }
        send(&server, &messages.concat());
    }
    for _ in 0..50 {
        let noise: Vec<u8> = (0..random.usize(..4096)).map(|_| random.u8(..)).collect();
        send(&server, &noise);
    }
    still_serves(&server);
}

#[test]
fn a_client_that_never_finishes_its_calls_is_cut_off() {
    let server = serve();
    let mut stream = connect(&server);
    let mut sent = 0;
    for id in 0..CALLS {
        let bytes = framed(|message| message.init_bootstrap().set_question_id(id));
        if stream.write_all(&bytes).is_err() {
            break;
        }
        sent += 1;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let told = text.contains("calls_in_flight_per_connection");
    assert!(told || sent < CALLS, "{sent} calls were taken");
    still_serves(&server);
}

#[test]
fn a_client_that_reads_no_answers_is_not_read_from() {
    let server = serve();
    let mut stream = connect(&server);
    stream
        .set_write_timeout(Some(std::time::Duration::from_secs(2)))
        .unwrap();
    // Each is answered with as many bytes: that it is not implemented, and what it said.
    let text = "x".repeat(60_000);
    let join = framed(|message| {
        let mut join = message.init_join();
        join.set_question_id(1);
        let mut part = join.init_key_part();
        part.set_as::<capnp::text::Owned>(&text[..]).unwrap();
    });
    let mut sent = 0_usize;
    while stream.write_all(&join).is_ok() {
        sent += join.len();
        assert!(sent < 512 << 20, "it was read from without end");
    }
    drop(stream);
    still_serves(&server);
}
