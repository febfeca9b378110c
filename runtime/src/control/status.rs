//! A process's status, as it crosses the socket and as `isolith status --json` prints it.

use std::collections::BTreeMap;

use isolith_capnp::control_capnp::{self, set_status, status};
use isolith_versions::Digest;
use serde::Serialize;

/// The state of a process. As JSON, the names are those of the fields; digests are
/// `sha256:<hex>`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Status {
    /// Of the runtime.
    pub(crate) version: String,
    pub(crate) app: String,
    /// The service that handles HTTP.
    pub(crate) entry: String,
    pub(crate) pid: u32,
    pub(crate) uptime_ms: u64,
    pub(crate) shards: u16,
    /// Those that were lost to memory, with what they hold, and replaced.
    pub(crate) parked_shards: u32,
    /// Where HTTP is served.
    pub(crate) listen: String,
    /// Rises with each change of the routing table.
    pub(crate) epoch: u64,
    /// The number of the newest change in the history.
    pub(crate) change: u64,
    /// HTTP requests admitted since the start.
    pub(crate) requests: u64,
    pub(crate) requests_in_flight: u32,
    /// Those in force first, then those that drain.
    pub(crate) sets: Vec<SetStatus>,
    /// By service, then version.
    pub(crate) bundles: Vec<BundleStatus>,
}

/// A version set that takes requests or is held by some.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SetStatus {
    pub(crate) digest: String,
    /// Share of new requests, in ten-thousandths.
    pub(crate) weight: u32,
    /// `serving` or `draining`.
    pub(crate) state: String,
    /// Requests and background work that hold the set now.
    pub(crate) pins: u64,
    /// `service@version`, by name.
    pub(crate) bundles: Vec<String>,
    pub(crate) edges: Vec<EdgeStatus>,
}

/// One import of one bundle of a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct EdgeStatus {
    pub(crate) caller: String,
    pub(crate) import: String,
    pub(crate) callee: String,
    pub(crate) export: String,
    pub(crate) range: String,
}

/// A bundle that is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct BundleStatus {
    pub(crate) service: String,
    pub(crate) version: String,
    pub(crate) digest: String,
    /// `loaded`, `running`, `draining` or `failed`.
    pub(crate) state: String,
    /// Its code is part of the process.
    pub(crate) native: bool,
    /// Shards that hold an isolate of it now, or, if it is native, its exports.
    pub(crate) isolates: u32,
    /// All shards together.
    pub(crate) heap_bytes: u64,
    /// Array buffers and message memory, all shards together.
    pub(crate) external_bytes: u64,
    /// Calls and HTTP requests handled.
    pub(crate) requests: u64,
    /// Those of them that failed.
    pub(crate) errors: u64,
    /// Those of them, by kind.
    pub(crate) error_kinds: BTreeMap<String, u64>,
    /// How long it took to handle HTTP requests and a sample of the calls, 0 for none.
    pub(crate) p50_micros: u64,
    pub(crate) p99_micros: u64,
    /// Pins of sets that name it.
    pub(crate) leases: u64,
    /// CPU time used, all shards together.
    pub(crate) cpu_us: u64,
    /// Times that its code had to be ended.
    pub(crate) ended: u64,
    /// Isolates that take no work now because of that.
    pub(crate) held_back: u32,
    /// Times that an isolate of it was evicted while it was idle.
    pub(crate) idle_evictions: u64,
}

const SET_STATES: [(set_status::State, &str); 2] = [
    (set_status::State::Serving, "serving"),
    (set_status::State::Draining, "draining"),
];

const BUNDLE_STATES: [(control_capnp::bundle_status::State, &str); 4] = {
    use control_capnp::bundle_status::State;
    [
        (State::Loaded, "loaded"),
        (State::Running, "running"),
        (State::Draining, "draining"),
        (State::Failed, "failed"),
    ]
};

impl Status {
    /// Writes the status into its message.
    pub(crate) fn write(&self, mut to: status::Builder<'_>) {
        to.set_version(&self.version[..]);
        to.set_app(&self.app[..]);
        to.set_entry(&self.entry[..]);
        to.set_pid(self.pid);
        to.set_uptime_ms(self.uptime_ms);
        to.set_shards(self.shards);
        to.set_parked_shards(self.parked_shards);
        to.set_listen(&self.listen[..]);
        to.set_epoch(self.epoch);
        to.set_change(self.change);
        to.set_requests(self.requests);
        to.set_requests_in_flight(self.requests_in_flight);
        let mut sets = to.reborrow().init_sets(length(&self.sets));
        for (place, set) in (0..).zip(&self.sets) {
            set.write(sets.reborrow().get(place));
        }
        let mut bundles = to.init_bundles(length(&self.bundles));
        for (place, bundle) in (0..).zip(&self.bundles) {
            bundle.write(bundles.reborrow().get(place));
        }
    }

    /// Reads the status from its message.
    ///
    /// # Errors
    /// If the message is malformed.
    pub(crate) fn read(from: status::Reader<'_>) -> Result<Self, capnp::Error> {
        Ok(Status {
            version: from.get_version()?.to_string()?,
            app: from.get_app()?.to_string()?,
            entry: from.get_entry()?.to_string()?,
            pid: from.get_pid(),
            uptime_ms: from.get_uptime_ms(),
            shards: from.get_shards(),
            parked_shards: from.get_parked_shards(),
            listen: from.get_listen()?.to_string()?,
            epoch: from.get_epoch(),
            change: from.get_change(),
            requests: from.get_requests(),
            requests_in_flight: from.get_requests_in_flight(),
            sets: from
                .get_sets()?
                .iter()
                .map(SetStatus::read)
                .collect::<Result<_, _>>()?,
            bundles: from
                .get_bundles()?
                .iter()
                .map(BundleStatus::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl SetStatus {
    fn write(&self, mut to: set_status::Builder<'_>) {
        to.set_digest(&digest_bytes(&self.digest));
        to.set_weight(self.weight);
        to.set_state(named(&SET_STATES, &self.state, set_status::State::Draining));
        to.set_pins(self.pins);
        let mut bundles = to.reborrow().init_bundles(length(&self.bundles));
        for (place, bundle) in (0..).zip(&self.bundles) {
            bundles.set(place, &bundle[..]);
        }
        let mut edges = to.init_edges(length(&self.edges));
        for (place, edge) in (0..).zip(&self.edges) {
            let mut to = edges.reborrow().get(place);
            to.set_caller(&edge.caller[..]);
            to.set_import(&edge.import[..]);
            to.set_callee(&edge.callee[..]);
            to.set_export(&edge.export[..]);
            to.set_range(&edge.range[..]);
        }
    }

    fn read(from: set_status::Reader<'_>) -> Result<Self, capnp::Error> {
        let edge = |edge: control_capnp::edge::Reader<'_>| -> Result<_, capnp::Error> {
            Ok(EdgeStatus {
                caller: edge.get_caller()?.to_string()?,
                import: edge.get_import()?.to_string()?,
                callee: edge.get_callee()?.to_string()?,
                export: edge.get_export()?.to_string()?,
                range: edge.get_range()?.to_string()?,
            })
        };
        let bundles = from.get_bundles()?.iter();
        Ok(SetStatus {
            digest: digest_text(from.get_digest()?)?,
            weight: from.get_weight(),
            state: name(&SET_STATES, from.get_state()?),
            pins: from.get_pins(),
            bundles: bundles
                .map(|text| Ok(text?.to_string()?))
                .collect::<Result<_, capnp::Error>>()?,
            edges: from
                .get_edges()?
                .iter()
                .map(edge)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl BundleStatus {
    fn write(&self, mut to: control_capnp::bundle_status::Builder<'_>) {
        to.set_service(&self.service[..]);
        to.set_version(&self.version[..]);
        to.set_digest(&digest_bytes(&self.digest));
        let failed = control_capnp::bundle_status::State::Failed;
        to.set_state(named(&BUNDLE_STATES, &self.state, failed));
        to.set_native(self.native);
        to.set_isolates(self.isolates);
        to.set_heap_bytes(self.heap_bytes);
        to.set_external_bytes(self.external_bytes);
        to.set_requests(self.requests);
        to.set_errors(self.errors);
        to.set_leases(self.leases);
        to.set_cpu_us(self.cpu_us);
        to.set_ended(self.ended);
        to.set_held_back(self.held_back);
        to.set_idle_evictions(self.idle_evictions);
        to.set_p50_micros(self.p50_micros);
        to.set_p99_micros(self.p99_micros);
        let count = u32::try_from(self.error_kinds.len()).unwrap_or(u32::MAX);
        let mut kinds = to.init_error_kinds(count);
        for (place, (kind, count)) in (0..).zip(&self.error_kinds) {
            let mut to = kinds.reborrow().get(place);
            to.set_kind(&kind[..]);
            to.set_count(*count);
        }
    }

    fn read(from: control_capnp::bundle_status::Reader<'_>) -> Result<Self, capnp::Error> {
        Ok(BundleStatus {
            service: from.get_service()?.to_string()?,
            version: from.get_version()?.to_string()?,
            digest: digest_text(from.get_digest()?)?,
            state: name(&BUNDLE_STATES, from.get_state()?),
            native: from.get_native(),
            isolates: from.get_isolates(),
            heap_bytes: from.get_heap_bytes(),
            external_bytes: from.get_external_bytes(),
            requests: from.get_requests(),
            errors: from.get_errors(),
            leases: from.get_leases(),
            cpu_us: from.get_cpu_us(),
            ended: from.get_ended(),
            held_back: from.get_held_back(),
            idle_evictions: from.get_idle_evictions(),
            p50_micros: from.get_p50_micros(),
            p99_micros: from.get_p99_micros(),
            error_kinds: from
                .get_error_kinds()?
                .iter()
                .map(|kind| Ok((kind.get_kind()?.to_string()?, kind.get_count())))
                .collect::<Result<_, capnp::Error>>()?,
        })
    }
}

/// The digest in 32 bytes of a message, as text.
pub(super) fn digest_text(bytes: &[u8]) -> Result<String, capnp::Error> {
    let digest: [u8; 32] = bytes
        .try_into()
        .map_err(|_| capnp::Error::failed(format!("a digest has {} bytes", bytes.len())))?;
    Ok(Digest(digest).to_string())
}

/// Nothing for a text that is no digest, which reading refuses.
fn digest_bytes(text: &str) -> Vec<u8> {
    text.parse::<Digest>()
        .map(|digest| digest.0.to_vec())
        .unwrap_or_default()
}

fn named<S: Copy>(states: &[(S, &str)], name: &str, otherwise: S) -> S {
    states
        .iter()
        .find(|(_, known)| *known == name)
        .map_or(otherwise, |(state, _)| *state)
}

fn name<S: PartialEq>(states: &[(S, &str)], state: S) -> String {
    let known = states.iter().find(|(known, _)| *known == state);
    known.map_or(String::new(), |(_, name)| (*name).to_owned())
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn through_a_message_and_back() {
        let digest = Digest::of(b"x").to_string();
        let edge = EdgeStatus {
            caller: "shop@1.0.0".into(),
            import: "AUTH".into(),
            callee: "auth@2.0.0".into(),
            export: "LOGIN".into(),
            range: "^2".into(),
        };
        let set = SetStatus {
            digest: digest.clone(),
            weight: 10_000,
            state: "serving".into(),
            pins: 3,
            bundles: vec!["auth@2.0.0".into(), "shop@1.0.0".into()],
            edges: vec![edge],
        };
        let bundle = BundleStatus {
            service: "auth".into(),
            version: "2.0.0".into(),
            digest,
            state: "running".into(),
            native: true,
            isolates: 2,
            heap_bytes: 1,
            external_bytes: 2,
            requests: 3,
            errors: 4,
            cpu_us: 5,
            ended: 6,
            held_back: 7,
            idle_evictions: 8,
            leases: 5,
            error_kinds: BTreeMap::from([("failed".into(), 4)]),
            p50_micros: 6,
            p99_micros: 7,
        };
        let status = Status {
            version: "0.1.0".into(),
            app: "a".into(),
            entry: "shop".into(),
            pid: 7,
            uptime_ms: 8,
            shards: 9,
            parked_shards: 10,
            listen: "127.0.0.1:1".into(),
            epoch: 10,
            change: 13,
            requests: 11,
            requests_in_flight: 12,
            sets: vec![set],
            bundles: vec![bundle],
        };
        let mut message = capnp::message::Builder::new_default();
        status.write(message.init_root());
        assert_eq!(
            Status::read(message.get_root_as_reader().unwrap()).unwrap(),
            status
        );
    }
}
