//! What requests are counted as, for the judgement of rollouts and for the status.

use std::collections::BTreeMap;

use isolith_versions::{Mask, Match};

use super::*;
use crate::shard::{EntrySample, Outcome};

/// Version 1 does as it is asked; version 2 fails every time.
fn entry(version: &str) -> Sample<'_> {
    let good = "
export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === '/fail') throw new RangeError('no');
    return new Response((await env.AUTH.version({})).version);
  },
};";
    Sample {
        service: "entry",
        version,
        source: match version {
            "1.0.0" => good,
            _ => "export default { fetch() { throw new Error('broken'); } };",
        },
        exports: &[],
        imports: match version {
            "1.0.0" => &[("AUTH", "auth", ">=1", "Auth")],
            _ => &[],
        },
        http: true,
    }
}

struct Get;

impl isolith_versions::RequestHead for Get {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/ruled"
    }
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
}

/// A world with a rollout of entry 2 for the even buckets, and for what is below `/ruled`.
async fn canary() -> World {
    let world = serve(&[auth("1.0.0"), entry("1.0.0")], "entry", Limits::ample()).await;
    let schema = SampleSchema::new(SCHEMA).unwrap();
    let new = programs(&schema, &[entry("2.0.0")]);
    let set = solve_samples(&new, "entry").unwrap();
    world.shard.load(Arc::clone(&new[0])).await.unwrap();
    world.shard.wire(Arc::clone(&set)).unwrap();
    let split = Split {
        rollout: "entry-2".parse().unwrap(),
        buckets: Buckets::of(|bucket| bucket % 2 == 0),
        matches: vec![Match {
            path_prefix: Some("/ruled".into()),
            ..Match::default()
        }],
        shadow: Weight::ZERO,
    };
    let base = Arc::clone(world.routing.load().combinations().base());
    let sets = Combinations::new(vec![Some(base), Some(set)]).unwrap();
    world.publish_splits(vec![split], sets);
    world
}

/// Takes the samples: requests, errors and latencies, by mask and ruled mask.
fn taken(world: &World) -> BTreeMap<(Mask, Mask), (u64, u64, u64)> {
    let samples = world.shard.samples.borrow_mut().take();
    let counts = |entry: EntrySample| {
        assert_eq!(entry.epoch, 2);
        let sample = entry.sample;
        let counts = (sample.requests, sample.errors, sample.latency.count());
        ((entry.mask, entry.ruled), counts)
    };
    samples.into_iter().map(counts).collect()
}

#[test]
fn requests_count_for_what_they_were_shown() {
    on_shard(|| async {
        let world = canary().await;
        let table = world.routing.load_full();
        let mut shown = [0, 0];
        for key in 0..40 {
            let pin = world.shard.admit(key, None, arrival()).unwrap();
            let mask = table.admit(key, None).mask;
            let answer = world.get(&pin, "http://shop/").await;
            assert_eq!(answer.is_err(), mask == 1, "{key}");
            pin.answered(match answer {
                Ok(_) => Outcome::Succeeded,
                Err(_) => Outcome::Failed,
            });
            // Only the first answer counts.
            pin.answered(Outcome::Failed);
            shown[usize::from(mask)] += 1;
        }
        let [old, new] = shown;
        assert!(old > 5 && new > 5);
        let expected = [((0, 0), (old, 0, old)), ((1, 0), (new, new, new))];
        assert_eq!(taken(&world), BTreeMap::from(expected));
        assert!(taken(&world).is_empty());

        // One that a rule chose says so; one that breaks off after its head has failed; one whose
        // client went away is counted, and not as a failure.
        let odd = (0..).find(|key| table.admit(*key, None).mask == 0).unwrap();
        let ruled = world.shard.admit(odd, Some(&Get), arrival()).unwrap();
        ruled.answered(Outcome::Failed);
        let broken = world.shard.admit(odd, None, arrival()).unwrap();
        broken.answered(Outcome::Succeeded);
        broken.broke_off();
        broken.broke_off();
        drop(world.shard.admit(odd, None, arrival()).unwrap());
        // One that the host lost counts for nothing, whatever comes later.
        let lost = world.shard.admit(odd, None, arrival()).unwrap();
        lost.answered(Outcome::LostByHost);
        lost.broke_off();
        drop((ruled, broken, lost));
        let expected = [((0, 0), (2, 1, 2)), ((1, 1), (1, 1, 1))];
        assert_eq!(taken(&world), BTreeMap::from(expected));

        // Neither calls from the command line nor requests for a set by name are compared.
        let _ = world.call_by("auth", "version", "{}", soon()).await;
        let base = table.combinations().base().digest();
        let by_name =
            world
                .shard
                .admit_to(base, isolith_versions::evidence::Choice::Token, arrival());
        drop(by_name.unwrap());
        assert!(taken(&world).is_empty());
    });
}

#[test]
fn only_what_no_version_did_is_the_hosts_fault() {
    on_shard(|| async {
        let world = serve(&[auth("1.0.0"), entry("1.0.0")], "entry", Limits::ample()).await;
        let id = world.shard.isolates.borrow()[0]
            .as_ref()
            .unwrap()
            .program
            .id()
            .clone();
        let of_host = [
            Kind::Evicted,
            Kind::Overloaded,
            Kind::Disconnected,
            Kind::PinnedVersionGone,
        ];
        for kind in of_host {
            let error = CallError::host(kind, "");
            assert!(error.is_of_host(), "{kind:?}");
            assert!(!error.in_bundle(&id).is_of_host(), "{kind:?}");
        }
        for kind in [
            Kind::Failed,
            Kind::CpuExceeded,
            Kind::MemoryExceeded,
            Kind::DeadlineExceeded,
        ] {
            assert!(!CallError::host(kind, "").is_of_host(), "{kind:?}");
        }

        // Evicted while it waits: the service is not to blame, as its entry was told.
        let pin = world.shard.admit(0, None, arrival()).unwrap();
        let digest = id.digest;
        let answer = world.get(&pin, "http://shop/");
        let evict = async { world.shard.evict(digest, "closing") };
        let (answer, evicted) = futures_util::future::join(answer, evict).await;
        assert_eq!(evicted, 1);
        assert!(answer.unwrap_err().is_of_host());
    });
}

#[test]
fn an_isolate_knows_why_its_requests_failed_and_how_long_they_took() {
    on_shard(|| async {
        let world = serve(&[auth("1.0.0"), entry("1.0.0")], "entry", Limits::ample()).await;
        for path in ["/fail", "/", "/fail"] {
            let pin = world.shard.admit(0, None, arrival()).unwrap();
            let _ = world.get(&pin, &format!("http://shop{path}")).await;
        }
        for _ in 0..8 {
            world.call("auth", "version", "{\"pause\": 1}").await;
        }
        let stats = world.shard.stats();
        let digest = {
            let isolates = world.shard.isolates.borrow();
            let mut entries = isolates.iter().flatten();
            let entry = entries.find(|isolate| isolate.program.facts.http);
            entry.unwrap().program.id().digest
        };
        let mut isolates = stats.isolates.iter();
        let entry = isolates.find(|of| of.digest == digest).unwrap();
        assert_eq!((entry.requests, entry.errors), (3, 2));
        assert_eq!(entry.errors_by_kind, [("failed", 2)]);
        assert_eq!(entry.latency.count(), 3);
    });
}

/// A rollout's end, and a table without any, leave nothing behind that grows.
#[test]
fn without_rollouts_nothing_is_sampled() {
    on_shard(|| async {
        let world = serve(&[auth("1.0.0"), entry("1.0.0")], "entry", Limits::ample()).await;
        drop(world.shard.admit(0, None, arrival()).unwrap());
        assert!(taken(&world).is_empty());
    });
}
