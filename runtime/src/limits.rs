//! Every bound that a process keeps, in one place, each with its unit in its name.

use std::time::Duration;

use crate::config::{millis, some_within, within};

/// `[limits]`: bounds that hold for each shard and each isolate on it.
///
/// Reaching one fails the request that reached it, with an error that names the bound; nothing
/// else is affected. The defaults suit a small machine.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Requests that one shard has admitted and not yet ended.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) requests_in_flight_per_shard: usize,
    /// Copies of requests that one shard has sent to new versions and not yet compared; more are
    /// not sent.
    #[serde(deserialize_with = "within::<_, _, 0, 100_000>")]
    pub(crate) shadows_in_flight_per_shard: usize,
    /// Calls between isolates that one shard has accepted and not yet settled.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) calls_in_flight_per_shard: usize,
    /// Calls and results that wait to be delivered to one isolate.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) queued_records_per_isolate: usize,
    /// Calls of one request that are under way at once, on all levels together.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) calls_in_flight_per_request: u32,
    /// Calls of one request that are made while another one is served, inside each other; it
    /// bounds services that call each other without end. At most 255.
    #[serde(deserialize_with = "within::<_, _, 1, 255>")]
    pub(crate) nested_calls_per_request: u32,
    /// A message between isolates, all segments together.
    #[serde(deserialize_with = "within::<_, _, 1_024, 536_870_912>")]
    pub(crate) message_bytes: usize,
    /// Messages above this size, and `Data` fields from it on, move by ownership; smaller ones are
    /// copied once. 0 moves every message. `[runtime] move_threshold_bytes`.
    #[serde(skip)]
    pub(crate) move_threshold_bytes: usize,
    /// Outbound requests that one isolate has made and not yet read the answers of.
    #[serde(deserialize_with = "within::<_, _, 1, 10_000>")]
    pub(crate) outbound_in_flight_per_isolate: usize,
    /// How long one address may take to answer an outbound connection, and TLS on it.
    #[serde(rename = "outbound_connect_ms", deserialize_with = "millis")]
    pub(crate) outbound_connect: Duration,
    /// Redirects that one outbound request follows.
    #[serde(deserialize_with = "within::<_, _, 0, 100>")]
    pub(crate) outbound_redirects: usize,
    /// The body of the answer to one outbound request.
    #[serde(deserialize_with = "within::<_, _, 1_024, 1_073_741_824>")]
    pub(crate) outbound_response_bytes: usize,
    /// What one isolate may write to the log; messages past it are dropped and counted.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) log_kib_per_second: u32,
    /// Objects that one isolate has passed on and that others still hold.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) capabilities_per_isolate: usize,
    /// Objects passed on, and answers kept for pipelined calls, of one request.
    #[serde(deserialize_with = "within::<_, _, 1, 1_000_000>")]
    pub(crate) capabilities_per_request: usize,
    /// Bytes of streaming calls of one capability that are under way; past them the caller's
    /// promise waits.
    #[serde(deserialize_with = "within::<_, _, 1_024, 268_435_456>")]
    pub(crate) stream_window_bytes: usize,
    /// The JavaScript heap of an isolate whose bundle sets no limit of its own.
    #[serde(deserialize_with = "within::<_, _, 8, 4_096>")]
    pub(crate) heap_mib: u32,
    /// What a bundle's manifest may set as its `heap_mib`; a bundle that asks for more is refused.
    #[serde(deserialize_with = "within::<_, _, 8, 65_536>")]
    pub(crate) heap_mib_max: u32,
    /// What all isolates of one shard may hold together, on their heaps and outside of them, until
    /// those that are idle are evicted, whoever has rested longest first; the next call loads them
    /// again, with their modules' state as new. None by default: nobody is evicted. Isolates that
    /// work are not bounded by it, but each by its `heap_mib`.
    #[serde(deserialize_with = "some_within::<_, _, 1, 1_048_576>")]
    pub(crate) memory_budget_mib_per_shard: Option<u32>,
    /// Shards of the process that may be parked for good, with all that they hold, before it
    /// drains and ends, to be started again.
    #[serde(deserialize_with = "within::<_, _, 0, 1_000>")]
    pub(crate) parked_shards_max: usize,
    /// CPU time of one request inside one isolate, if the bundle sets no limit of its own:
    /// handlers, microtasks and built-ins together. It also bounds a turn of code that runs for
    /// no request.
    #[serde(deserialize_with = "within::<_, _, 1, 600_000>")]
    pub(crate) cpu_ms_per_request: u32,
    /// What a bundle's manifest may set as its `cpu_ms_per_request`; a bundle that asks for more is
    /// refused. For so long each request of one service may hold up the others on its shard.
    #[serde(deserialize_with = "within::<_, _, 1, 3_600_000>")]
    pub(crate) cpu_ms_per_request_max: u32,
    /// CPU time of requests that had to be ended, or got no memory any more, in one isolate and
    /// within ten seconds or so: past it the isolate is held back. At least one and a half times
    /// what one of its requests may use, so that one overrun is always forgiven.
    #[serde(deserialize_with = "within::<_, _, 1, 600_000>")]
    pub(crate) cpu_ms_wasted: u32,
    /// CPU time of one turn while a bundle loads.
    #[serde(deserialize_with = "within::<_, _, 1, 600_000>")]
    pub(crate) cpu_ms_per_load: u32,
    /// Work that outlives its response: promises given to `waitUntil`, and calls that nobody
    /// awaits. Past it the work's calls are failed and its pin is released.
    #[serde(rename = "background_ms", deserialize_with = "millis")]
    pub(crate) background: Duration,
    /// What holds a set that takes no new requests any more is evicted after this time, counted
    /// from when the set left the routing table or, for a request that named it later, from the
    /// request's admission.
    /// `[routing] drain_timeout_ms`.
    #[serde(skip)]
    pub(crate) drain: Duration,
    /// Evaluating a bundle's modules and constructing its classes, in wall time.
    #[serde(rename = "load_ms", deserialize_with = "millis")]
    pub(crate) load: Duration,
}

impl Limits {
    /// The keys of the table.
    pub(crate) const KEYS: &[&str] = &[
        "requests_in_flight_per_shard",
        "shadows_in_flight_per_shard",
        "calls_in_flight_per_shard",
        "queued_records_per_isolate",
        "calls_in_flight_per_request",
        "nested_calls_per_request",
        "message_bytes",
        "outbound_in_flight_per_isolate",
        "outbound_connect_ms",
        "outbound_redirects",
        "outbound_response_bytes",
        "log_kib_per_second",
        "capabilities_per_isolate",
        "capabilities_per_request",
        "stream_window_bytes",
        "heap_mib",
        "heap_mib_max",
        "memory_budget_mib_per_shard",
        "parked_shards_max",
        "cpu_ms_per_request",
        "cpu_ms_per_request_max",
        "cpu_ms_wasted",
        "cpu_ms_per_load",
        "background_ms",
        "load_ms",
    ];

    /// The defaults, but no budget of CPU time that a busy machine would have a test exceed which
    /// is about something else.
    #[cfg(test)]
    pub(crate) fn ample() -> Self {
        Limits {
            cpu_ms_per_request: 60_000,
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests_in_flight_per_shard: 16_384,
            shadows_in_flight_per_shard: 256,
            calls_in_flight_per_shard: 65_536,
            queued_records_per_isolate: 65_536,
            calls_in_flight_per_request: 1_024,
            nested_calls_per_request: 128,
            message_bytes: 64 << 20,
            move_threshold_bytes: 16 << 10,
            outbound_in_flight_per_isolate: 64,
            outbound_connect: Duration::from_secs(10),
            // As the Fetch standard has it.
            outbound_redirects: 20,
            outbound_response_bytes: 64 << 20,
            log_kib_per_second: 256,
            capabilities_per_isolate: 65_536,
            capabilities_per_request: 16_384,
            stream_window_bytes: 1 << 20,
            heap_mib: 256,
            heap_mib_max: 1_024,
            memory_budget_mib_per_shard: None,
            parked_shards_max: 8,
            cpu_ms_per_request: 50,
            cpu_ms_per_request_max: 1_000,
            cpu_ms_wasted: 75,
            cpu_ms_per_load: 5_000,
            background: Duration::from_secs(30),
            drain: Duration::from_secs(300),
            load: Duration::from_secs(10),
        }
    }
}
