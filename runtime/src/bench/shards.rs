//! Whether shards get in each other's way: the calls that one makes in a time, and two at once.
//!
//! Each shard makes its load itself: calls between its own two services.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::stolen::{self, Calm, Processors};
use super::typed::Bench;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long the shards of a round call.
const ROUND: Duration = Duration::from_millis(300);
/// Calls after which a shard looks whether the round is over.
const CALLS_PER_LOOK: u32 = 10_000;
const ROUNDS: usize = 5;
const CALM: Calm = Calm {
    share: 0.01,
    tries: 5,
};

/// The throughput of two shards by that of one: the median of some rounds, each in a calm time.
pub(super) async fn two_shards_ratio() -> Result<f64, Error> {
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (ratio, _) = stolen::calmest(CALM, async || {
            let processors = Processors::now()?;
            let one = calls_per_second(1)?;
            let ratio = calls_per_second(2)? / one;
            Ok::<_, Error>((ratio, processors.stolen_since()?))
        })
        .await?;
        ratios.push(ratio);
    }
    Ok(super::median(&mut ratios))
}

/// What all of `shards` shards come to.
fn calls_per_second(shards: usize) -> Result<f64, Error> {
    let ready = Barrier::new(shards);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..shards)
            .map(|_| scope.spawn(|| shard_calls_per_second(&ready, &is_over)))
            .collect();
        let rates = threads.into_iter().map(|thread| match thread.join() {
            Ok(rate) => rate,
            Err(_) => Err("a shard of the benchmark panicked".into()),
        });
        rates.sum()
    })
}

fn shard_calls_per_second(ready: &Barrier, is_over: &AtomicBool) -> Result<f64, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let made = async {
            let bench = Bench::new(super::limits()).await?;
            // Once unmeasured: the engine compiles.
            bench.small(10 * CALLS_PER_LOOK, 1).await?;
            Ok::<_, Box<dyn std::error::Error>>(bench)
        };
        let made = made.await.map_err(|error| error.to_string());
        // Whoever fails must not leave the others waiting.
        ready.wait();
        let bench = made?;
        let start = Instant::now();
        let mut calls = 0;
        while !is_over.load(Ordering::Relaxed) && start.elapsed() < ROUND {
            let round = bench.small(CALLS_PER_LOOK, 1).await;
            round.map_err(|error| error.to_string())?;
            calls += CALLS_PER_LOOK;
        }
        // All end together, so that none runs alone for long.
        is_over.store(true, Ordering::Relaxed);
        Ok(f64::from(calls) / start.elapsed().as_secs_f64())
    })
}
