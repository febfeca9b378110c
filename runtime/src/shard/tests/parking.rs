//! A shard whose thread dies.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};

use arc_swap::ArcSwap;
use isolith_versions::ServiceName;

use super::super::{ServeConnection, ShardLife, spawn};
use super::*;
use crate::park::park;

/// Both ends of a connection.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn a_shard_whose_thread_is_parked_fails_its_requests_and_another_takes_its_place() {
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let programs = programs(&schema, &[auth("1.0.0"), MIDDLE, FRONT]);
    let set = solve_samples(&programs, "front").unwrap();
    let table = RoutingTable::single(1, Arc::clone(&set));
    let routing = Arc::new(ArcSwap::from_pointee(table));
    let serve: ServeConnection = Arc::new(|_, stream, connection, _| {
        Box::pin(async move {
            let _held = (stream, connection);
            // As the panic hook does, which the test harness needs for itself.
            park("a defect of the host")
        })
    });
    let entry = ServiceName::new("front").unwrap();
    let shard = spawn(0, Limits::ample(), routing, entry, None, serve).unwrap();
    let call = || JsonCall {
        service: "auth".into(),
        version: None,
        export: None,
        method: "version".into(),
        argument: String::new(),
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        for program in &programs {
            shard.load(Arc::clone(program)).await.unwrap();
        }
        shard.wire(Arc::clone(&set)).await.unwrap();
        shard.call(call()).await.map(drop).unwrap();

        let (mut client, accepted) = connection();
        shard.connection(accepted).unwrap();
        assert_eq!(shard.ended().await, ShardLife::Parked);
        let error = shard.call(call()).await.map(drop).unwrap_err();
        assert_eq!(error.kind, Kind::Disconnected, "{error}");
        assert!(shard.load(Arc::clone(&programs[0])).await.is_err());
        assert!(shard.connection(connection().1).is_err());
        shard.give_up();
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        assert!(told.starts_with("HTTP/1.1 503 "), "{told}");

        // What another thread is given to do is not lost any more.
        let successor = shard.successor().unwrap();
        for program in &programs {
            successor.load(Arc::clone(program)).await.unwrap();
        }
        successor.wire(Arc::clone(&set)).await.unwrap();
        shard.replace(&successor);
        shard.call(call()).await.map(drop).unwrap();
        shard.drain();
        assert_eq!(shard.ended().await, ShardLife::Ended);
    });
}
