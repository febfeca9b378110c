//! Admission with rollouts under way, and what the pin costs each call.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isolith_versions::{Buckets, Combinations, Match, RequestHead, Salt, Split, Weight};

use crate::http::RequestId;
use crate::limits::Limits;
use crate::program::Program;
use crate::sample::{Sample, SampleSchema, serve_samples, solve_samples};
use crate::shard::{Arrival, Outcome, Shard};

type Error = Box<dyn std::error::Error>;

const SCHEMA: &str = "@0xc1d2e3f4a5b69788; interface Part { get @0 () -> (n :UInt32); }";
const PART: &str = "export class PartService { get() { return { n: 1 }; } }";
const ENTRY: &str = "export default { fetch() { return new Response('ok'); } };";

/// The services that have a new version each, and the shares of keys that see it.
const ROLLOUTS: [(&str, u16); 3] = [("auth", 1_000), ("cart", 500), ("bank", 5_000)];

/// A shard with three rollouts under way: eight version sets.
pub(super) struct Pins {
    shard: Rc<Shard>,
}

/// Nanoseconds each.
pub(super) struct PinCosts {
    /// Admission and release of a root, a rule looked at and the request counted.
    pub(super) admission_ns: f64,
    /// Finding the root of a call and the callee that its set names, and noting the call there.
    pub(super) per_call_ns: f64,
}

impl Pins {
    pub(super) async fn new(limits: Limits) -> Result<Self, Error> {
        let schema = SampleSchema::new(SCHEMA)?;
        let part = |service, version| {
            schema.program(&Sample {
                service,
                version,
                source: PART,
                exports: &[("PART", "Part", "PartService")],
                imports: &[],
                http: false,
            })
        };
        let entry = schema.program(&Sample {
            service: "entry",
            version: "1.0.0",
            source: ENTRY,
            exports: &[],
            imports: &[
                ("AUTH", "auth", "*", "Part"),
                ("CART", "cart", "*", "Part"),
                ("BANK", "bank", "*", "Part"),
            ],
            http: true,
        })?;
        let mut versions = Vec::new();
        for (service, _) in ROLLOUTS {
            versions.push([part(service, "1.0.0")?, part(service, "1.1.0")?]);
        }
        let mut sets = Vec::new();
        for mask in 0..1_usize << ROLLOUTS.len() {
            let mut programs = vec![Arc::clone(&entry)];
            for (place, both) in versions.iter().enumerate() {
                programs.extend(both.get(mask >> place & 1).cloned());
            }
            sets.push(solve_samples(&programs, "entry")?);
        }
        let all: Vec<Arc<Program>> = versions.into_iter().flatten().chain([entry]).collect();
        let base = sets.first().ok_or("no set")?;
        let (shard, routing) = serve_samples(&all, base, "entry", limits).await?;
        for set in &sets {
            let wired = shard.wire(Arc::clone(set));
            wired.map_err(|digest| format!("{digest} is not loaded"))?;
        }
        let mut splits = Vec::new();
        for (place, (service, parts)) in ROLLOUTS.iter().enumerate() {
            let weight = Weight::new(*parts)?;
            let salt = Salt(place as u64);
            let rule = Match {
                header: Some(("x-preview".into(), (*service).into())),
                ..Match::default()
            };
            splits.push(Split {
                rollout: service.parse()?,
                buckets: Buckets::none().resized(weight, salt, &Buckets::all())?,
                matches: vec![rule],
                shadow: Weight::ZERO,
            });
        }
        let sets = Combinations::new(sets.into_iter().map(Some).collect())?;
        let next = routing.load().next(splits, sets)?;
        routing.store(Arc::new(next));
        Ok(Pins { shard })
    }

    /// One round of each measurement.
    pub(super) fn round(&self, count: u32) -> Result<PinCosts, Error> {
        let start = Instant::now();
        let arrival = Arrival {
            id: RequestId::random(),
            now: start,
            deadline: start + Duration::from_secs(30),
        };
        for key in 0..count {
            let pin = self.shard.admit(u64::from(key), Some(&Head), arrival)?;
            black_box(pin).answered(Outcome::Succeeded);
        }
        let admission_ns = start.elapsed().as_nanos() as f64 / f64::from(count);

        let pin = self.shard.admit(0, None, arrival)?;
        let start = Instant::now();
        for call in 0..count {
            let import = black_box(call as usize % ROLLOUTS.len());
            black_box(self.shard.resolve(&pin, import).ok_or("no edge")?);
        }
        let per_call_ns = start.elapsed().as_nanos() as f64 / f64::from(count);
        Ok(PinCosts {
            admission_ns,
            per_call_ns,
        })
    }
}

/// A request that no rule fits.
struct Head;

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/cart/items"
    }

    fn header(&self, name: &str) -> Option<&str> {
        (name == black_box("x-user")).then_some("ada")
    }
}
