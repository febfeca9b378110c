//! Messages in an isolate: against their own test, and against the reference implementation.

mod fuzz;
mod random;
mod reader;
mod reference;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use capnp::message::{
    AllocationStrategy, Builder, HeapAllocator, Reader, ReaderOptions, ReaderSegments as _,
    SegmentArray,
};
use capnp::{any_pointer, serialize, serialize_packed};
use isolith_capnp::model::Schema;
use isolith_capnp::{fixtures, javascript, schema};
use random::Random;
use serde_json::{Value, json};

use super::{auth, on_shard, serve};
use crate::isolate::Isolate;
use crate::limits::Limits;

/// Random values, of a hundred schemas.
const CASES: usize = 10_000;
const CASES_PER_SCHEMA: usize = 100;

async fn isolate() -> Rc<Isolate> {
    let world = serve(&[auth("1.4.0")], "auth", Limits::default()).await;
    let isolates = world.shard.isolates.borrow();
    isolates.iter().flatten().next().cloned().unwrap()
}

/// The generated readers and encoders, in an isolate, against the test that comes with them.
#[test]
fn messages_pass_their_own_test_in_an_isolate() {
    on_shard(|| async {
        let schema = Schema::read(&fixtures::compile_fixture().unwrap()).unwrap();
        let id = |name| schema.interface(name).unwrap().0.id;
        let interfaces = [id("fixture.capnp:Fixture"), id("fixture.capnp:Open")];
        let generated = javascript::generate(&schema, &interfaces).unwrap();
        let ids: Vec<String> = schema
            .nodes()
            .map(|node| format!("{:?}: '{:016x}'", node.short, node.id))
            .collect();
        let test = format!(
            "(rt, generated, host) => {{ host.typeIds = {{ {} }}; return ({})(rt, generated, host); }}",
            ids.join(", "),
            fixtures::MESSAGE_TEST_JS
        );
        let isolate = isolate().await;
        assert_eq!(isolate.try_messages(&generated, &test), Ok("ok".to_owned()));
    });
}

/// JavaScript writes and the reference reads, the reference writes and JavaScript reads: random
/// values of random schemas, packed, in one segment and in many. To try others, set ISOLITH_SEED.
#[test]
fn javascript_and_the_reference_read_each_others_messages() {
    let seed = std::env::var("ISOLITH_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(0x9e37_79b9_7f4a_7c15);
    on_shard(move || async move {
        let isolate = isolate().await;
        let mut left = CASES / CASES_PER_SCHEMA;
        for round in 0.. {
            if left == 0 {
                break;
            }
            let seed = seed.wrapping_add(round * 0x1000_0001) | 1;
            let folder = tempfile::tempdir().unwrap();
            let random = &mut Random(seed);
            let made = random::schema(random);
            std::fs::write(folder.path().join("s.capnp"), &made.text).unwrap();
            match exchange(&isolate, folder.path(), &made.description, random, seed) {
                Ok(()) => left -= 1,
                // The compiler refuses some layouts that its first versions compiled wrongly.
                Err(error) if error.contains("capnproto/issues/344") => {}
                Err(error) => panic!("seed {seed}: {error}\n{}", made.text),
            }
        }
    });
}

fn exchange(
    isolate: &Isolate,
    folder: &Path,
    description: &Value,
    random: &mut Random,
    seed: u64,
) -> Result<(), String> {
    let bytes = schema::compile(folder, &["s.capnp"], &[] as &[&str]).map_err(|e| e.to_string())?;
    let schema = Schema::read(&bytes).map_err(|error| error.to_string())?;
    let ids: Vec<u64> = schema.interfaces().map(|(node, _)| node.id).collect();
    let generated = javascript::generate(&schema, &ids).map_err(|error| error.to_string())?;
    let mut input = json!({
        "schema": description, "seed": seed.to_string(), "count": CASES_PER_SCHEMA, "phase": "write",
    });
    let run = |input: &Value| {
        let script = script("property.js");
        let test = format!("(rt, generated) => ({script})(rt, generated, {input})");
        let output = isolate.try_messages(&generated, &test)?;
        serde_json::from_str::<Value>(&output).map_err(|error| error.to_string())
    };

    let written = run(&input)?;
    let mut packed = Vec::new();
    for message in written["messages"].as_array().unwrap() {
        let segments: Vec<Vec<u8>> = texts(message).map(unhex).collect();
        match random.below(2) {
            0 => pack(&segments, &mut packed),
            _ => {
                serialize_packed::write_message(&mut packed, &resegment(&segments, random)).unwrap()
            }
        }
    }
    let json = reference::convert(folder, "packed:json", "S0", packed);
    let json = String::from_utf8(json).unwrap();
    let lines: Vec<&str> = json.lines().collect();

    let values: Vec<&str> = texts(&written["json"]).collect();
    let packed = reference::convert(folder, "json:packed", "S0", values.join("\n").into_bytes());
    let mut messages = Vec::new();
    let mut rest = &packed[..];
    while !rest.is_empty() {
        let message = serialize_packed::read_message(&mut rest, limits()).unwrap();
        let segments = message.into_segments();
        let mut segments: Vec<Vec<u8>> = (0..)
            .map_while(|id| segments.get_segment(id))
            .map(<[u8]>::to_vec)
            .collect();
        if random.below(2) == 0 {
            let builder = resegment(&segments, random);
            let all = builder.get_segments_for_output();
            segments = all.iter().map(|segment| segment.to_vec()).collect();
        }
        messages.push(
            segments
                .iter()
                .map(|segment| hex(segment))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(
        (lines.len(), messages.len()),
        (CASES_PER_SCHEMA, CASES_PER_SCHEMA),
        "{json}"
    );
    input["phase"] = json!("read");
    input["json"] = json!(lines);
    input["messages"] = json!(messages);
    run(&input).map(drop)
}

/// The same message in many small segments, with far and double-far pointers between them.
fn resegment(segments: &[Vec<u8>], random: &mut Random) -> Builder<HeapAllocator> {
    let padded: Vec<Vec<u8>> = segments.iter().map(|segment| pad(segment)).collect();
    let slices: Vec<&[u8]> = padded.iter().map(Vec::as_slice).collect();
    let reader = Reader::new(SegmentArray::new(&slices), limits());
    // The reference takes at most 511 of them.
    let total: usize = padded.iter().map(Vec::len).sum();
    let words = u32::try_from(1 + random.below(8) + total / 8 / 128).unwrap();
    let allocator = HeapAllocator::new()
        .first_segment_words(words)
        .allocation_strategy(AllocationStrategy::FixedSize);
    let mut builder = Builder::new(allocator);
    let root: any_pointer::Reader<'_> = reader.get_root().unwrap();
    builder.set_root(root).unwrap();
    builder
}

/// Packs the message as the format says, if not as small as it could be.
fn pack(segments: &[Vec<u8>], packed: &mut Vec<u8>) {
    let padded: Vec<Vec<u8>> = segments.iter().map(|segment| pad(segment)).collect();
    let slices: Vec<&[u8]> = padded.iter().map(Vec::as_slice).collect();
    let framed = serialize::write_message_segments_to_words(&SegmentArray::new(&slices));
    for word in framed.chunks(8) {
        let tags = word
            .iter()
            .rev()
            .fold(0, |tags, byte| (tags << 1) | u8::from(*byte != 0));
        packed.push(tags);
        packed.extend(word.iter().filter(|byte| **byte != 0));
        if tags == 0 || tags == 0xff {
            packed.push(0);
        }
    }
}

/// A file beside this module.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/shard/tests/messages")
        .join(name)
}

fn script(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// A blob's segment need not end at a word.
fn pad(segment: &[u8]) -> Vec<u8> {
    let mut padded = segment.to_vec();
    padded.resize(segment.len().next_multiple_of(8), 0);
    padded
}

fn limits() -> ReaderOptions {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(None);
    options
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}
