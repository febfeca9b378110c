//! Hostile messages: JavaScript's reader and that of the `capnp` crate see the same, or both refuse.
//!
//! What found something new is kept as corpus, `messages/corpus.txt`: a line for each message, its
//! method and its segments in hex. The test replays it; `make fuzz` looks for more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use capnp::Word;
use capnp::message::{Reader, SegmentArray};
use isolith_capnp::model::{Schema, Struct};
use isolith_capnp::{fixtures, javascript};
use serde_json::Value;

use super::random::Random;
use super::reader::{RawStruct, dump_struct};
use super::{hex, isolate, limits, script, unhex};
use crate::isolate::Isolate;
use crate::shard::tests::on_shard;

/// Results of these methods of the fixture are read: every kind of field, lists that evolved.
const METHODS: [&str; 3] = ["kinds", "evolve", "small"];
const BATCH: usize = 400;

/// What JavaScript refuses, as the C++ library does, and the `capnp` crate lets pass.
const STRICTER: [&str; 1] = ["a double-far landing pad is not a far pointer"];

#[derive(Clone)]
struct Message {
    method: usize,
    segments: Vec<Vec<u8>>,
}

struct Readers<'a> {
    isolate: &'a Isolate,
    schema: Schema,
    generated: String,
}

impl<'a> Readers<'a> {
    fn new(isolate: &'a Isolate) -> Self {
        let schema = Schema::read(&fixtures::compile_fixture().unwrap()).unwrap();
        let (node, _) = schema.interface("fixture.capnp:Fixture").unwrap();
        let generated = javascript::generate(&schema, &[node.id]).unwrap();
        Self {
            isolate,
            schema,
            generated,
        }
    }

    fn results(&self, method: usize) -> &Struct {
        let (_, fixture) = self.schema.interface("fixture.capnp:Fixture").unwrap();
        let method = fixture
            .methods
            .iter()
            .find(|m| m.name == METHODS[method])
            .unwrap();
        self.schema.struct_by_id(method.results).unwrap().1
    }

    /// What JavaScript says of messages of one method.
    fn javascript(&self, method: usize, messages: &[Message]) -> Vec<String> {
        let list: Vec<Vec<String>> = messages
            .iter()
            .map(|message| {
                message
                    .segments
                    .iter()
                    .map(|segment| hex(segment))
                    .collect()
            })
            .collect();
        let (dump, name, list) = (script("dump.js"), METHODS[method], Value::from(list));
        let test = format!("(rt, generated) => ({dump})(rt, generated, {name:?}, {list})");
        let found = self.isolate.try_messages(&self.generated, &test).unwrap();
        serde_json::from_str(&found).unwrap()
    }

    fn rust(&self, message: &Message) -> String {
        let aligned: Vec<Vec<Word>> = message.segments.iter().map(|s| words(s)).collect();
        let slices: Vec<&[u8]> = aligned.iter().map(|s| Word::words_to_bytes(s)).collect();
        let mut options = limits();
        options.traversal_limit_in_words(Some(8 << 20));
        let reader = Reader::new(SegmentArray::new(&slices), options);
        let found = reader
            .get_root::<RawStruct<'_>>()
            .and_then(|root| dump_struct(&self.schema, self.results(message.method), &root.0));
        found.unwrap_or_else(|error| format!("! {error}"))
    }

    /// Reads them both ways; returns what was found in each, or the first that they disagree on.
    fn compare(&self, messages: &[Message]) -> Vec<String> {
        let mut all = Vec::new();
        for method in 0..METHODS.len() {
            let some: Vec<Message> = messages
                .iter()
                .filter(|m| m.method == method)
                .cloned()
                .collect();
            for (message, ours) in some.iter().zip(self.javascript(method, &some)) {
                let theirs = self.rust(message);
                let refused = ours.starts_with('!') && theirs.starts_with('!');
                let agree = ours == theirs || refused || STRICTER.iter().any(|s| ours.contains(s));
                assert!(
                    agree,
                    "{}\nJavaScript {ours}\nRust       {theirs}",
                    line(message)
                );
                all.push(ours);
            }
        }
        all
    }
}

fn words(segment: &[u8]) -> Vec<Word> {
    let mut words = Word::allocate_zeroed_vec(segment.len() / 8);
    Word::words_to_bytes_mut(&mut words).copy_from_slice(segment);
    words
}

fn line(message: &Message) -> String {
    let segments: Vec<String> = message
        .segments
        .iter()
        .map(|segment| hex(segment))
        .collect();
    format!("{} {}", METHODS[message.method], segments.join(" "))
}

fn parse(line: &str) -> Message {
    let mut words = line.split(' ');
    let name = words.next().unwrap();
    Message {
        method: METHODS.iter().position(|method| *method == name).unwrap(),
        segments: words.map(unhex).collect(),
    }
}

fn corpus() -> Vec<Message> {
    script("corpus.txt").lines().map(parse).collect()
}

#[test]
fn both_readers_agree_on_the_corpus_of_hostile_messages() {
    on_shard(|| async {
        let isolate = isolate().await;
        let readers = Readers::new(&isolate);
        let corpus = corpus();
        let found = readers.compare(&corpus);
        let refused = found.iter().filter(|found| found.starts_with('!')).count();
        assert!(
            refused > found.len() / 10 && refused < found.len(),
            "{refused} of {}",
            found.len()
        );
        // Each message with each of its words damaged in turn.
        let random = &mut Random(0x5eed_5eed_5eed_5eed);
        for message in corpus.iter().step_by(1 + corpus.len() / 40) {
            let damaged: Vec<Message> = (0..40).map(|_| mutate(message, &corpus, random)).collect();
            readers.compare(&damaged);
        }
    });
}

/// For as many seconds as ISOLITH_FUZZ_SECONDS says. New finds go to the corpus.
#[test]
#[ignore = "runs for minutes, by hand: make fuzz"]
fn fuzz() {
    let seconds = std::env::var("ISOLITH_FUZZ_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(600));
    let seed = std::env::var("ISOLITH_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let random = &mut Random(seed.unwrap_or(0x9e37_79b9_7f4a_7c15));
    on_shard(|| async move {
        let isolate = isolate().await;
        let readers = Readers::new(&isolate);
        let mut corpus = corpus();
        let mut seen = BTreeSet::new();
        for found in readers.compare(&corpus) {
            seen.insert(shape(&found));
        }
        let mut tried = 0_u64;
        while Instant::now() < end {
            let method = random.below(METHODS.len());
            let parents: Vec<&Message> = corpus.iter().filter(|m| m.method == method).collect();
            let batch: Vec<Message> = (0..BATCH)
                .map(|_| mutate(parents[random.below(parents.len())], &corpus, random))
                .collect();
            let found = readers.compare(&batch);
            tried += u64::try_from(batch.len()).unwrap();
            for (message, found) in batch.into_iter().zip(found) {
                let size: usize = message.segments.iter().map(Vec::len).sum();
                if size < 1024 && corpus.len() < 600 && seen.insert(shape(&found)) {
                    corpus.push(message);
                }
            }
        }
        let lines: Vec<String> = corpus.iter().map(line).collect();
        std::fs::write(super::path("corpus.txt"), lines.join("\n") + "\n").unwrap();
        println!(
            "{tried} messages, no disagreement; corpus of {}",
            corpus.len()
        );
    });
}

/// What is alike of two finds: the error, or the fields without their values.
fn shape(found: &str) -> String {
    match found.strip_prefix('!') {
        Some(error) => error.to_owned(),
        None => {
            let keep = |c: &char| !c.is_ascii_hexdigit() || c.is_ascii_uppercase();
            let mut shape: Vec<char> = found.chars().filter(keep).collect();
            shape.truncate(200);
            shape.dedup();
            shape.into_iter().collect()
        }
    }
}

/// One to four changes: bits, words, pointers of each kind, words from other messages, sizes.
fn mutate(parent: &Message, corpus: &[Message], random: &mut Random) -> Message {
    let mut message = parent.clone();
    for _ in 0..1 + random.below(4) {
        let count = message.segments.len();
        let which = random.below(count);
        let words = message.segments[which].len() / 8;
        if words == 0 {
            continue;
        }
        let at = random.below(words) * 8;
        // Without a first word there is no root: nothing sends such a message.
        let is_root = which == 0 && at == 0;
        let word = match random.below(9) {
            0 => {
                u64::from_le_bytes(message.segments[which][at..at + 8].try_into().unwrap())
                    ^ (1 << random.below(64))
            }
            1 => 0,
            2 => u64::MAX << random.below(64),
            // A struct, a list, a far pointer, a tag, near what is there.
            3 => {
                offset(random, words)
                    | u64_of(random.below(6)) << 32
                    | u64_of(random.below(6)) << 48
            }
            4 => {
                let count = [0, 1, 2, 7, 64, 0x1fff_ffff][random.below(6)];
                offset(random, words) | 1 | u64_of(random.below(8)) << 32 | count << 35
            }
            5 => {
                let double = u64_of(random.below(2)) << 2;
                2 | double
                    | u64_of(random.below(words)) << 3
                    | u64_of(random.below(count + 1)) << 32
            }
            6 => {
                let other = &corpus[random.below(corpus.len())].segments[0];
                let from = random.below(other.len() / 8) * 8;
                u64::from_le_bytes(other[from..from + 8].try_into().unwrap())
            }
            7 if is_root => continue,
            7 => {
                message.segments[which].truncate(at);
                continue;
            }
            _ if is_root => continue,
            _ => {
                let tail = message.segments[which].split_off(at);
                message.segments.push(tail);
                continue;
            }
        };
        message.segments[which][at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    message
}

fn offset(random: &mut Random, words: usize) -> u64 {
    let far = i32::try_from(random.below(2 * words + 2)).unwrap() - i32::try_from(words).unwrap();
    u64::from((far << 2).cast_unsigned())
}

fn u64_of(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}
