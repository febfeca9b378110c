//! Who holds a bundle, evicting them, and the end of drains.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use isolith_capnp::error_capnp::call_error::Kind;
use isolith_versions::{BundleState, Digest, LeaseKind};

use super::*;
use crate::isolate::Isolate;

/// Requests that end in their own ways, or not at all.
const STAYER: Sample<'_> = Sample {
    service: "stayer",
    version: "1.0.0",
    source: "
const never = new Promise(() => setInterval(() => {}, 1000));
let aborted = '';
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    request.signal.addEventListener('abort', () => { aborted = `${request.signal.reason}`; });
    if (pathname === '/background') ctx.waitUntil(never);
    if (pathname === '/call') return new Response(`${await env.AUTH.version({ pause: 1e6 })}`);
    if (pathname === '/never') await never;
    if (pathname === '/aborted') return new Response(aborted);
    if (pathname === '/stream') {
      const chunk = new Uint8Array(1000);
      return new Response(new ReadableStream({ pull: (to) => to.enqueue(chunk) }));
    }
    return new Response('done');
  },
};",
    exports: &[],
    imports: &[("AUTH", "auth", ">=1", "Auth")],
    http: true,
};

async fn stayer(limits: Limits) -> Rc<World> {
    Rc::new(serve(&[auth("1.0.0"), STAYER], "stayer", limits).await)
}

/// Sends a request beside the test; its answer, or the error that it ends with.
fn send(world: &Rc<World>, path: &str) -> tokio::task::JoinHandle<Result<String, CallError>> {
    let (world, url) = (Rc::clone(world), format!("http://shop{path}"));
    tokio::task::spawn_local(async move {
        let pin = world.shard.admit(0, None, arrival())?;
        world.get(&pin, &url).await
    })
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}

impl World {
    fn digest(&self, service: &str) -> Digest {
        let isolates = self.shard.isolates.borrow();
        let mut ids = isolates
            .iter()
            .flatten()
            .map(|isolate| isolate.program.id());
        ids.find(|id| id.service.as_str() == service)
            .unwrap()
            .digest
    }

    /// The kinds of holds on a service's bundle, and how many of each.
    fn held(&self, service: &str) -> Vec<(LeaseKind, u32)> {
        let holders = self.shard.holders(self.digest(service));
        let counted: u32 = holders.listed.iter().map(|holder| holder.count).sum();
        assert_eq!(holders.total, u64::from(counted));
        let mut kinds: Vec<_> = holders
            .listed
            .iter()
            .map(|holder| (holder.kind, holder.count))
            .collect();
        kinds.sort();
        kinds
    }

    /// Loads another version of auth and sends all new requests to it.
    async fn move_on(&self, version: &str) {
        let schema = SampleSchema::new(SCHEMA).unwrap();
        let programs = programs(&schema, &[auth(version), STAYER]);
        let set = solve_samples(&programs, "stayer").unwrap();
        self.shard.load(Arc::clone(&programs[0])).await.unwrap();
        self.shard.wire(Arc::clone(&set)).unwrap();
        self.publish(set);
        self.shard.sweep();
    }
}

#[test]
fn each_hold_on_a_bundle_is_listed_with_its_kind() {
    on_shard(|| async {
        let world = stayer(Limits::ample()).await;
        assert_eq!(world.held("auth"), []);
        let waiting = [send(&world, "/never"), send(&world, "/call")];
        send(&world, "/background").await.unwrap().unwrap();
        let expected = [
            (LeaseKind::Request, 1),
            (LeaseKind::Request, 1),
            (LeaseKind::Background, 1),
            (LeaseKind::Call, 1),
        ];
        until("all are held", || world.held("auth") == expected).await;
        // A response whose head is out is a stream.
        let streaming = world.shard.admit(0, None, arrival()).unwrap();
        streaming.streams();
        let with_stream = [&expected[..3], &[(LeaseKind::Stream, 1), expected[3]]].concat();
        assert_eq!(world.held("auth"), with_stream);
        drop(streaming);
        assert_eq!(world.held("auth"), expected);
        // A set holds all of its bundles, called or not.
        assert_eq!(world.held("stayer"), expected);
        let stranger = world.shard.holders(Digest::of(b"another bundle"));
        assert_eq!((stranger.listed.len(), stranger.total), (0, 0));
        drop(waiting);
    });
}

/// P10: what is evicted ends with the typed error and the reason, whatever it waited for; others
/// are not touched, and nothing goes on under another version.
#[test]
fn evicting_ends_whatever_holds_the_bundle_and_nothing_else() {
    on_shard(|| async {
        let world = stayer(Limits::ample()).await;
        let old = world.digest("auth");
        let waiting = [send(&world, "/never"), send(&world, "/call")];
        send(&world, "/background").await.unwrap().unwrap();
        until("all are held", || world.held("auth").len() == 4).await;
        let epoch = world.shard.admit(0, None, arrival()).unwrap().epoch();
        world.move_on("2.0.0").await;
        let state = |version: &str| {
            let isolates = world.shard.isolates.borrow();
            let mut isolates = isolates.iter().flatten();
            let is_it = |of: &&Rc<Isolate>| of.program.id().to_string() == version;
            isolates.find(is_it).unwrap().state.get()
        };
        assert_eq!(state("auth@1.0.0"), BundleState::Draining);
        assert_eq!(state("auth@2.0.0"), BundleState::Serving);
        assert_eq!(state("stayer@1.0.0"), BundleState::Serving);
        let later = send(&world, "/never");
        until("the later one is held", || {
            world.shard.roots.borrow().len() == 4
        })
        .await;

        assert_eq!(world.shard.evict(old, "auth 1.0.0 leaks"), 3);
        for request in waiting {
            let error = request.await.unwrap().unwrap_err();
            assert_eq!(
                (error.kind, &*error.message),
                (Kind::Evicted, "auth 1.0.0 leaks")
            );
        }
        until("auth 1.0.0 is unloaded", || {
            world.loaded() == ["auth@2.0.0", "stayer@1.0.0"]
        })
        .await;
        let aborted = send(&world, "/aborted").await.unwrap().unwrap();
        assert!(aborted.contains("auth 1.0.0 leaks"), "{aborted}");
        assert!(!later.is_finished());
        let fresh = world.shard.admit(0, None, arrival()).unwrap();
        assert_eq!(fresh.epoch(), epoch + 1);
        assert_eq!(world.get(&fresh, "http://shop/").await.unwrap(), "done");
        // A second time there is nobody left.
        assert_eq!(world.shard.evict(old, "again"), 0);
    });
}

/// The client of a stream must not take the part that it got for the whole, even if it reads so
/// slowly that there is no room for one more chunk.
#[test]
fn evicting_cuts_a_stream_that_nobody_reads() {
    on_shard(|| async {
        let world = stayer(Limits::ample()).await;
        let pin = world.shard.admit(0, None, arrival()).unwrap();
        let request = HttpRequest {
            method: "GET".into(),
            url: "http://shop/stream".into(),
            headers: Vec::new(),
            body: None,
        };
        let response = world.shard.fetch(&pin, request).await.unwrap();
        let HttpBody::Stream(mut chunks) = response.body else {
            panic!("expected a stream");
        };
        until("the stream is full", || {
            chunks.waiting() == crate::http::BODY_CHUNKS_IN_FLIGHT
        })
        .await;
        assert_eq!(world.shard.evict(world.digest("auth"), "enough"), 1);
        let mut last = None;
        while let Some(chunk) = poll_fn(|cx| chunks.poll_chunk(cx)).await {
            last = Some(chunk);
        }
        let error = last.unwrap().unwrap_err();
        assert!(error.contains("enough"), "{error}");
        assert_eq!(world.shard.roots.borrow().len(), 0);
    });
}

/// P11: a request that never ends does not keep its set for ever, nor does one that does not even
/// read its response.
#[test]
fn a_drain_ends_by_its_deadline() {
    on_shard(|| async {
        let limits = Limits {
            drain: Duration::from_millis(50),
            ..Limits::ample()
        };
        let world = stayer(limits).await;
        let idle = world.shard.admit(0, None, arrival()).unwrap();
        let waiting = send(&world, "/never");
        until("both are held", || world.held("auth").len() == 2).await;
        // As long as the set takes requests, it is no drain.
        tokio::time::sleep(Duration::from_millis(120)).await;
        world.shard.sweep();
        assert_eq!(world.held("auth").len(), 2);

        world.move_on("2.0.0").await;
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::Evicted);
        assert!(
            error.message.contains("the time that a drain has"),
            "{error}"
        );
        until("auth 1.0.0 is unloaded", || {
            world.loaded() == ["auth@2.0.0", "stayer@1.0.0"]
        })
        .await;
        let error = world.get(&idle, "http://shop/").await.unwrap_err();
        assert_eq!(error.kind, Kind::Evicted);
        assert_eq!(world.shard.roots.borrow().len(), 0);
    });
}

/// A call from the command line once left its request's context behind in the isolate while it
/// waited, and what ran next there stood under its pin.
#[test]
fn a_json_call_that_waits_leaves_no_async_context_behind() {
    on_shard(|| async {
        let world = Rc::new(serve(&[auth("1.0.0")], "auth", Limits::ample()).await);
        let call = {
            let world = Rc::clone(&world);
            tokio::task::spawn_local(async move {
                world.call("auth", "version", "{\"pause\": 300}").await
            })
        };
        until("the call is under way", || world.held("auth").len() == 1).await;
        // The handler waits for its timer, and the turn that began it is over.
        until("its turn is over", || world.shard.ready.borrow().is_empty()).await;
        let isolate = world.shard.isolate(0).unwrap();
        assert!(!call.is_finished());
        assert!(!isolate.has_async_context());
        assert_eq!(call.await.unwrap()["version"], "1.0.0");
        assert!(!isolate.has_async_context());
    });
}
