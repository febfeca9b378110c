//! Messages in an isolate: against their own test, and against the reference implementation.

mod constructs;
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
use reference::Reference;
use serde_json::{Value, json};

use super::{auth, on_shard, serve};
use crate::isolate::Isolate;
use crate::limits::Limits;

/// Random values, of a hundred schemas.
const CASES: usize = 10_000;
const CASES_PER_SCHEMA: usize = 100;

async fn isolate() -> Rc<Isolate> {
    let world = serve(&[auth("1.4.0")], "auth", Limits::ample()).await;
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
                let words = few_words(&segments, random);
                serialize_packed::write_message(&mut packed, &resegment(&segments, words)).unwrap()
            }
        }
    }
    let reference = Reference {
        folder,
        file: "s.capnp",
        ty: "S0",
    };
    let read = reference.convert("packed:json", packed);
    let read = String::from_utf8(read).unwrap();
    let lines: Vec<&str> = read.lines().collect();

    let values: Vec<&str> = texts(&written["json"]).collect();
    let packed = reference.convert("json:packed", values.join("\n").into_bytes());
    let messages: Vec<Value> = split(&packed)
        .into_iter()
        .map(|one| match random.below(2) {
            0 => to_json(&one),
            _ => to_json(&many(&one, few_words(&one, random))),
        })
        .collect();
    assert_eq!(
        (lines.len(), messages.len()),
        (CASES_PER_SCHEMA, CASES_PER_SCHEMA),
        "{read}"
    );
    input["phase"] = json!("read");
    input["json"] = json!(lines);
    input["messages"] = json!(messages);
    run(&input).map(drop)
}

/// The messages of a packed stream, each as its segments.
fn split(mut packed: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    while !packed.is_empty() {
        let message = serialize_packed::read_message(&mut packed, limits()).unwrap();
        let segments = message.into_segments();
        let segments = (0..).map_while(|id| segments.get_segment(id).map(<[u8]>::to_vec));
        messages.push(segments.collect());
    }
    messages
}

/// The same message in segments of so many words, or the size of what does not fit there, with far
/// and double-far pointers between them.
fn resegment(segments: &[Vec<u8>], words: u32) -> Builder<HeapAllocator> {
    let padded: Vec<Vec<u8>> = segments.iter().map(|segment| pad(segment)).collect();
    let slices: Vec<&[u8]> = padded.iter().map(Vec::as_slice).collect();
    let reader = Reader::new(SegmentArray::new(&slices), limits());
    let allocator = HeapAllocator::new()
        .first_segment_words(words)
        .allocation_strategy(AllocationStrategy::FixedSize);
    let mut builder = Builder::new(allocator);
    let root: any_pointer::Reader<'_> = reader.get_root().unwrap();
    builder.set_root(root).unwrap();
    builder
}

fn many(segments: &[Vec<u8>], words: u32) -> Vec<Vec<u8>> {
    let builder = resegment(segments, words);
    let segments = builder.get_segments_for_output();
    segments.iter().map(|segment| segment.to_vec()).collect()
}

/// Small segments, but not too many: the reference takes at most 511 of them.
fn few_words(segments: &[Vec<u8>], random: &mut Random) -> u32 {
    let total: usize = segments.iter().map(Vec::len).sum();
    u32::try_from(1 + random.below(8) + total / 8 / 128).unwrap()
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

/// As scripts take them: the segments in hex.
fn to_json(segments: &[Vec<u8>]) -> Value {
    segments.iter().map(|segment| hex(segment)).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}
