//! Admission and responses over a real shard: whose versions a request gets, and for how long.

use std::future::poll_fn;
use std::pin::Pin as StdPin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{Request, StatusCode};
use http_body::Body as _;
use isolith_versions::{Combinations, RoutingTable, VersionSet};
use tokio::sync::Semaphore;

use super::admission::{Admissions, Admitted, Asked, Head, Refusal, admit};
use super::response::build;
use super::*;
use crate::config::{OverrideGate, Routing};
use crate::http::{HttpRequest, RequestId};
use crate::http_error::Problem;
use crate::limits::Limits;
use crate::overrides::{self, OverrideQueue};
use crate::pin_token::PinKey;
use crate::program::Program;
use crate::sample::{Sample, SampleSchema, serve_samples, solve_samples};
use crate::shard::{Arrival, Pin, Shard};

const SCHEMA: &str = "
@0xd3b07384d113edec;
interface Auth { version @0 () -> (version :Text); }
";

const AUTH: &str = "
export class AuthService {
  version(_, ctx) { return { version: ctx.bundle.version }; }
}";

/// Streams the version of auth more often than there is room on the way to the client.
const FRONT: &str = "
export default {
  fetch(request, env) {
    let left = 20;
    return new Response(new ReadableStream({
      async pull(to) {
        to.enqueue(new TextEncoder().encode((await env.AUTH.version({})).version + ' '));
        if (--left === 0) to.close();
      },
    }));
  },
};";

struct World {
    shard: Rc<Shard>,
    routing: Arc<ArcSwap<RoutingTable>>,
    settings: Settings,
    overrides: OverrideQueue,
    _folder: tempfile::TempDir,
}

fn programs(version: &str) -> Vec<Arc<Program>> {
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let auth = Sample {
        service: "auth",
        version,
        source: AUTH,
        exports: &[("AUTH", "Auth", "AuthService")],
        imports: &[],
        http: false,
    };
    let front = Sample {
        service: "front",
        version: "1.0.0",
        source: FRONT,
        exports: &[],
        imports: &[("AUTH", "auth", ">=1", "Auth")],
        http: true,
    };
    vec![
        schema.program(&auth).unwrap(),
        schema.program(&front).unwrap(),
    ]
}

/// Serves auth 1.0.0, and runs `test` beside it.
fn on_world<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let first = programs("1.0.0");
        let set = solve_samples(&first, "front").unwrap();
        let served = serve_samples(&first, &set, "front", Limits::ample());
        let (shard, routing) = served.await.unwrap();
        tokio::task::spawn_local(Rc::clone(&shard).pump());
        let folder = tempfile::tempdir().unwrap();
        let (queue, asked) = overrides::queue();
        let settings = Settings {
            http: Http::default(),
            admissions: Arc::new(Admissions {
                routing: Routing {
                    overrides: OverrideGate::Any,
                    ..Routing::default()
                },
                pin_key: PinKey::open(&folder.path().join("key")).unwrap(),
                overrides: queue,
            }),
            address: ([127, 0, 0, 1], 1).into(),
            slots: Semaphore::new(1),
        };
        test(World {
            shard,
            routing,
            settings,
            overrides: asked,
            _folder: folder,
        })
        .await;
    });
}

impl World {
    async fn ready(&self, version: &str) -> Arc<VersionSet> {
        let programs = programs(version);
        let set = solve_samples(&programs, "front").unwrap();
        self.shard.load(Arc::clone(&programs[0])).await.unwrap();
        self.shard.wire(Arc::clone(&set)).unwrap();
        set
    }

    /// All requests that name nothing get this version of auth from now on.
    async fn move_on(&self, version: &str) {
        let combinations = Combinations::single(self.ready(version).await);
        let next = self.routing.load().next(vec![], combinations).unwrap();
        self.routing.store(Arc::new(next));
        self.shard.sweep();
    }

    async fn admit(&self, headers: &[(&'static str, &str)]) -> Result<Admitted, Refusal> {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (head, admissions) = (Head(&request), &self.settings.admissions);
        let asked = Asked::of(&head, &admissions.routing, true)?;
        admit(&self.shard, admissions, asked, arrival()).await
    }
}

fn arrival() -> Arrival {
    Arrival {
        id: RequestId::random(),
        now: Instant::now(),
        deadline: Instant::now() + Duration::from_secs(30),
    }
}

fn auth_of(pin: &Pin) -> String {
    let bundles = pin.set().bundles().iter();
    let mut auth = bundles.filter(|bundle| bundle.id.service.as_str() == "auth");
    auth.next().unwrap().id.version.to_string()
}

fn refused(admitted: Result<Admitted, Refusal>) -> Problem {
    match admitted {
        Err(Refusal::Asked(problem)) => problem,
        Err(Refusal::Failed(error)) => panic!("{error}"),
        Ok(admitted) => panic!("it got auth {}", auth_of(&admitted.pin)),
    }
}

/// P7, P6: the token's set, or an error.
#[test]
fn a_retry_with_its_token_gets_its_set_or_an_error() {
    on_world(|world| async move {
        let first = world.admit(&[]).await.ok().unwrap();
        let token = first.token.unwrap();
        world.move_on("2.0.0").await;
        assert_eq!(auth_of(&world.admit(&[]).await.ok().unwrap().pin), "2.0.0");
        let retried = world.admit(&[("isolith-pin", &token)]).await.ok().unwrap();
        assert_eq!(auth_of(&retried.pin), "1.0.0");
        drop((first.pin, retried));
        world.shard.sweep();
        let problem = refused(world.admit(&[("isolith-pin", &token)]).await);
        assert_eq!(problem.status, StatusCode::GONE);
    });
}

/// P6: the named versions, or an error.
#[test]
fn a_request_that_names_versions_gets_them_or_an_error() {
    on_world(|mut world| async move {
        let set = world.ready("2.0.0").await;
        let answers = {
            let mut overrides = std::mem::replace(&mut world.overrides, overrides::queue().1);
            tokio::task::spawn_local(async move {
                let first = overrides.next().await.unwrap();
                assert_eq!(first.versions.len(), 1);
                first.answer(Ok(set));
                let second = overrides.next().await.unwrap();
                second.answer(Err(crate::deployment::Refused("no such version".into())));
            })
        };
        let named = world.admit(&[("isolith-override", "auth=\"2.0.0\"")]).await;
        assert_eq!(auth_of(&named.ok().unwrap().pin), "2.0.0");
        let problem = refused(world.admit(&[("isolith-override", "auth=\"9.0.0\"")]).await);
        assert_eq!(problem.status, StatusCode::CONFLICT);
        answers.await.unwrap();
    });
}

/// P3, P5: until its last byte was taken, a response's body holds the versions that write it, and
/// the stream behind it runs as its request, also after it had to wait for the client.
#[test]
fn a_stream_goes_on_with_its_versions_after_others_are_in_force() {
    on_world(|world| async move {
        let Admitted { pin, .. } = world.admit(&[]).await.ok().unwrap();
        let request = HttpRequest {
            method: "GET".into(),
            url: "http://shop/".into(),
            headers: Vec::new(),
            body: None,
        };
        let response = world.shard.fetch(&pin, request).await.unwrap();
        let response = build(response, false).unwrap();
        let mut body = response
            .into_body()
            .holding(Some(pin), RequestId::random(), false);
        let mut text = String::new();
        let mut moved = false;
        while let Some(frame) = poll_fn(|cx| StdPin::new(&mut body).poll_frame(cx)).await {
            let bytes = frame.unwrap().into_data().unwrap();
            text += std::str::from_utf8(&bytes).unwrap();
            if !moved {
                moved = true;
                world.move_on("2.0.0").await;
            }
        }
        assert_eq!(text, "1.0.0 ".repeat(20));
        assert_eq!(world.shard.stats().requests_in_flight, 0);
    });
}
