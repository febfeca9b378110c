//! Shadow requests: what the new version is given, and what becomes of its answers.

use std::rc::Rc;

use super::*;
use crate::http::{Answer, RequestId};
use crate::shard::ShadowCounts;

/// Answers with its version, and notes in auth whether a request was a copy.
fn entry(version: &str) -> Sample<'_> {
    let old = "
export default {
  async fetch(request, env, ctx) { return new Response('the old one'); },
};";
    let new = "
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === '/throw') throw new Error('broken');
    if (pathname === '/status') return new Response('', { status: 201 });
    if (ctx.shadow !== true) throw new Error('it does not know that it is a copy');
    await null;
    const seen = await env.MARK.ask({});
    const text = request.method === 'POST' ? await request.text() : 'the new one';
    return new Response(`${text} ${seen.versions.at(0)}`);
  },
  async compare(shown, own, env, ctx) {
    if (!ctx.shadow) throw new Error('no copy');
    const texts = [await shown.text(), await own.text()];
    if (texts[0] === 'raise') throw new Error('cannot compare');
    return texts[1] === `${texts[0]} true`;
  },
};";
    Sample {
        service: "entry",
        version,
        source: match version {
            "1.0.0" => old,
            _ => new,
        },
        exports: &[],
        imports: match version {
            "1.0.0" => &[],
            _ => &[("MARK", "mark", "^1", "Middle")],
        },
        http: true,
    }
}

const MARK: Sample<'_> = Sample {
    service: "mark",
    version: "1.0.0",
    source: "
export class MarkService {
  async ask(params, ctx) {
    await null;
    return { versions: [`${ctx.shadow}`] };
  }
}",
    exports: &[("MARK", "Middle", "MarkService")],
    imports: &[],
    http: false,
};

/// A rollout that sees no request, and a copy of each.
async fn shadowed() -> Rc<World> {
    let world = serve(&[entry("1.0.0")], "entry", Limits::ample()).await;
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let new = programs(&schema, &[entry("2.0.0"), MARK]);
    let set = solve_samples(&new, "entry").unwrap();
    for program in &new {
        world.shard.load(Arc::clone(program)).await.unwrap();
    }
    world.shard.wire(Arc::clone(&set)).unwrap();
    let split = Split {
        rollout: "entry-2".parse().unwrap(),
        buckets: Buckets::none(),
        matches: vec![],
        shadow: Weight::WHOLE,
    };
    let base = Arc::clone(world.routing.load().combinations().base());
    let sets = Combinations::new(vec![Some(base), Some(set)]).unwrap();
    world.publish_splits(vec![split], sets);
    Rc::new(world)
}

fn request(method: &str, path: &str, body: Option<&'static str>) -> HttpRequest {
    let body = body.map(|text| {
        let (sender, chunks) = tokio::sync::mpsc::channel(1);
        sender
            .try_send(Ok(bytes::Bytes::from_static(text.as_bytes())))
            .unwrap();
        chunks
    });
    HttpRequest {
        method: method.into(),
        url: format!("http://shop{path}"),
        headers: Vec::new(),
        body,
    }
}

fn answer(status: u16, text: &'static str) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: Some(bytes::Bytes::from_static(text.as_bytes())),
    }
}

#[test]
fn copies_know_what_they_are_and_their_answers_are_compared() {
    on_shard(|| async {
        let world = shadowed().await;
        let get = |path: &str| request("GET", path, None);
        let cases = [
            (get("/"), answer(200, "the new one"), (1, 0, 0)),
            (get("/"), answer(200, "the old one"), (0, 1, 0)),
            (get("/"), answer(404, "the new one"), (0, 1, 0)),
            (get("/status"), answer(200, ""), (0, 1, 0)),
            (
                request("POST", "/", Some("sent")),
                answer(200, "sent"),
                (1, 0, 0),
            ),
            (get("/throw"), answer(200, ""), (0, 0, 1)),
            (get("/"), answer(200, "raise"), (0, 0, 1)),
        ];
        let mut expected = ShadowCounts::default();
        for (request, shown, (alike, different, failed)) in cases {
            let mut pin = world.shard.admit(7, None, arrival()).unwrap();
            assert_eq!(
                world.get(&pin, "http://shop/").await.unwrap(),
                "the old one"
            );
            let shadow = pin.take_shadow().unwrap();
            drop(pin);
            Rc::clone(&world.shard)
                .send_shadow(*shadow, request, shown)
                .await;
            expected.alike += alike;
            expected.different += different;
            expected.failed += failed;
            let counts = world.shard.stats().shadows;
            assert_eq!(counts, [("entry-2".parse().unwrap(), expected)]);
        }
        assert_eq!(world.shard.roots.borrow().len(), 0);
        // Copies are not among what is judged: the old version's requests alone are.
        let samples = world.shard.samples.borrow_mut().take();
        assert!(samples.iter().all(|entry| entry.mask == 0), "{samples:?}");
        assert_eq!(samples[0].sample.requests, 7);
    });
}

#[test]
fn copies_are_bounded() {
    on_shard(|| async {
        let world = shadowed().await;
        let bound = world.shard.limits.shadows_in_flight_per_shard;
        let send = |_| {
            let mut pin = world.shard.admit(7, None, arrival()).unwrap();
            let shadow = pin.take_shadow().unwrap();
            let request = request("GET", "/", None);
            let shown = answer(200, "the new one");
            Rc::clone(&world.shard).send_shadow(*shadow, request, shown)
        };
        futures_util::future::join_all((0..bound + 3).map(send)).await;
        let (_, counts) = world.shard.stats().shadows.pop().unwrap();
        assert_eq!((counts.alike, counts.skipped), (bound as u64, 3));
        // A request that another's name asked for is not copied.
        let base = world.routing.load().combinations().base().digest();
        let by_name = isolith_versions::evidence::Choice::Token;
        let named = Arrival {
            id: RequestId::random(),
            ..arrival()
        };
        let mut pin = world.shard.admit_to(base, by_name, named).unwrap();
        assert!(pin.take_shadow().is_none());
    });
}
